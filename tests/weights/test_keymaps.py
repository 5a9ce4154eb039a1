import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights import keymaps

from .public_files import ip_adapter_file, motion_file


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize(
    "layout",
    [{"rows": 32}, {"rows": 32, "mid": True}, {"mid": True}, {"rows": 32, "attentions": 1, "up": False}],
)
def test_animatediff_to_motion_adapter_and_back_is_the_identity(layout):
    original = motion_file(widths=(32, 64), **layout)

    adapter = keymaps.to_motion_adapter(original)

    assert keymaps.is_motion_adapter(adapter)
    assert not keymaps.is_motion_adapter(original)
    assert same(keymaps.from_motion_adapter(adapter), original)
    assert same(keymaps.to_motion_adapter(keymaps.from_motion_adapter(adapter)), adapter)


def test_motion_adapter_names_are_those_of_diffusers():
    diffusers = pytest.importorskip("diffusers")

    theirs = diffusers.MotionAdapter(
        block_out_channels=(32, 64, 128, 128), motion_max_seq_length=32
    ).state_dict()

    assert {k: v.shape for k, v in theirs.items()} == {
        k: v.shape for k, v in keymaps.to_motion_adapter(motion_file(rows=32, mid=True)).items()
    }


def test_two_different_position_tables_do_not_fit_into_a_motion_adapter():
    original = motion_file(rows=32, widths=(32,))
    key = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.pos_encoder.pe"
    original[key] = original[key] + 1

    with pytest.raises(WeightsError, match="two different position tables"):
        keymaps.to_motion_adapter(original)


@pytest.mark.parametrize("prefix", ["", "module.", "unet.", "module.unet."])
def test_motion_blocks_are_found_under_any_prefix_and_the_rest_is_listed(prefix):
    original = motion_file(widths=(32,))
    file = keymaps.with_prefix(original, prefix) | {f"{prefix}conv_in.weight": torch.zeros(1)}

    found, others = keymaps.split_motion_keys(file)

    assert same(found, original)
    assert others == [f"{prefix}conv_in.weight"]


def test_two_networks_with_motion_blocks_in_one_file_are_refused():
    original = motion_file(widths=(32,))

    with pytest.raises(WeightsError, match=r"motion blocks of 2 networks \('', 'ema\.'\)"):
        keymaps.split_motion_keys(original | keymaps.with_prefix(original, "ema."))


def test_a_name_that_is_no_motion_tensors_is_refused():
    with pytest.raises(WeightsError, match=r"'conv_in.weight' is not the name of a motion block's tensor"):
        keymaps.from_motion_adapter({"conv_in.weight": torch.zeros(1)})


@pytest.mark.parametrize("branch", ["face", "cloth"])
def test_ip_adapter_to_a_branch_and_back_is_the_identity(branch):
    original = ip_adapter_file()
    original |= {
        "ip_adapter.0.to_q_lora.down.weight": torch.ones(2, 3),
        "ip_adapter.0.to_q_lora.up.weight": torch.ones(3, 2),
    }

    guider = keymaps.from_ip_adapter(original, branch=branch)

    assert {k.split(".")[0] for k in guider} == {branch, "lora"}
    assert same(keymaps.to_ip_adapter(guider, branch=branch), original)
    assert not keymaps.to_ip_adapter(keymaps.without_prefix(guider, "lora."), branch="other")


def test_raw_training_checkpoints_of_ip_adapter_are_renamed_and_lose_their_unet():
    original = ip_adapter_file()
    raw = {
        k.replace("image_proj.", "image_proj_model.").replace("ip_adapter.", "adapter_modules."): v
        for k, v in original.items()
    }

    assert same(
        keymaps.from_ip_adapter(raw | {"unet.conv_in.weight": torch.zeros(1)}, branch="face"),
        keymaps.with_prefix(original, "face."),
    )
