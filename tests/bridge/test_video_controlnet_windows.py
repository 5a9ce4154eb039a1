"""The Video ControlNet under context windows: each window sees its own control pictures."""

import pytest
import torch
from small_control import (
    apply,
    distance,
    fresh_model,
    pictures,
    run,
    steered,
    stock_control,
    video_control,
    weights,
    with_zero_motion,
)


def errors():
    from dreamoving.dreamoving_core import errors

    return errors


def windowed(model, *, anchor, length=32, overlap=8):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    return ContextWindowsManualNode.execute(
        model, length, overlap, "standard_static", 1, False, "pyramid", 0, False, causal_window_fix=anchor
    )[0]


def count_encoded_frames(control):
    """A list that grows by the number of frames of each pass through the hint encoder."""
    seen = []
    control.control_model.input_hint_block.register_forward_hook(
        lambda _m, args, _out: seen.append(len(args[0]))
    )
    return seen


@pytest.mark.parametrize("anchor", [True, False])
def test_every_context_window_sees_its_own_poses_and_a_stock_controlnet_does_not(anchor):
    frames, small = 96, {"steps": 1, "cfg": 1.0}
    state = with_zero_motion(weights())  # frames then do not depend on each other, and windows must not show
    images = pictures(frames)
    whole = run(stock_control(state), images, frames=frames, **small)

    ours = run(
        video_control(state), images, model=windowed(fresh_model(), anchor=anchor), frames=frames, **small
    )
    stock = run(
        stock_control(state), images, model=windowed(fresh_model(), anchor=anchor), frames=frames, **small
    )

    assert distance(ours, whole) < 1e-6
    assert distance(stock[:24], whole[:24]) < 1e-6  # the first window, before the second blends in
    assert min(distance(stock[f], whole[f]) for f in range(32, 96)) > 5e-3


@pytest.mark.parametrize("anchor", [True, False])
def test_the_network_gets_the_features_of_exactly_the_frames_that_core_computes(anchor):
    import comfy.context_windows as core
    from comfy.patcher_extension import add_callback_with_key

    control, images = video_control(), pictures(10)
    model, computed, given = windowed(fresh_model(), anchor=anchor, length=4, overlap=1), [], []
    whole = control.control_model.encode_hint(images.movedim(-1, 1)).detach()

    def on_window(handler, model, x_in, conds, timestep, options, index, window, *_):
        anchored = getattr(window, "causal_anchor_index", None)
        computed.append(window.index_list if anchored is None else [anchored, *window.index_list])

    handler = model.model_options["context_handler"]
    add_callback_with_key(
        core.IndexListCallbacks.EVALUATE_CONTEXT_WINDOWS, "test", on_window, handler.callbacks
    )
    hook = control.control_model.register_forward_pre_hook(
        lambda _m, _args, kwargs: given.append(kwargs["hint_features"].clone()), with_kwargs=True
    )

    run(control, images, model=model, frames=10, steps=1, cfg=1.0)
    hook.remove()

    assert [len(frames) for frames in computed] == ([4, 5, 5] if anchor else [4, 4, 4])
    assert len(given) == 3
    assert all(distance(found, whole[frames]) < 1e-5 for found, frames in zip(given, computed, strict=True))


@pytest.mark.parametrize("anchor", [True, False])
def test_pose_and_depth_together_see_their_own_frames_in_every_window(anchor):
    frames, small = 40, {"steps": 1, "cfg": 1.0}
    pose, depth = pictures(frames), pictures(frames, seed=5)

    def both(model):
        control = steered(video_control(with_zero_motion(weights())), [0.0, 1.0])  # a ramp over the clip
        first = apply(control, pose)
        return run(control, depth, conds=first, model=model, frames=frames, **small)

    assert distance(both(windowed(fresh_model(), anchor=anchor, length=16, overlap=4)), both(None)) < 1e-6


def test_each_picture_is_encoded_once_in_a_run_whatever_the_steps_and_windows():
    control = video_control()
    seen = count_encoded_frames(control)

    run(
        control,
        pictures(14),
        model=windowed(fresh_model(), anchor=True, length=6, overlap=2),
        frames=14,
        steps=3,
    )

    assert sum(seen) == 14


def test_the_pictures_of_a_windowed_video_are_counted_against_the_whole_video():
    model = windowed(fresh_model(), anchor=True, length=8, overlap=2)

    with pytest.raises(errors().InputError, match="got 8 control images for a video of 12 frames"):
        run(video_control(), pictures(8), model=model, frames=12, steps=1)


def test_windows_over_another_axis_are_refused():
    model = windowed(fresh_model(), anchor=False, length=2, overlap=1)
    model.model_options["context_handler"].dim = 2

    with pytest.raises(errors().InputError, match="windows over frames, dim 0, got dim 2"):
        run(video_control(), pictures(), model=model)


def test_animatediff_evolved_windows_are_understood():
    from dreamoving.dreamoving_core.bridge.control_frames import at_frames, frames_in_view

    options = {"ad_params": {"sub_idxs": [4, 5, 0], "full_length": 6}}

    total, indices = frames_in_view(options, 3)

    assert (total, indices) == (6, [4, 5, 0])
    assert at_frames(torch.arange(6), indices).tolist() == [4, 5, 0]
    assert frames_in_view({"ad_params": {"sub_idxs": None}}, 3) == (3, None)
    with pytest.raises(errors().InputError, match="names 3 frames, but 4 are computed"):
        frames_in_view(options, 4)
