"""A folder of videos or pictures as training clips: what belongs together goes by its name.

`dance.mp4` (or .png, .jpg, or a folder of PNGs), `dance.txt` its caption, `dance.pose.json` (or drawn: `dance.pose.mp4`)
and `dance.depth.mp4` its control, `dance.face.png` and `dance.cloth.png` its references, best from other frames than
those that are learned. Pictures are `f h w c` in [0, 1].
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from ..video.decode import probe_video, read_frames
from .folder_names import PARTS, PICTURES, POINTS, VIDEOS
from .stages import Stage

log = logging.getLogger(__name__)

SMALLEST_CROP = 0.7  # of the shorter side: how close "randomly cropped" looks [ours]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One clip of the folder and what lies beside it."""

    source: Path
    caption: str
    num_frames: int
    beside: dict[str, Path]


def find_items(folder: Path, stage: Stage) -> list[Item]:
    """What a stage can learn from. InputError, saying what was left out and why, when nothing is left."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Give one with videos or pictures with --data.")
    kinds = [kind for kind in stage.controls if kind != "none"]
    left_out: dict[str, int] = {}
    found = []
    for source in sources_in(folder):
        item = item_of(source)
        reason = unfit(item, stage, kinds)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            found.append(item)
    told = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    if not found:
        raise InputError(
            f"Nothing in {folder} serves the stage {stage.name}: {told or 'it holds no video and no picture'}. "
            "docs/training.md says how a data folder looks."
        )
    log.info("%d clips in %s%s", len(found), folder, f"; left out: {told}" if told else "")
    return found


def sources_in(folder: Path) -> Iterator[Path]:
    """Videos, pictures and folders of pictures that are clips by themselves, in the order of their names."""
    for path in sorted(folder.iterdir()):
        beside = path.stem.rpartition(".")[2] in PARTS or path.name.rpartition(".")[2] in PARTS
        known = path.suffix.lower() in (*PICTURES, *VIDEOS) or (path.is_dir() and any(path.glob("*.png")))
        if known and not beside:
            yield path


def item_of(source: Path) -> Item:
    name = source.name if source.is_dir() else source.stem
    caption = source.with_name(f"{name}.txt")
    beside = {}
    for part in PARTS:
        candidates = [source.with_name(f"{name}.{part}")]
        candidates += [source.with_name(f"{name}{POINTS}")] if part == "pose" else []
        candidates += [source.with_name(f"{name}.{part}{suffix}") for suffix in (*PICTURES, *VIDEOS)]
        if path := next((path for path in candidates if path.exists()), None):
            beside[part] = path
    words = " ".join(caption.read_text(encoding="utf-8").split()) if caption.is_file() else ""
    return Item(source=source, caption=words, num_frames=frames_in(source), beside=beside)


def frames_in(source: Path) -> int:
    """Of a video, by its header; 1 for a picture."""
    if source.suffix.lower() in PICTURES and source.suffix.lower() != ".webp":
        return 1
    info = probe_video(source)
    return max(1, round(info.duration * info.frame_rate))


def unfit(item: Item, stage: Stage, kinds: list[str]) -> str:
    """Why the stage cannot use it; "" when it can."""
    if not item.caption:
        return "without a caption (.txt)"
    if missing := [kind for kind in kinds if kind not in item.beside]:
        return f"without {' and '.join(missing)}"
    if item.num_frames < stage.frames:
        return f"shorter than {stage.frames} frames"
    if stage.guidance and "face" not in item.beside:
        return "without a face"  # [DM §2.4.1]
    return ""


def frame_numbers(count: int, stage: Stage, generator: torch.Generator) -> list[int]:
    """Frames of a clip of `count`: a random start, every `stride`-th, closer together in a short video. [AD]"""
    span = min(count, (stage.frames - 1) * stage.stride + 1)
    start = int(torch.randint(count - span + 1, (), generator=generator))
    return [int(start + i) for i in torch.linspace(0, span - 1, stage.frames)]


def frames_at(path: Path, numbers: list[int]) -> Tensor:
    """`f h w c` of a video, or of a picture that stands for every frame."""
    start = numbers[0]
    frames = list(read_frames(path, start=start, count=numbers[-1] - start + 1))
    if not frames:
        raise InputError(f"'{path}' has no frame {start}: its header says more than it holds. Leave it out.")
    return torch.stack([frames[min(n - start, len(frames) - 1)] for n in numbers])


@dataclass(frozen=True, kw_only=True)
class Window:
    """A square of the picture, in shares of its height and width."""

    top: float
    left: float
    side: float  # of the shorter side

    def place(self, height: int, width: int) -> tuple[int, int, int]:
        """Top, left and side of the square, in pixels of a picture of this size."""
        side = max(1, round(self.side * min(height, width)))
        return round(self.top * (height - side)), round(self.left * (width - side)), side

    def cut(self, pictures: Tensor, size: int) -> Tensor:
        """The square of `f h w c`, `size` pixels wide."""
        top, left, side = self.place(*pictures.shape[1:3])
        square = pictures[:, top : top + side, left : left + side].movedim(-1, 1)
        small = functional.interpolate(square, (size, size), mode="bilinear", antialias=True)
        return small.movedim(1, -1).clamp(0, 1)


CENTRE = Window(top=0.5, left=0.5, side=1.0)


def window_of(stage: Stage, generator: torch.Generator) -> Window:
    """The middle, or a square anywhere; the same for a clip and its control."""
    if stage.crop == "center":
        return CENTRE
    top, left, side = torch.rand(3, generator=generator).tolist()
    return Window(top=top, left=left, side=SMALLEST_CROP + (1 - SMALLEST_CROP) * side)
