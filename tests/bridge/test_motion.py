"""Motion blocks in ComfyUI's U-Net: the patched network equals the one with the blocks built in."""

import math
from dataclasses import replace

import comfy.context_windows
import comfy.model_sampling
import pytest
import torch
from dreamoving.dreamoving_core.bridge.insertion import find_slots, fitting_config, open_insertion
from dreamoving.dreamoving_core.bridge.motion import apply_motion, load_motion
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.models.motion import MotionConfig
from small_host import sample_latents, small_model
from small_motion import DOWN, UP, Calls, built_in_model, motion_weights, small_motion


def windowed(model, *, length, overlap=2, anchor=False):
    """What ContextWindowsManual does."""
    handler = comfy.context_windows.IndexListContextHandler(
        context_schedule=comfy.context_windows.get_matching_context_schedule("standard_static"),
        fuse_method=comfy.context_windows.get_matching_fuse_method("pyramid"),
        context_length=length, context_overlap=overlap, context_stride=1, closed_loop=False, dim=0, freenoise=False,
        causal_window_fix=anchor,
    )  # fmt: skip
    model = model.clone()
    model.model_options["context_handler"] = handler
    comfy.context_windows.create_prepare_sampling_wrapper(model)
    return model


# ---- the same network


@pytest.mark.parametrize("mid", [True, False])
@pytest.mark.parametrize("cfg", [2.0, 1.0])
def test_the_patched_unet_samples_what_the_unet_with_blocks_built_in_samples(small_sd15, mid, cfg):
    motion = small_motion(small_sd15, mid=mid)

    patched = sample_latents(apply_motion(small_sd15, motion, beta_schedule="keep"), cfg=cfg)

    assert torch.equal(patched, sample_latents(built_in_model(motion, num_frames=8), cfg=cfg))


def test_blocks_stand_where_animatediff_puts_them(small_sd15):
    unet = small_sd15.model.diffusion_model

    slots = find_slots(unet)

    assert [(s.container, s.position) for s in slots["down"]] == [
        (unet.input_blocks[i], at) for i, at in DOWN
    ]
    assert [(s.container, s.position) for s in slots["up"]] == [(unet.output_blocks[i], at) for i, at in UP]
    assert [(s.container, s.position) for s in slots["mid"]] == [(unet.middle_block, 2)]


def test_blocks_find_their_place_beside_another_packs_modules(small_sd15):
    unet = small_sd15.model.diffusion_model
    unet.input_blocks[1].insert(0, torch.nn.Identity())
    unet.output_blocks[2].insert(1, torch.nn.Identity())

    slots = find_slots(unet)

    assert slots["down"][0].position == 3
    assert slots["up"][2].position == 1
    assert len(slots["down"]) + len(slots["up"]) == 20


def test_a_new_motion_model_changes_no_bit(small_sd15):
    before = sample_latents(small_sd15)

    after = sample_latents(
        apply_motion(small_sd15, small_motion(small_sd15, zero=True), beta_schedule="keep")
    )

    assert torch.equal(after, before)


@pytest.mark.parametrize("strength", [0, 0.0, [0.0, 0.0], {"points": [[0.0, 0.0], [1.0, 0.0]]}])
def test_strength_zero_is_the_stock_graph_bit_for_bit(small_sd15, strength):
    before = sample_latents(small_sd15)

    off = apply_motion(small_sd15, small_motion(small_sd15), strength=strength)

    assert torch.equal(sample_latents(off), before)
    assert not off.wrappers.get("apply_model", {}).get("dreamoving_motion")
    assert not torch.equal(sample_latents(apply_motion(small_sd15, small_motion(small_sd15))), before)


def test_applying_leaves_the_given_model_alone(small_sd15):
    before = sample_latents(small_sd15)
    keys = list(small_sd15.model.state_dict())

    sample_latents(apply_motion(small_sd15, small_motion(small_sd15)))

    assert torch.equal(sample_latents(small_sd15), before)
    assert list(small_sd15.model.state_dict()) == keys
    assert not small_sd15.additional_models
    assert not small_sd15.object_patches
    assert not any(small_sd15.wrappers.values())


def test_applying_again_replaces(small_sd15):
    first, second = small_motion(small_sd15, seed=3), small_motion(small_sd15, seed=4)
    once = sample_latents(apply_motion(small_sd15, second, strength=0.5))

    twice = apply_motion(apply_motion(small_sd15, first), second, strength=0.5)

    assert torch.equal(sample_latents(twice), once)
    assert twice.object_patches["memory_usage_factor"] == pytest.approx(1.15)


def test_applying_again_with_strength_zero_gives_the_stock_model_back(small_sd15):
    motion, before = small_motion(small_sd15), sample_latents(small_sd15)

    off = apply_motion(apply_motion(small_sd15, motion), motion, strength=0)

    assert torch.equal(sample_latents(off), before)
    assert not off.object_patches


def test_the_same_run_twice_is_bit_identical(small_sd15):
    model = apply_motion(small_sd15, small_motion(small_sd15))

    assert torch.equal(sample_latents(model), sample_latents(model))


def test_a_single_frame_is_sampled(small_sd15):
    assert sample_latents(apply_motion(small_sd15, small_motion(small_sd15)), frames=1).isfinite().all()


# ---- settings over frames and steps


@pytest.mark.parametrize(
    ("start", "end", "steps"), [(0.0, 1.0, [0, 1, 2, 3]), (0.5, 1.0, [2, 3]), (0.0, 0.4, [0, 1])]
)
def test_motion_runs_in_the_steps_between_start_and_end(small_sd15, start, end, steps):
    motion = small_motion(small_sd15)
    calls = Calls(motion)

    sample_latents(apply_motion(small_sd15, motion, start_percent=start, end_percent=end), steps=4)

    assert len(calls) == len(steps)


@pytest.mark.parametrize("anchor", [False, True])
def test_values_per_frame_follow_the_context_window(small_sd15, anchor):
    motion = small_motion(small_sd15)
    calls = Calls(motion)
    strength, scale = [0.1 * i for i in range(1, 13)], [1 + 0.1 * i for i in range(12)]

    model = apply_motion(small_sd15, motion, strength=strength, scale=scale)
    sample_latents(windowed(model, length=6, anchor=anchor), frames=12, steps=1)

    windows = [list(range(6)), list(range(4, 10)), list(range(6, 12))]
    if anchor:
        windows = [w if w[0] == 0 else [w[0] - 1, *w] for w in windows]
    assert [c["num_frames"] for c in calls] == [len(w) for w in windows]
    for call, window in zip(calls, windows, strict=True):
        assert call["effect"].tolist() == pytest.approx([strength[i] for i in window])
        assert call["scale"].tolist() == pytest.approx([scale[i] for i in window])


def test_a_frame_with_strength_zero_in_all_steps_moves_on_its_own(small_sd15):
    """Frames with strength 0 are what they are without motion; the others are not."""
    motion = small_motion(small_sd15)
    still = sample_latents(small_sd15)

    mixed = sample_latents(
        apply_motion(small_sd15, motion, strength=[0.0] * 4 + [1.0] * 4, beta_schedule="keep")
    )

    assert torch.allclose(mixed[:4], still[:4], rtol=1e-5, atol=1e-4)
    assert not torch.allclose(mixed[4:], still[4:], rtol=1e-2)


# ---- noise schedule


@pytest.mark.parametrize("v_prediction", [False, True])
def test_auto_gives_animatediffs_betas_and_keeps_the_kind_of_prediction(v_prediction):
    model = small_model(v_prediction=v_prediction)
    kind = type(model.model.model_sampling)

    sampling = apply_motion(model, small_motion(model)).get_model_object("model_sampling")

    alphas = torch.cumprod(1 - torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64), 0)
    assert torch.allclose(sampling.sigmas, ((1 - alphas) / alphas).sqrt().float())
    assert sampling.sigma_max.item() == pytest.approx(25.146, abs=1e-3)
    assert type(sampling) is kind
    assert model.get_model_object("model_sampling").sigma_max.item() == pytest.approx(14.615, abs=1e-3)


def test_the_file_or_the_user_may_keep_the_models_own_betas(small_sd15):
    config = fitting_config(small_sd15)
    asks = load_motion(motion_weights(config), config, info={"beta_schedule": "keep"})

    assert "model_sampling" not in apply_motion(small_sd15, asks).object_patches
    assert (
        "model_sampling"
        not in apply_motion(small_sd15, small_motion(small_sd15), beta_schedule="keep").object_patches
    )
    assert "model_sampling" in apply_motion(small_sd15, asks, beta_schedule="linear").object_patches


# ---- memory


def test_the_memory_estimate_grows_before_and_during_sampling(small_sd15):
    seen = {}

    def watch(model, name):
        def prepare(executor, model, noise_shape, conds, *args, **kwargs):
            seen[name, "prepare"] = math.prod(noise_shape)
            return executor(model, noise_shape, conds, *args, **kwargs)

        def calc(executor, *args, **kwargs):
            seen[name, "calc"] = args[0].memory_required([8, 4, 8, 8])
            return executor(*args, **kwargs)

        model = model.clone()
        model.add_wrapper_with_key("prepare_sampling", "zz", prepare)
        model.add_wrapper_with_key("calc_cond_batch", "zz", calc)
        sample_latents(model, steps=1)

    watch(small_sd15, "stock")
    watch(apply_motion(small_sd15, small_motion(small_sd15)), "motion")

    assert seen["motion", "prepare"] > seen["stock", "prepare"]
    assert seen["motion", "calc"] == pytest.approx(1.15 * seen["stock", "calc"])


def test_motion_weights_are_in_comfyuis_care(small_sd15):
    motion = small_motion(small_sd15)

    model = apply_motion(small_sd15, motion)

    (patcher,) = model.get_additional_models_with_key("dreamoving_motion")
    assert patcher.model is motion.patcher.model
    rebuild, args = patcher.cached_patcher_init
    again = rebuild(*args, disable_dynamic=True).model.state_dict()
    assert all(torch.equal(again[key], value) for key, value in motion.patcher.model.state_dict().items())


# ---- refusals


def test_an_sdxl_motion_model_is_named(small_sd15):
    config = MotionConfig(
        down=((320,) * 2, (640,) * 2, (1280,) * 2), up=((1280,) * 3, (640,) * 3, (320,) * 3)
    )
    motion = replace(small_motion(small_sd15), config=config)

    with pytest.raises(
        WeightsError, match=r"320-320-640-640-1280-1280.*32-32-64-64-128-128-128-128.*SDXL motion model"
    ):
        apply_motion(small_sd15, motion)


def test_a_motion_model_of_another_width_is_refused_with_both_widths(small_sd15):
    config = MotionConfig(down=((32, 32),), up=((32,),))
    motion = load_motion(motion_weights(config), config)

    with pytest.raises(
        WeightsError, match=r"down 32-32, mid none, up 32; the U-Net wants down 32-32-64.*trained for this"
    ):
        apply_motion(small_sd15, motion)


def test_a_damaged_motion_file_is_refused_by_its_keys():
    config = MotionConfig(down=((32,),), up=())
    weights = motion_weights(config)
    key = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"
    shorter = {k: v for k, v in weights.items() if k != key}

    with pytest.raises(
        WeightsError, match=r"1 keys missing \(down_blocks.0.*proj_in.weight\).*Download it again"
    ):
        load_motion(shorter, config)
    with pytest.raises(WeightsError, match=r"1 unexpected \(extra\)"):
        load_motion(weights | {"extra": torch.zeros(1)}, config)
    with pytest.raises(WeightsError, match=r"1 of another shape"):
        load_motion(weights | {key: torch.zeros(2, 2)}, config)


def test_another_kind_of_network_is_refused():
    with pytest.raises(InputError, match=r"Stable Diffusion 1.5 U-Net, got Linear"):
        find_slots_of(torch.nn.Linear(1, 1))


def find_slots_of(network):
    from dreamoving.dreamoving_core.bridge.insertion import unet_of

    return find_slots(unet_of(network))


def test_a_window_longer_than_stored_positions_is_refused_and_leaves_the_base_clean(small_sd15):
    before, keys = sample_latents(small_sd15), list(small_sd15.model.state_dict())
    model = apply_motion(small_sd15, small_motion(small_sd15, stored_rows=6))

    with pytest.raises(InputError, match=r"up to 6 frames at once, got 8"):
        sample_latents(model, frames=8)

    assert list(small_sd15.model.state_dict()) == keys
    assert torch.equal(sample_latents(small_sd15), before)
    assert sample_latents(windowed(model, length=6), frames=8).isfinite().all()
    with pytest.raises(InputError, match=r"up to 6 frames at once, got 7"):
        sample_latents(windowed(model, length=6, anchor=True), frames=8)


def test_percentages_in_the_wrong_order_are_refused(small_sd15):
    with pytest.raises(InputError, match=r"start_percent and end_percent must rise.*0.8 and 0.2"):
        apply_motion(small_sd15, small_motion(small_sd15), start_percent=0.8, end_percent=0.2)


def test_a_batch_that_is_no_whole_number_of_videos_is_refused():
    from dreamoving.dreamoving_core.bridge.motion_call import frames_of

    with pytest.raises(InputError, match=r"at least 1 frame for each of 2 conditionings, got a batch of 3"):
        frames_of(torch.zeros(3, 4, 8, 8), {"cond_or_uncond": [1, 0]})
    with pytest.raises(InputError, match=r"at least 1 frame for each of 1 conditionings, got a batch of 0"):
        frames_of(torch.zeros(0, 4, 8, 8), {"cond_or_uncond": [0]})


def test_the_insertion_is_closed_after_an_exception_in_the_middle(small_sd15):
    unet, motion = small_sd15.model.diffusion_model, small_motion(small_sd15)
    children = [
        container._modules for container in [*unet.input_blocks, unet.middle_block, *unet.output_blocks]
    ]

    def cancel():
        with open_insertion(small_sd15, motion.patcher.model, num_frames=2):
            assert len(unet.input_blocks[1]) == 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cancel()

    now = [container._modules for container in [*unet.input_blocks, unet.middle_block, *unet.output_blocks]]
    assert all(a is b for a, b in zip(now, children, strict=True))
