"""Videos that `prepare` is tried on: dances and all that is wrong with videos, written by the pack itself."""

from pathlib import Path

import av
import numpy as np
import torch
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.video.encode import encode_video

# clips of about a second, of small pictures, by the detectors for drawn dancers
WORDS = [
    *("--seconds", "0.8", "1", "--guard", "0.1", "--reserve", "0.3", "--min-side", "64", "--face-side", "8"),
    *("--detector", "tiny", "--pose-model", "tiny", "--jobs", "1"),
]


def dance(seed: int, frames: int) -> torch.Tensor:
    return render_clip(ClipSpec(seed=seed, num_frames=frames, size=128)).images


def write_videos(folder: Path) -> None:
    """`cut` holds two dancers one after the other; the rest gives no clip, each for a reason of its own."""
    one, other = dance(1, 20), dance(2, 20)
    for name, frames in (
        ("cut", torch.cat([one, other])),
        ("early", one[:16]),
        ("short", one[:9]),
        ("two", torch.cat([one[:16], other[:16]], dim=2)),
    ):
        encode_video(folder / f"{name}.mp4", frames, format="mp4", frame_rate=12)
    (folder / "cut.txt").write_text("two dancers,\none after the other\n")
    (folder / "broken.mp4").write_bytes((folder / "cut.mp4").read_bytes()[:3000])
    write_sound(folder / "sound.mp4")


def write_sound(path: Path) -> None:
    """An mp4 without a picture."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
