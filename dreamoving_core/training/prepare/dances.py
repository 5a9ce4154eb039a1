"""ProcDance's dancers as clips of a set, with their true poses and depth, beside or instead of videos."""

from pathlib import Path

from ...errors import InputError
from ...preprocess.keypoints import encode_pose_keypoint
from ...preprocess.pose_clip import read_clip
from ...procdance.clip import ClipSpec, render_clip
from ...video.encode import encode_video
from ..dances import SHOTS
from .people import key_frame
from .sources import Source
from .tools import write_pose

WORD = "procdance:"  # before a number, in the place of a folder
RATE = 12  # frames per second, as everywhere in ProcDance
SIZE = 512  # pixels: no stage is trained on more


def dance_sources(word: str) -> list[Source]:
    """The dancers of the train split that `procdance:COUNT` asks for. InputError for what is no count."""
    count = word.removeprefix(WORD)
    if not count.isdecimal() or int(count) < 1:
        raise InputError(f"Write procdance:COUNT, such as procdance:200, for drawn dancers; got '{word}'.")
    return [
        Source(path=Path(f"procdance_{seed:06d}"), shown=f"procdance/{seed}", name=f"procdance_{seed:06d}", seed=seed)
        for seed in range(int(count))
    ]  # fmt: skip


def of_dance(source: Source, folder: Path, *, seconds: float, short_side: int) -> dict:
    """Draws one dancer into the work folder; what the record says of the clip."""
    assert source.seed is not None
    size, frames = min(SIZE, short_side), max(1, round(seconds * RATE))
    shot = SHOTS[source.seed % len(SHOTS)]
    clip = render_clip(ClipSpec(seed=source.seed, num_frames=frames, size=size, fps=RATE, shot=shot))
    name = source.name
    true = read_clip(encode_pose_keypoint(clip.keypoints, width=size, height=size))
    write_pose(folder / f"{name}.pose.json", true)
    depth = (picture[..., None].expand(-1, -1, 3) for picture in clip.depth)
    for part, pictures, crf in (("", clip.images, 14), (".depth", depth, 10)):
        path = folder / f"{name}{part}.mp4"
        encode_video(path, pictures, format="mp4", frame_rate=RATE, crf=crf, preset="fast")
    key = key_frame(true, frames)
    return {
        "video": source.shown,
        "clip": name,
        "start": 0,
        "frames": frames,
        "rate": str(RATE),
        "reason": "",
        "key_frame": key,
        "face_frame": -1,  # the references are drawings of their own
        "cloth_frame": -1,
        "caption": "ProcDance",
        "caption_text": clip.caption,
        "pictures": {"key": clip.images[key], "face": clip.face_reference, "cloth": clip.cloth_reference},
    }
