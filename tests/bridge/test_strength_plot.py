"""The plot of strengths over the frames: nothing for plain numbers, and the drawn line goes where the values go."""

import pytest
import torch
from comfy_api.latest._input import CurveInput
from dreamoving.dreamoving_core.bridge.frame_plot import BOTTOM, LEFT, RIGHT, TOP
from dreamoving.dreamoving_core.bridge.strength_plot import changing_strengths, frames_told
from dreamoving.dreamoving_core.errors import InputError

RISING = {
    "list": [0.0, 0.25, 0.5, 0.75, 1.0],
    "tensor": torch.linspace(0, 1, 5),
    "curve": CurveInput.from_raw({"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "linear"}),
    "points": [[0.0, 0.0], [1.0, 1.0]],
    "keyframes": "0:(0.0), 24:(1.0)",
}


def line_heights(plot):
    """Where the first line (blue) lies in the columns of the plot, from 0 at its foot to 1 at its top."""
    red, green, blue = plot[0].unbind(-1)
    on_line = (blue > 0.8) & (blue - red > 0.3) & (green > 0.4)
    inside = on_line[TOP : on_line.shape[0] - BOTTOM + 2, LEFT + 1 : on_line.shape[1] - RIGHT - 1].float()
    rows = torch.arange(inside.shape[0]).float()[:, None]
    heights = 1 - (inside * rows).sum(0) / inside.sum(0) / (inside.shape[0] - 2)
    return heights[8:-8]  # at the corners another line may lie on it


@pytest.mark.parametrize("kind", RISING)
def test_a_rising_strength_is_drawn_as_a_rising_line(kind):
    plot = changing_strengths(alpha_f=RISING[kind], alpha_c=1.0)

    heights = line_heights(plot)
    assert (heights - torch.linspace(0, 1, len(heights) + 16)[8:-8]).abs().max() < 0.03


@pytest.mark.parametrize("still", [1.0, 0, [0.5], [0.5, 0.5, 0.5], "0:(0.7)"])
def test_what_does_not_change_is_not_drawn(still):
    assert changing_strengths(strength=still, scale=1.0) is None


def test_a_list_and_keyframes_are_drawn_on_the_same_frames():
    assert frames_told("0:(0), 31:(1)") == frames_told([0.0] * 32) == 32

    plot = changing_strengths(strength=[0.0, 1.0], scale="0:(1), 9:(0)")

    heights = line_heights(plot)
    assert abs(float(heights[len(heights) // 4]) - 0.25) < 0.03


def test_text_that_is_no_keyframes_is_refused_in_words():
    with pytest.raises(InputError, match="cannot be read"):
        changing_strengths(strength="strong")
