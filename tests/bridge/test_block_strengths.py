"""Strengths per group of motion blocks, and positions squeezed into a file's own."""

import pytest
import torch
from dreamoving.dreamoving_core.bridge.block_strengths import GROUPS, block_strengths
from dreamoving.dreamoving_core.bridge.motion import LoadedMotion, apply_motion
from dreamoving.dreamoving_core.errors import InputError
from small_host import sample_latents
from small_motion import built_in_model, small_motion

FRAMES = 6


def sample(model, *, frames=FRAMES):
    return sample_latents(model, frames=frames, size=4, steps=1, cfg=1.0)


def moving(model, motion, **settings):
    return apply_motion(model, motion, beta_schedule="keep", **settings)


def without_blocks(motion, prefix):
    """A MODEL with the blocks built in, those under `prefix` silenced by their own last layer."""
    model = built_in_model(motion, num_frames=FRAMES)
    for name, module in model.model.diffusion_model.named_modules():
        if name.startswith(prefix) and name.endswith("proj_out") and "temporal_transformer" in name:
            torch.nn.init.zeros_(module.weight)
            torch.nn.init.zeros_(module.bias)
    return model


@pytest.mark.parametrize(
    ("group", "prefix"),
    [
        ("mid", ("middle_block.",)),
        ("down_3", ("input_blocks.10.", "input_blocks.11.")),
        ("up_0", ("output_blocks.0.", "output_blocks.1.", "output_blocks.2.")),
    ],
)
def test_a_group_of_strength_zero_is_left_out(small_sd15, group, prefix):
    motion = small_motion(small_sd15)

    found = sample(moving(small_sd15, motion, blocks=block_strengths({group: 0.0}, target="strength")))

    assert torch.allclose(found, sample(without_blocks(motion, prefix)), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(found, sample(moving(small_sd15, motion)), rtol=1e-4)


@pytest.mark.parametrize("target", ["strength", "scale"])
@pytest.mark.parametrize("value", [0.8, [0.2, 0.4, 0.6, 0.8, 1.0, 0.5]])
def test_the_same_factor_in_all_groups_is_a_factor_of_the_whole(small_sd15, target, value):
    motion = small_motion(small_sd15)
    blocks = block_strengths(dict.fromkeys(GROUPS, 0.5), target=target)
    halved = [0.5 * v for v in value] if isinstance(value, list) else 0.5 * value

    found = sample(moving(small_sd15, motion, blocks=blocks, **{target: value}))

    assert torch.allclose(found, sample(moving(small_sd15, motion, **{target: halved})), rtol=1e-5, atol=1e-5)


def test_all_groups_off_is_the_stock_graph_bit_for_bit(small_sd15):
    blocks = block_strengths({g: 0.0 for g in GROUPS if g != "mid"}, target="strength")
    before = sample(small_sd15)

    off = moving(small_sd15, small_motion(small_sd15, mid=False), blocks=blocks)

    assert torch.equal(sample(off), before)
    assert not off.object_patches


def test_a_second_target_is_added_and_the_same_is_replaced():
    first = block_strengths({"mid": 0.5}, target="strength")

    both = block_strengths({"up_0": 2.0}, target="scale", before=first)

    assert (both.strength, both.scale) == ({"mid": 0.5}, {"up_0": 2.0})
    assert block_strengths({"up_1": 0.1}, target="strength", before=both).strength == {"up_1": 0.1}
    assert first.scale == {}


def test_groups_and_numbers_of_no_sense_are_refused():
    with pytest.raises(
        InputError, match=r"no group of motion blocks 'down.1'. Groups are down_0, .*mid, .*up_3"
    ):
        block_strengths({"down.1": 0.5}, target="strength")
    for number in (-0.1, float("nan"), float("inf")):
        with pytest.raises(
            InputError, match=rf"The scale of motion blocks mid must be a number from 0, got {number}"
        ):
            block_strengths({"mid": number}, target="scale")


# ---- positions


def test_stretch_changes_only_clips_longer_than_the_files_positions(small_sd15):
    motion = small_motion(small_sd15)
    motion = LoadedMotion(patcher=motion.patcher, config=motion.config, info={"span": "4"})

    for frames, same in ((4, True), (6, False)):
        stretched = sample(moving(small_sd15, motion, positions="stretch"), frames=frames)

        assert torch.equal(stretched, sample(moving(small_sd15, motion), frames=frames)) is same


def test_stretch_fits_a_clip_into_positions_that_were_stored(small_sd15):
    motion = small_motion(small_sd15, stored_rows=4)

    with pytest.raises(InputError, match=r"up to 4 frames at once, got 6.*set positions to 'stretch'"):
        sample(moving(small_sd15, motion))

    assert sample(moving(small_sd15, motion, positions="stretch")).isfinite().all()
