"""Where a control may work: masks, per frame and in windows, and the pooling of "shuffle"."""

import pytest
import small_control
import torch
from dreamoving.dreamoving_core.bridge.control_strength import MaskSizes, checked_mask
from dreamoving.dreamoving_core.errors import InputError
from small_control import (
    FRAMES,
    SIZE,
    distance,
    fresh_model,
    pictures,
    steered,
    stock_control,
    video_control,
    weights,
    with_zero_motion,
    without_motion,
)


def run(control, images, **options):
    """One step tells as much as many."""
    return small_control.run(control, images, **{"steps": 1, **options})


def plain(*prompts, **options):
    return small_control.plain(None, *prompts, **{"steps": 1, **options})


def left_half(frames=1, *, size=8 * SIZE):
    mask = torch.zeros(frames, size, size)
    mask[:, :, : size // 2] = 1.0
    return mask


def still():
    """A ControlNet whose frames do not depend on each other."""
    return video_control(with_zero_motion(weights()))


def residuals(control, *, frames=FRAMES, model=None):
    """What the U-Net gets from the control, call by call."""
    from comfy.patcher_extension import WrappersMP

    seen, model = [], (model or fresh_model()).clone()

    def keep(executor, x, timesteps, context, y=None, control=None, *args, **kwargs):
        seen.append([t.clone() for key in ("output", "middle") for t in control[key] if t is not None])
        return executor(x, timesteps, context, y, control, *args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "test", keep)
    run(control, pictures(frames), model=model, frames=frames, cfg=1.0)
    return seen


@pytest.mark.parametrize("frames", [1, FRAMES])
def test_a_mask_that_is_1_everywhere_is_no_mask_bit_for_bit(frames):
    masked = run(steered(video_control(), mask=torch.ones(frames, 20, 12)), pictures())

    assert torch.equal(masked, run(video_control(), pictures()))


def test_a_mask_that_is_0_everywhere_is_no_control_bit_for_bit_and_costs_nothing():
    control, calls = steered(video_control(), mask=torch.zeros(1, 8, 8)), []
    control.control_model.middle_block_out.register_forward_hook(lambda *_: calls.append(1))

    assert torch.equal(run(control, pictures()), plain())
    assert calls == []


def test_under_a_mask_each_cell_gets_its_share_of_what_it_got_without():
    (whole,) = residuals(video_control())
    (masked,) = residuals(steered(video_control(), mask=left_half()))

    for found, free in zip(masked, whole, strict=True):
        width = free.shape[-1]
        if width > 1:
            assert torch.equal(found[..., : width // 2], free[..., : width // 2])
            assert not found[..., width // 2 :].any()
        else:
            assert distance(found, 0.5 * free) < 1e-6  # the one cell lies under both halves


def test_a_mask_per_frame_is_for_each_frame_what_that_mask_is_for_all():
    mask = torch.cat([left_half(), torch.ones(1, 32, 32), 1 - left_half()] * (FRAMES // 3))
    expected = torch.stack([run(steered(still(), mask=mask[f : f + 1]), pictures())[f] for f in range(3)])

    found = run(steered(still(), mask=mask), pictures())

    assert distance(found[:3], expected) < 1e-6
    assert distance(found[0], found[2]) > 1e-2


def test_mask_and_strength_per_frame_multiply():
    half = steered(still(), [0.5] * FRAMES, 0.5 * torch.ones(1, 4, 4))

    assert distance(run(half, pictures()), run(still(), pictures(), strength=0.25)) < 1e-6


def test_two_conditionings_in_one_batch_get_the_same_mask():
    mask = left_half(FRAMES) * torch.linspace(0.2, 1.0, FRAMES)[:, None, None]
    prompt = torch.randn(1, 7, 64, generator=torch.Generator().manual_seed(1))
    same = [[prompt, {"pooled_output": None}]]

    both = run(steered(still(), mask=mask), pictures(), cfg=2.0, conds=(same, same))

    # two equal conditionings: guidance changes nothing, if both got the same
    assert distance(both, run(steered(still(), mask=mask), pictures(), cfg=1.0, conds=(same, same))) < 1e-5


@pytest.mark.parametrize("anchor", [True, False])
def test_every_context_window_sees_the_mask_of_its_own_frames(anchor):
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    frames, small = 12, {"steps": 1, "cfg": 1.0}
    mask = left_half(frames) * torch.linspace(0.0, 1.0, frames)[:, None, None]
    control = steered(still(), mask=mask)
    windowed = ContextWindowsManualNode.execute(
        fresh_model(), 4, 1, "standard_static", 1, False, "pyramid", 0, False, causal_window_fix=anchor
    )[0]

    found = run(control, pictures(frames), model=windowed, frames=frames, **small)

    whole = run(control, pictures(frames), frames=frames, **small)
    assert distance(found, whole) < 1e-6
    assert distance(whole, run(still(), pictures(frames), frames=frames, **small)) > 1e-2


def test_a_mask_is_cut_to_the_videos_proportions_as_control_pictures_are():
    wide = torch.zeros(1, 8, 16)
    wide[:, :, 4:8] = 1.0  # the left half of the square in its middle

    cells = MaskSizes(wide).at(torch.zeros(1, 1, 4, 4), (4, 4))

    assert torch.equal(cells[0, 0], left_half(size=4)[0])


def test_the_mask_is_let_go_after_the_run():
    from small_control import apply

    prompts = apply(steered(video_control(), mask=left_half()), pictures())

    plain(*prompts)

    assert prompts[0][0][1]["control"].masks is None


def test_pooled_gives_what_comfyuis_shuffle_gives_bit_for_bit():
    from dataclasses import replace

    stock, control = stock_control(weights()), video_control(without_motion(weights()))
    stock.global_average_pooling = True
    control.settings = replace(control.settings, pooled=True)

    pooled = run(control, pictures())

    assert torch.equal(pooled, run(stock, pictures()))
    assert distance(pooled, run(video_control(without_motion(weights())), pictures())) > 1e-3


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(3), r"has the shape frames, height, width; got \[3\]"),
        (torch.ones(1, 3, 8, 8), r"got \[1, 3, 8, 8\]. Connect a MASK"),
        (torch.ones(0, 8, 8), r"got \[0, 8, 8\]"),
        (torch.full((1, 8, 8), float("nan")), "mask contains NaN or infinity"),
    ],
)
def test_what_is_no_mask_is_refused_at_once(mask, message):
    with pytest.raises(InputError, match=message):
        steered(video_control(), mask=mask)


def test_a_mask_of_another_length_is_refused_with_both_numbers():
    control = steered(video_control(), mask=left_half(4))

    with pytest.raises(InputError, match=r"mask has 4 frames for a video of 6. Give one mask for each frame"):
        run(control, pictures())


def test_flat_masks_and_masks_with_a_channel_are_masks():
    assert checked_mask(torch.zeros(8, 8)).shape == (1, 8, 8)
    assert checked_mask(torch.zeros(5, 1, 8, 8)).shape == (5, 8, 8)
    assert checked_mask(torch.ones(8, 8)) is None
    assert checked_mask(None) is None
