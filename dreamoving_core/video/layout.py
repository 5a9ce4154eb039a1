"""Several clips or pictures in one frame: side by side, and the contact sheet. Axes: f h w c in [0, 1]."""

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import InputError
from .pixels import rgb


def side_by_side(clips: Sequence[Tensor], *, height: int | None = None) -> Iterator[Tensor]:
    """Frames `h w 3` with one frame of each clip from left to right, made as they are asked for.

    Each clip is `f h w c`, brought to `height` pixels (the tallest clip's by default) with its proportions kept.
    A clip of one frame stands still beside the others. Raises InputError when the counts do not fit.
    """
    counts = [len(clip) for clip in clips]
    check_counts(counts)
    height = height or max(clip.shape[1] for clip in clips)
    return (
        beside([clip[i % len(clip)] for clip in clips], number=i + 1, height=height)
        for i in range(max(counts))
    )


def beside(frames: Sequence[Tensor], *, number: int, height: int) -> Tensor:
    """One frame `h w 3` with `frames`, each `h w c`, from left to right. `number` counts from 1, for the errors."""
    return torch.cat([at_height(rgb(frame, number=number), height).to(frames[-1]) for frame in frames], dim=1)


def check_counts(counts: Sequence[int]) -> None:
    """Raises InputError unless clips of so many frames can stand side by side."""
    if not counts or any(count not in (1, max(counts)) for count in counts):
        raise InputError(
            f"Clips side by side need the same number of frames, or one still picture; got {_listed(counts)}. "
            "Trim the longer one, or sample as many frames as the driving clip has."
        )


def at_height(frame: Tensor, height: int) -> Tensor:
    """`h w c` at another height with its proportions kept; the same tensor when it already has it."""
    if frame.shape[0] == height:
        return frame
    width = max(1, round(frame.shape[1] * height / frame.shape[0]))
    planes = rearrange(frame.to(torch.float32), "h w c -> 1 c h w")
    scaled = interpolate(planes, size=(height, width), mode="bilinear", antialias=True)
    return rearrange(scaled, "1 c h w -> h w c")


def contact_sheet(
    rows: Sequence[tuple[str, Tensor]], *, cell_height: int = 128, max_columns: int = 8, gap: int = 4
) -> Tensor:
    """One picture `h w 3` with a row of pictures per caption; a clip shows frames spread evenly over its length.

    Each row is (caption, `f h w c`). Rows keep their pictures' proportions and start at the left.
    """
    if not rows:
        raise InputError("A contact sheet needs at least one row of pictures, got 0.")
    strips = [_strip(images, cell_height, max_columns, gap) for _, images in rows]
    captions = [_caption(text, height=max(14, cell_height // 8)) for text, _ in rows]
    lines = [line for pair in zip(captions, strips, strict=True) for line in pair]
    width = max(line.shape[1] for line in lines) + 2 * gap
    height = sum(line.shape[0] + gap for line in lines) + gap
    sheet = torch.ones(height, width, 3)
    top = gap
    for line in lines:
        sheet[top : top + line.shape[0], gap : gap + line.shape[1]] = line
        top += line.shape[0] + gap
    return sheet


class SheetFrames:
    """Small copies of frames of a clip, spread evenly over it, however long it turns out to be."""

    def __init__(self, *, height: int = 128, count: int = 16):
        self.height, self.count = height, count
        self._kept: list[tuple[int, Tensor]] = []
        self._last: Tensor | None = None
        self._seen, self._step = 0, 1

    def add(self, frame: Tensor) -> None:
        """The next frame, `h w c`."""
        self._last = frame
        if self._seen % self._step == 0:
            self._kept.append((self._seen, self._small(frame)))
        self._seen += 1
        if len(self._kept) > 2 * self.count:  # twice as far apart from now on
            self._kept, self._step = self._kept[::2], 2 * self._step

    def sheet(self, frame_rate: float | Fraction, *, columns: int = 8) -> Tensor:
        """One picture `h w 3`: rows of `columns` frames, each row under the second at which it starts."""
        if self._last is None:
            raise InputError("A contact sheet needs at least one frame, got 0.")
        kept = [*self._kept[:-1], (self._seen - 1, self._small(self._last))]
        picked = [kept[i] for i in spread(len(kept), self.count)]
        rows = [picked[i : i + columns] for i in range(0, len(picked), columns)]
        return contact_sheet(
            [
                (f"{float(row[0][0] / frame_rate):.1f} s", torch.stack([small for _, small in row]))
                for row in rows
            ],
            cell_height=self.height,
            max_columns=columns,
        )

    def _small(self, frame: Tensor) -> Tensor:
        return at_height(rgb(frame).to("cpu", torch.float32), self.height).clone()


def spread(total: int, count: int) -> list[int]:
    """At most `count` indices below `total`, spread evenly, the first and the last among them."""
    return torch.linspace(0, total - 1, min(total, count)).round().to(torch.int64).tolist()


def _strip(images: Tensor, height: int, max_columns: int, gap: int) -> Tensor:
    if len(images) == 0:
        raise InputError(
            "A row of a contact sheet holds no pictures. Leave the row out, or give it at least one."
        )
    picked = spread(len(images), max_columns)
    cells: list[Tensor] = []
    for i in picked:
        cell = at_height(rgb(images[i], number=i + 1).to("cpu", torch.float32), height).clamp(0, 1)
        cells += [cell, torch.ones(height, gap, 3)]
    return torch.cat(cells[:-1], dim=1)


def _caption(text: str, *, height: int) -> Tensor:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=height * 0.75)
    width = max(1, round(font.getlength(text)) + 2)
    image = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(image).text((0, height / 2), text, fill="black", font=font, anchor="lm")
    return torch.from_numpy(np.array(image)).to(torch.float32) / 255


def _listed(counts: Sequence[int]) -> str:
    return " and ".join(str(count) for count in counts) or "none"
