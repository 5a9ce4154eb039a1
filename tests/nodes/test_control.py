"""The nodes around Apply ControlNet."""

import importlib

import pytest
import torch
from dreamoving.dreamoving_core.bridge.sparse_frames import SparseFrames
from dreamoving.dreamoving_core.errors import InputError
from small_control import FRAMES, distance, pictures, plain, run, stock_control, video_control, weights


def node():
    return importlib.import_module("dreamoving.nodes.control").ControlStrength


def sparse_node():
    return importlib.import_module("dreamoving.nodes.control").SetSparseFrames


def sparse_control():
    """A SparseCtrl of drawings: a fourth channel, for the mask."""
    return video_control(
        weights()
        | {"input_hint_block.0.weight": torch.randn(16, 4, 3, 3, generator=torch.Generator().manual_seed(2))}
    )


def test_a_ramp_of_strength_guides_later_frames_more():
    control = video_control()

    ramp = node().execute(control, [0.0, 2.0])[0]

    free, guided = plain(), run(ramp, pictures())
    assert control.settings.frame_strength == 1.0
    assert distance(guided[-1], free[-1]) > 2 * distance(guided[0], free[0])


def test_a_curve_from_the_widget_is_taken_as_it_comes():
    points = [[0.0, 1.0], [1.0, 1.0]]

    control = node().execute(video_control(), {"points": points, "interpolation": "linear"})[0]

    assert distance(run(control, pictures()), run(video_control(), pictures())) < 1e-6


def test_a_stock_controlnet_is_refused_with_the_remedy():
    with pytest.raises(
        InputError, match=r"needs a Video ControlNet, got ControlNet. Load the file with Load Video"
    ):
        node().execute(stock_control(weights()), [0.0] * FRAMES)


def test_a_strength_that_is_no_number_is_refused_at_once():
    with pytest.raises(InputError, match="must be a finite number"):
        node().execute(video_control(), [0.0, float("nan")])


@pytest.mark.parametrize(
    ("chosen", "node_id"), [(node, "DreaMovingControlStrength"), (sparse_node, "DreaMovingSparseFrames")]
)
def test_every_input_and_output_says_what_it_is(chosen, node_id):
    schema = chosen().GET_SCHEMA()

    assert schema.node_id == node_id
    assert all(item.tooltip for item in [*schema.inputs, *schema.outputs])


def test_a_mask_goes_with_the_strength_and_leaves_the_original_alone():
    control, mask = video_control(), torch.zeros(1, 8, 8)

    masked = node().execute(control, 1.0, mask)[0]

    assert control.settings.frame_strength == 1.0
    assert torch.equal(run(masked, pictures()), plain())


@pytest.mark.parametrize(
    ("placement", "frames", "expected"),
    [
        ("by number", "0, -1", SparseFrames(numbers=(0, -1))),
        ("spread over the clip", "what stands here does not matter", SparseFrames(spread=True)),
    ],
)
def test_sparse_frames_are_set_on_a_copy(placement, frames, expected):
    control = sparse_control()

    placed = sparse_node().execute(control, placement, frames)[0]

    assert placed.settings.sparse_frames == expected
    assert control.settings.sparse_frames == SparseFrames()
    assert distance(run(placed, pictures(2)), plain()) > 1e-3


def test_the_defaults_of_sparse_frames_put_one_picture_on_the_first_frame():
    defaults = {slot.id: slot.default for slot in sparse_node().GET_SCHEMA().inputs[1:]}

    assert torch.equal(
        run(sparse_node().execute(sparse_control(), **defaults)[0], pictures(1), steps=1),
        run(sparse_control(), pictures(1), steps=1),
    )


def test_a_stock_controlnet_has_no_sparse_frames():
    with pytest.raises(InputError, match="frames of pictures needs a Video ControlNet, got ControlNet"):
        sparse_node().execute(stock_control(weights()), "by number", "0")
