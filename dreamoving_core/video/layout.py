"""Several clips or pictures in one frame: side by side, and the contact sheet. Axes: f h w c in [0, 1]."""

from collections.abc import Iterator, Sequence

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
    num_frames = max(counts, default=0)
    if not counts or any(count not in (1, num_frames) for count in counts):
        raise InputError(
            f"Clips side by side need the same number of frames, or one still picture; got {_listed(counts)}. "
            "Trim the longer one, or sample as many frames as the driving clip has."
        )
    height = height or max(clip.shape[1] for clip in clips)
    return (
        torch.cat(
            [at_height(rgb(clip[i % len(clip)], number=i + 1), height).to(clips[-1]) for clip in clips], dim=1
        )
        for i in range(num_frames)
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


def _strip(images: Tensor, height: int, max_columns: int, gap: int) -> Tensor:
    if len(images) == 0:
        raise InputError(
            "A row of a contact sheet holds no pictures. Leave the row out, or give it at least one."
        )
    picked = (
        torch.linspace(0, len(images) - 1, min(len(images), max_columns)).round().to(torch.int64).tolist()
    )
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
