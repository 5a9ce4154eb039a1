"""The nodes around Apply ControlNet."""

import importlib

import pytest
from small_control import FRAMES, distance, pictures, plain, run, stock_control, video_control, weights


def node():
    return importlib.import_module("dreamoving.nodes.control").ControlStrength


def test_a_ramp_of_strength_guides_later_frames_more():
    control = video_control()

    ramp = node().execute(control, [0.0, 2.0])[0]

    free, guided = plain(), run(ramp, pictures())
    assert control.frame_strength == 1.0
    assert distance(guided[-1], free[-1]) > 2 * distance(guided[0], free[0])


def test_a_curve_from_the_widget_is_taken_as_it_comes():
    points = [[0.0, 1.0], [1.0, 1.0]]

    control = node().execute(video_control(), {"points": points, "interpolation": "linear"})[0]

    assert distance(run(control, pictures()), run(video_control(), pictures())) < 1e-6


def test_a_stock_controlnet_is_refused_with_the_remedy():
    from dreamoving.dreamoving_core.errors import InputError

    with pytest.raises(
        InputError, match=r"needs a Video ControlNet, got ControlNet. Load the file with Load Video"
    ):
        node().execute(stock_control(weights()), [0.0] * FRAMES)


def test_a_strength_that_is_no_number_is_refused_at_once():
    from dreamoving.dreamoving_core.errors import InputError

    with pytest.raises(InputError, match="must be a finite number"):
        node().execute(video_control(), [0.0, float("nan")])


def test_every_input_and_output_says_what_it_is():
    schema = node().GET_SCHEMA()

    assert schema.node_id == "DreaMovingControlStrength"
    assert all(item.tooltip for item in [*schema.inputs, *schema.outputs])
