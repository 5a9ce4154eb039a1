"""Strengths that change over time: one number, a number per frame, ComfyUI's curve, or keyframe text.

Frame axis: position 0 is the first frame of the whole clip, also when it is sampled in context windows.
"""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from comfy_api.latest._input import CurveInput
from torch import Tensor

from ..errors import InputError
from .keyframes import EXAMPLE, parse_keyframes

Strength = float | Sequence[float] | CurveInput | dict | str


def per_frame(value: Strength | Tensor, num_frames: int, *, name: str = "strength") -> float | list[float]:
    """What `value` is at every frame: a float when all frames share it, else `num_frames` floats.

    A number holds for all frames. One value per frame is taken as it is. Any other count is stretched linearly, its
    first value on the first frame and its last on the last ([ours]: two numbers are a ramp). A curve (CurveInput, its
    raw dict, or a list of x, y points) is read from x = 0 at the first frame to x = 1 at the last. Keyframe text,
    `0:(0.2), 24:(1.0)`, counts frames and is linear in between.
    Raises InputError, naming the input by `name`, for an empty list, text without keyframes, NaN and infinity.
    """
    if num_frames < 1:
        raise InputError(
            f"{name} needs at least 1 frame, got {num_frames}. Give the clip a positive number of frames."
        )
    values = _checked(value, num_frames, name=name)
    if min(values) == max(values):
        return values[0]
    if len(values) == num_frames:
        return values
    if num_frames == 1:
        return values[0]
    stretched = np.interp(np.linspace(0, len(values) - 1, num_frames), np.arange(len(values)), values)
    return stretched.tolist()


def always_zero(value: Strength | Tensor, *, name: str = "strength") -> bool:
    """Whether `value` is 0 at every frame of a clip of any length; checks `value` as `per_frame` does."""
    if _is_curve(value):
        return not any(y for _, y in _curve(value, name=name).points)
    if isinstance(value, str):
        return not any(parse_keyframes(value, name=name).values)
    return not any(_checked(value, 1, name=name))


def _checked(value: Any, num_frames: int, *, name: str) -> list[float]:
    values = _samples(value, num_frames, name=name)
    for index, number in enumerate(values):
        if not math.isfinite(number):
            raise InputError(
                f"{name} must be a finite number at every frame, got {number} at position {index} of {len(values)}. "
                "Check the node that computes it."
            )
    return values


def _samples(value: Any, num_frames: int, *, name: str) -> list[float]:
    """Floats before stretching: at least one."""
    if isinstance(value, Real):
        return [float(value)]
    if _is_curve(value):
        return _curve(value, name=name).interp_array(_positions(num_frames)).tolist()
    if isinstance(value, str):
        return parse_keyframes(value, name=name).at(num_frames)
    if isinstance(value, Tensor):
        value = value.detach().float().flatten().tolist()
    if isinstance(value, np.ndarray):
        value = value.astype(np.float64).ravel().tolist()
    if not isinstance(value, Sequence) or not all(isinstance(x, Real) for x in value):
        raise InputError(
            f"{name} must be a number, a list of numbers, a curve or keyframes, got {_describe(value)}. "
            f"Connect a float, a list of floats, a Curve or a text such as {EXAMPLE}."
        )
    if not value:
        raise InputError(f"{name} is an empty list. Give one number, or one number per frame.")
    return [float(x) for x in value]


def _positions(num_frames: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, num_frames) if num_frames > 1 else np.zeros(1)


def _is_curve(value: Any) -> bool:
    if isinstance(value, (CurveInput, dict)):
        return True
    return isinstance(value, (list, tuple)) and bool(value) and all(_is_point(x) for x in value)


def _is_point(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(x, Real) for x in value)


def _curve(value: Any, *, name: str) -> CurveInput:
    points = (
        value.points
        if isinstance(value, CurveInput)
        else value.get("points")
        if isinstance(value, dict)
        else value
    )
    if not points or not all(_is_point(p) for p in points):
        raise InputError(
            f"{name} is a curve without points, got {_describe(value)}. Draw at least one point."
        )
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            raise InputError(
                f"{name} is a curve with the point ({x}, {y}); coordinates must be finite numbers."
            )
    return CurveInput.from_raw(value)


def _describe(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
