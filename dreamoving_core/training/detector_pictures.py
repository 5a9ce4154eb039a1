"""What Tiny's detectors learn from: dancers of ProcDance's train split, as they come out of real mp4 files.

Pictures are `h w 3` uint8 RGB, boxes (left, top, right, bottom) and points (x, y, visible) in pixels.
"""

import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..procdance.clip import ClipSpec, moments
from ..procdance.render import Moment, render_frames, sample_moment
from ..procdance.scene import draw_scene
from ..procdance.seeds import Draw
from ..video.decode import read_frames
from ..video.encode import encode_video
from .dances import as_bytes

log = logging.getLogger(__name__)

SIZES = (128,)  # pixels, as the demo has them; other sizes are made by cutting out and blurring
SHOTS = ("whole",) * 6 + ("half",) * 3 + ("face",) * 2
OUTLINED = 4  # every fourth clip is drawn in the other style
FRAMES = 4  # of a clip
CLIPS = 16  # of one shot list that share a file: the encoder predicts each from nothing at its key frame
QUALITIES = (20, 85)  # of the mp4
TENSORS = ("images", "points", "boxes", "backgrounds")


@dataclass(frozen=True, kw_only=True)
class DrawnDancers:
    """Dancers at one size: `images` n s s 3, `points` n 133 3, `boxes` n 4, and `backgrounds` m s s 3 without anybody."""

    images: Tensor
    points: Tensor
    boxes: Tensor
    backgrounds: Tensor


def dancer_moments(seed: int) -> list[Moment]:
    """A few frames of one dancer; the seed decides shot and style too."""
    style = int(seed % OUTLINED == 0)
    return moments(ClipSpec(seed=seed, num_frames=FRAMES, shot=SHOTS[seed % len(SHOTS)], style=style))


def through_mp4(frames: Tensor, *, quality: int) -> Tensor:
    """`f h w 3` in [0, 1] to the bytes that a player would see of an mp4 of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        encode_video(path, frames, format="mp4", frame_rate=12, quality=quality, preset="veryfast")
        return as_bytes(torch.stack(list(read_frames(path))))


def draw_dancers(*, first_seed: int, clips: int, size: int) -> DrawnDancers:
    """`clips` clips at one size, in mp4s of 16 clips; every file has a quality of its own."""
    parts: dict[str, list[Tensor]] = {name: [] for name in TENSORS}
    for start in range(first_seed, first_seed + clips, CLIPS):
        seeds = range(start, min(start + CLIPS, first_seed + clips))
        drawn = render_frames([m for seed in seeds for m in dancer_moments(seed)], size=size, flow=False)
        quality = Draw("detectors", start).uniform("quality", *QUALITIES)
        parts["images"].append(through_mp4(drawn.images, quality=round(quality)))
        parts["points"].append(drawn.keypoints)
        parts["boxes"].append(boxes_of(drawn.mask))
        scenes = [sample_moment(seed, "train").scene for seed in seeds]
        parts["backgrounds"].append(
            as_bytes(torch.stack([draw_scene(s, style=0, size=size)[..., :3] for s in scenes]))
        )
    return DrawnDancers(**{name: torch.cat(values) for name, values in parts.items()})


def boxes_of(masks: Tensor) -> Tensor:
    """The box around each mask: `n h w` to `n 4`."""
    columns, rows = masks.any(dim=1).float(), masks.any(dim=2).float()
    width, height = columns.shape[1], rows.shape[1]
    left, top = columns.argmax(dim=1), rows.argmax(dim=1)
    right, bottom = width - columns.flip(1).argmax(dim=1), height - rows.flip(1).argmax(dim=1)
    return torch.stack([left, top, right, bottom], dim=1).float()


def load_or_draw(folder: Path, *, first_seed: int, clips: int) -> list[DrawnDancers]:
    """One group per size; drawn at the first call, read from `folder` afterwards."""
    return [
        _group(
            folder / f"dancers_{size}.safetensors", first_seed=first_seed + i * clips, clips=clips, size=size
        )
        for i, size in enumerate(SIZES)
    ]


def _group(path: Path, *, first_seed: int, clips: int, size: int) -> DrawnDancers:
    if not path.exists():
        log.info("drawing %d clips of %d pixels", clips, size)
        drawn = draw_dancers(first_seed=first_seed, clips=clips, size=size)
        part = path.with_suffix(".part")
        save_file({name: getattr(drawn, name).contiguous() for name in TENSORS}, part)
        os.replace(part, path)
    return DrawnDancers(**load_file(path))
