"""How the files of a data folder are named. No network is needed to know it: processes of `prepare` load none."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif")
PARTS = ("pose", "depth", "face", "cloth")
POINTS = ".pose.json"  # poses as points: drawn for each step, so that they can tremble
