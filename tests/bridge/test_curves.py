"""Strengths over time."""

import numpy as np
import pytest
import torch
from comfy_api.latest._input import CurveInput
from dreamoving.dreamoving_core.bridge.curves import always_zero, per_frame
from dreamoving.dreamoving_core.errors import InputError


@pytest.mark.parametrize("value", [0.7, 1, np.float32(0.5), [0.7], (0.7, 0.7, 0.7), torch.tensor([2.0, 2.0])])
def test_a_value_that_never_changes_stays_one_float(value):
    result = per_frame(value, 3)

    assert isinstance(result, float)
    assert result == pytest.approx(float(np.asarray(value).flat[0]))


def test_one_value_per_frame_is_taken_as_it_is():
    values = [0.1, 0.9, 0.2, 0.4]

    assert per_frame(values, 4) == values
    assert per_frame(np.array(values), 4) == values


def test_another_count_of_values_is_stretched_from_first_to_last_frame():
    assert per_frame([0.0, 1.0], 5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert per_frame([0.0, 1.0, 2.0, 3.0, 4.0], 3) == [0.0, 2.0, 4.0]
    assert per_frame([3.0, 1.0], 1) == 3.0


@pytest.mark.parametrize(
    "curve",
    [
        {"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "linear"},
        CurveInput.from_raw({"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "linear"}),
        [(0.0, 0.0), (1.0, 1.0)],
    ],
)
def test_a_curve_runs_from_the_first_frame_to_the_last(curve):
    assert per_frame(curve, 5) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0], abs=1e-12)
    assert per_frame(curve, 1) == 0.0


def test_a_bent_curve_equals_cores_own_evaluation():
    curve = CurveInput.from_raw([(0.0, 0.2), (0.3, 1.0), (1.0, 0.1)])

    assert per_frame(curve, 7) == pytest.approx([curve.interp(i / 6) for i in range(7)], abs=1e-12)


@pytest.mark.parametrize("value", [0, 0.0, [0.0, 0.0], {"points": [[0, 0], [1, 0]]}, torch.zeros(4)])
def test_zero_everywhere_is_recognised(value):
    assert always_zero(value)


@pytest.mark.parametrize("value", [1e-6, [0.0, 0.1, 0.0], {"points": [[0, 0], [0.5, 0.2], [1, 0]]}])
def test_a_value_that_is_zero_only_at_some_frames_is_not_zero(value):
    assert not always_zero(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "alpha_f is an empty list"),
        (float("nan"), "alpha_f must be a finite number at every frame, got nan at position 0 of 1"),
        ([0.0, float("inf")], "got inf at position 1 of 2"),
        ("high", "alpha_f cannot be read from 'high' on"),
        ([0.5, None], "a list of numbers, a curve or keyframes"),
        (None, "got NoneType"),
        ({"points": []}, "a curve without points"),
        ({"points": [[0.0, float("nan")]]}, "coordinates must be finite"),
    ],
)
def test_what_is_no_strength_is_refused_in_words(value, text):
    with pytest.raises(InputError, match=text.replace("(", r"\(")):
        per_frame(value, 4, name="alpha_f")
    with pytest.raises(InputError, match="alpha_f"):
        always_zero(value, name="alpha_f")


def test_a_clip_without_frames_is_refused():
    with pytest.raises(InputError, match="at least 1 frame, got 0"):
        per_frame(1.0, 0)
