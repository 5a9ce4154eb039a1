"""Strengths that change over time, drawn in the node that takes them."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .curves import Strength, per_frame
from .frame_plot import plot_over_frames
from .keyframes import parse_keyframes

CURVE_FRAMES = 65  # [ours] a curve has no frames of its own: enough points to look smooth


def changing_strengths(**strengths: Strength) -> Tensor | None:
    """A plot `1 h w 3` in [0, 1] of `strengths` by name; None when none of them changes, so that nothing is drawn.

    A node that takes a strength does not know the clip's length yet: the plot is for as many frames as the longest
    list or keyframe text speaks of.
    """
    num_frames = max(frames_told(value) for value in strengths.values())
    lines = {name: per_frame(value, num_frames, name=name) for name, value in strengths.items()}
    if not any(isinstance(line, list) for line in lines.values()):
        return None
    return plot_over_frames(
        {name: line if isinstance(line, list) else [line] for name, line in lines.items()}
    )


def frames_told(value: Any) -> int:
    """How many frames `value` speaks of: 1 for a number, a list's length, keyframes up to the last."""
    if isinstance(value, str):
        return parse_keyframes(value).frames[-1] + 1
    if isinstance(value, Tensor):
        return value.numel()
    if isinstance(value, Sequence) and not any(isinstance(entry, (list, tuple)) for entry in value):
        return len(value)
    return 1 if isinstance(value, (int, float)) else CURVE_FRAMES
