"""Values over the frames of a clip, drawn as one small picture for a node."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIZE = (512, 224)  # pixels; a node's width
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 30, 24
GROUND, GRID, TEXT = "#1b1b1f", "#3a3a42", "#c8c8d0"
LINES = ("#6fb3ff", "#ffb454", "#7fd88f", "#ff7f9d", "#c79bff", "#5fd7d7", "#e6e060", "#d0d0d0")
LEAST_SPAN = 1e-6  # a line that lies on the ground gets an axis up to 1
MARK = "#ff5f5f"
SCALE = 2  # drawn larger, then averaged: smooth lines


def plot_over_frames(series: Mapping[str, Sequence[float]], *, marks: Sequence[int] = ()) -> Tensor:
    """`1 h w 3` in [0, 1]: one line per entry, the first frame at the left, names above.

    NaN is a gap. `marks`: frames where every line gets a ring.
    """
    width, height = (side * SCALE for side in SIZE)
    picture = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12 * SCALE)
    known = [value for values in series.values() for value in values if not math.isnan(value)]
    lowest = min(0.0, *known)
    highest = max(*known, lowest)
    if highest - lowest < LEAST_SPAN:
        highest = lowest + 1.0
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
        draw.text((x0 - 6 * SCALE, y), short(value), fill=TEXT, font=font, anchor="rm")
    last = max(len(values) for values in series.values()) - 1
    for frame in sorted({0, last // 2, last}):
        x, y = place(frame / max(last, 1), lowest)
        draw.text((x, y + 5 * SCALE), str(frame), fill=TEXT, font=font, anchor="mt")
    at = box[0]
    for (name, values), colour in zip(series.items(), LINES * (len(series) // len(LINES) + 1), strict=False):
        for run in without_gaps(values):
            points = [place(frame / max(len(values) - 1, 1), values[frame]) for frame in run]
            if len(values) == 1:
                points.append(place(1.0, values[0]))
            if len(points) == 1:
                draw.ellipse(around(points[0], 2 * SCALE), fill=colour)
            draw.line(points, fill=colour, width=2 * SCALE, joint="curve")
        for frame in marks:
            if not math.isnan(values[frame]):
                at_mark = place(frame / max(len(values) - 1, 1), values[frame])
                draw.ellipse(around(at_mark, 5 * SCALE), outline=MARK, width=SCALE)
        if at < box[2]:  # what finds no room in the legend is told by its place
            draw.text((at, 8 * SCALE), name, fill=colour, font=font)
            at += draw.textlength(name, font=font) + 14 * SCALE
    small = picture.resize(SIZE, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(small, dtype=np.float32) / 255.0)[None]


def without_gaps(values: Sequence[float]) -> Iterator[range]:
    """Frames in runs of which none is NaN."""
    start = None
    for frame, value in enumerate([*values, math.nan]):
        if math.isnan(value):
            if start is not None:
                yield range(start, frame)
            start = None
        elif start is None:
            start = frame


def around(point: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    """The box of a circle."""
    return (point[0] - radius, point[1] - radius, point[0] + radius, point[1] + radius)


def short(value: float) -> str:
    """A number that fits beside the plot."""
    digits = f"{value:.3g}"
    return digits if len(digits) <= 6 else f"{value:.2g}"
