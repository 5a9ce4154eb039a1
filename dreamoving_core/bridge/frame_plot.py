"""Values over the frames of a clip, drawn as one small picture for a node."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIZE = (512, 224)  # pixels; a node's width
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 30, 24
GROUND, GRID, TEXT = "#1b1b1f", "#3a3a42", "#c8c8d0"
LINES = ("#6fb3ff", "#ffb454", "#7fd88f", "#ff7f9d", "#c79bff", "#5fd7d7", "#e6e060", "#d0d0d0")
SCALE = 2  # drawn larger, then averaged: smooth lines


def plot_over_frames(series: Mapping[str, Sequence[float]]) -> Tensor:
    """`1 h w 3` in [0, 1]: one line per entry, the first frame at the left, a legend for more than one."""
    width, height = (side * SCALE for side in SIZE)
    picture = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12 * SCALE)
    lowest = min(0.0, *(min(values) for values in series.values()))
    highest = max(max(max(values) for values in series.values()), lowest + 1e-6)
    span = highest - lowest
    box = (LEFT * SCALE, TOP * SCALE, width - RIGHT * SCALE, height - BOTTOM * SCALE)

    def place(share: float, value: float) -> tuple[float, float]:
        return (
            box[0] + share * (box[2] - box[0]),
            box[3] - (value - lowest) / span * (box[3] - box[1]),
        )

    for step in range(5):
        value = lowest + span * step / 4
        (x0, y), (x1, _) = place(0.0, value), place(1.0, value)
        draw.line([(x0, y), (x1, y)], fill=GRID, width=SCALE)
        draw.text((x0 - 6 * SCALE, y), f"{value:.3g}", fill=TEXT, font=font, anchor="rm")
    last = max(len(values) for values in series.values()) - 1
    for frame in sorted({0, last // 2, last}):
        x, y = place(frame / max(last, 1), lowest)
        draw.text((x, y + 5 * SCALE), str(frame), fill=TEXT, font=font, anchor="mt")
    at = box[0]
    for (name, values), colour in zip(series.items(), LINES * (len(series) // len(LINES) + 1), strict=False):
        points = [place(frame / max(len(values) - 1, 1), value) for frame, value in enumerate(values)]
        if len(points) == 1:
            points.append(place(1.0, values[0]))
        draw.line(points, fill=colour, width=2 * SCALE, joint="curve")
        if at < box[2]:  # what finds no room in the legend is told by its place
            draw.text((at, 8 * SCALE), name, fill=colour, font=font)
            at += draw.textlength(name, font=font) + 14 * SCALE
    small = picture.resize(SIZE, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(small, dtype=np.float32) / 255.0)[None]
