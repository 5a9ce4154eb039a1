"""The Video ControlNet in a real ComfyUI, driven by its own nodes."""

import pytest
import torch
from small_control import (
    FRAMES,
    SIZE,
    apply,
    distance,
    fresh_model,
    motion_config,
    pictures,
    plain,
    run,
    steered,
    stock_control,
    video_control,
    weights,
    with_zero_motion,
)
from small_host import conditioning


def errors():
    from dreamoving.dreamoving_core import errors

    return errors


def count_encoded_frames(control):
    """A list that grows by the number of frames of each pass through the hint encoder."""
    seen = []
    control.control_model.input_hint_block.register_forward_hook(
        lambda _m, args, _out: seen.append(len(args[0]))
    )
    return seen


def in_chain(prompts):
    """The control objects that the sampler will meet."""
    control, found = prompts[0][0][1]["control"], []
    while control is not None:
        found.append(control)
        control = control.previous_controlnet
    return found


def test_it_follows_its_pictures_and_stays_finite():
    free = plain()

    one, other = (run(video_control(), pictures(seed=seed)) for seed in (0, 1))

    assert torch.isfinite(one).all()
    assert distance(one, free) > 0.02
    assert distance(one, other) > 0.02


def test_zero_initialised_motion_is_the_image_controlnet_bit_for_bit():
    stock = run(stock_control(weights()), pictures())

    assert torch.equal(run(video_control(with_zero_motion(weights())), pictures()), stock)
    assert distance(run(video_control(), pictures()), stock) > 1e-3


def test_without_motion_blocks_it_is_the_image_controlnet_bit_for_bit():
    image_part = {key: value for key, value in weights().items() if not key.startswith("motion.")}

    assert torch.equal(run(video_control(image_part), pictures()), run(stock_control(weights()), pictures()))


@pytest.mark.parametrize(("strength", "frame_strength"), [(0.0, 1.0), (1.0, 0.0), (1.0, [0.0] * FRAMES)])
def test_strength_zero_is_no_control_bit_for_bit(strength, frame_strength):
    control = steered(video_control(), frame_strength)
    prompts = apply(control, pictures())
    prompts[0][0][1]["control"].strength = strength  # the stock node itself leaves out strength 0

    seen = count_encoded_frames(control)

    controlled = plain(None, *prompts)

    assert torch.equal(controlled, plain())
    assert seen == []


def test_a_strength_per_frame_is_for_each_frame_what_that_strength_is_for_all():
    strengths = [0.0, 1.0] * (FRAMES // 2)
    control = video_control(with_zero_motion(weights()))  # frames then do not depend on each other
    expected = torch.stack([run(control, pictures(), strength=s or 1e-9)[f] for f, s in enumerate(strengths)])

    assert distance(run(steered(control, strengths), pictures()), expected) < 1e-6


def test_the_nodes_strength_multiplies_the_frames():
    ramp, half = steered(video_control(), [0.2, 1.0]), steered(video_control(), [0.1, 0.5])

    assert distance(run(ramp, pictures(), strength=0.5), run(half, pictures())) < 1e-6


def test_start_and_end_percent_choose_the_steps_in_which_the_network_runs():
    control = video_control()
    calls = []
    control.control_model.middle_block_out.register_forward_hook(lambda *_: calls.append(1))

    run(control, pictures(), steps=4, start=0.5)
    late = len(calls)
    run(control, pictures(), steps=4, end=0.0)

    assert late > 0
    assert late < 8  # of 4 steps, each with one or two calls


def test_one_picture_holds_for_all_frames():
    control = video_control()
    one = pictures(1)

    assert distance(run(control, one), run(control, one.expand(FRAMES, -1, -1, -1))) < 1e-6


@pytest.mark.parametrize("count", [2, 5, 7])
def test_a_wrong_number_of_pictures_is_refused_with_both_numbers(count):
    with pytest.raises(
        errors().InputError, match=rf"got {count} control images for a video of {FRAMES} frames"
    ):
        run(video_control(), pictures(count))


def test_masks_become_grey_and_alpha_is_laid_over_black():
    grey, rgba = pictures(channels=1), pictures(channels=4)

    assert torch.equal(run(video_control(), grey), run(video_control(), grey.expand(-1, -1, -1, 3)))
    assert torch.equal(run(video_control(), rgba), run(video_control(), rgba[..., :3] * rgba[..., 3:]))


def test_pictures_of_two_channels_are_refused():
    with pytest.raises(errors().InputError, match="pictures of 3 channels, got 2"):
        run(video_control(), pictures(channels=2))


def test_pictures_with_nan_are_refused():
    images = pictures()
    images[3, 0, 0, 0] = torch.nan

    with pytest.raises(errors().InputError, match="NaN or infinity"):
        run(video_control(), images)


def test_pictures_of_another_size_are_fitted_as_core_fits_them():
    images = torch.rand(FRAMES, 30, 50, 3, generator=torch.Generator().manual_seed(0))
    state = with_zero_motion(weights())

    assert torch.equal(run(video_control(state), images), run(stock_control(state), images))


@pytest.mark.parametrize("ours_first", [True, False])
def test_it_chains_with_a_stock_controlnet_on_either_side(ours_first):
    video, stock = video_control(), stock_control(weights())
    pose, depth = pictures(), pictures(seed=1)
    steps = [(video, pose), (stock, depth)] if ours_first else [(stock, depth), (video, pose)]

    chained = run(*steps[1], conds=apply(*steps[0]))

    other_way = run(*steps[0], conds=apply(*steps[1]))
    assert distance(chained, other_way) < 1e-6
    assert distance(chained, run(video, pose)) > 0.01
    assert distance(chained, run(stock, depth)) > 0.01


def test_splitting_the_two_prompts_by_memory_changes_nothing(monkeypatch):
    import comfy.model_base

    together = run(video_control(), pictures())
    calls = []
    monkeypatch.setattr(
        comfy.model_base.BaseModel,
        "memory_required",
        lambda self, shape, cond_shapes=None: calls.append(shape) or 1e30,
    )

    apart = run(video_control(), pictures())

    assert calls
    assert distance(apart, together) < 1e-6


def test_three_prompts_and_control_on_one_of_them_count_their_frames_right():
    positive, negative = apply(video_control(), pictures())
    extra = conditioning(seed=9)

    combined = plain(None, positive + extra, conditioning(seed=2))
    shared = plain(None, positive + positive, negative)

    assert torch.isfinite(combined).all()
    assert distance(shared, plain(None, positive, negative)) < 1e-6


def test_a_copy_keeps_everything_and_shares_only_the_weights():
    control = steered(video_control(), [0.25, 0.75], torch.eye(2)[None])
    control.set_cond_hint(pictures().movedim(-1, 1), 0.5, (0.1, 0.9))
    control.hint_features[SIZE, SIZE] = torch.zeros(1)

    twin = control.copy()

    assert type(twin) is type(control)
    assert twin.control_model is control.control_model
    assert twin.control_model_wrapped is control.control_model_wrapped
    assert twin.settings is control.settings
    assert twin.settings.frame_strength == [0.25, 0.75]
    assert (twin.strength, twin.timestep_percent_range) == (0.5, (0.1, 0.9))
    assert (twin.load_device, twin.manual_cast_dtype) == (control.load_device, control.manual_cast_dtype)
    assert twin.cond_hint_original is control.cond_hint_original
    assert twin.hint_features == {}


def test_a_clone_for_another_gpu_has_its_own_weights_and_the_same_result():
    control = steered(video_control(), 0.5)
    clone = control.deepclone_multigpu(torch.device("cpu"), autoregister=True)

    assert clone.control_model is not control.control_model
    assert control.get_instance_for_device(torch.device("cpu")) is clone
    assert len(control.get_models()) == 2
    assert torch.equal(run(clone, pictures()), run(control, pictures()))


def test_memory_is_asked_for_the_features_of_every_frame_of_the_whole_chain():
    prompts = apply(video_control(), pictures(16), conds=apply(video_control(), pictures(8)))
    depth, pose = in_chain(prompts)

    alone = depth.inference_memory_requirements(torch.float32) - pose.inference_memory_requirements(
        torch.float32
    )

    assert len(depth.get_models()) == 2
    assert alone > 16 * 32 * SIZE**2 * 4
    assert alone - pose.inference_memory_requirements(torch.float32) == 8 * 32 * SIZE**2 * 4


def test_after_a_run_no_features_are_left():
    prompts = apply(video_control(), pictures())

    plain(None, *prompts)

    assert in_chain(prompts)[0].hint_features == {}


def test_an_exception_in_the_model_lets_the_features_go_and_the_next_run_is_clean():
    import comfy.patcher_extension

    prompts = apply(video_control(), pictures())
    control = in_chain(prompts)[0]
    held, model = [], fresh_model()

    def fail(executor, *args, **kwargs):
        held.append(len(control.hint_features))
        raise RuntimeError("cancelled")

    broken = model.clone()
    broken.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "test", fail)
    with pytest.raises(RuntimeError, match="cancelled"):
        plain(broken, *prompts)

    assert held == [1]
    assert control.hint_features == {}
    assert not broken.callbacks.get(comfy.patcher_extension.CallbacksMP.ON_CLEANUP)
    assert torch.equal(plain(model, *prompts), run(video_control(), pictures()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_small_weights_are_cast_at_use(dtype):
    exact = run(video_control(), pictures())

    control = video_control(dtype=dtype)
    cast = run(control, pictures())

    assert next(control.control_model.parameters()).dtype == dtype
    assert control.manual_cast_dtype == torch.float32
    assert (cast - exact).norm() / exact.norm() < {torch.float16: 0.01, torch.bfloat16: 0.05}.get(dtype, 0.5)


def test_a_model_of_another_family_is_refused_with_both_widths():
    from dreamoving.dreamoving_core.bridge.video_controlnet import load_video_controlnet
    from small_control import control_model
    from small_host import small_config

    wide = {**small_config().unet_config(), "context_dim": 96}
    network = control_model(motion_config(), unet_config=wide)
    control = load_video_controlnet(network.state_dict(), unet_config=wide)

    with pytest.raises(errors().InputError, match="text width is 96, the model's is 64"):
        run(control, pictures())
