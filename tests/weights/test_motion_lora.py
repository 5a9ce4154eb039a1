"""Motion LoRA files: each naming gives the same layers; other versions are refused in words."""

import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights.io import WeightsFile
from dreamoving.dreamoving_core.weights.motion_lora import read_motion_lora, refuse_other_version

from .public_files import motion_lora_file, motion_shapes

SMALL = (32, 64)


def file(tensors):
    return WeightsFile(name="zoom.safetensors", state_dict=tensors, metadata={})


def as_diffusers(key):
    """The renaming of diffusers' own conversion script, written from its description."""
    key = key.replace(".temporal_transformer", "")
    for i in (0, 1):
        key = key.replace(f"attention_blocks.{i}", f"attn{i + 1}")
    return "unet." + key


def as_peft(key):
    key = as_diffusers(key)
    for part, layer in {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}.items():
        for side, letter in {"down": "A", "up": "B"}.items():
            key = key.replace(f"processor.to_{part}_lora.{side}", f"{layer}.lora_{letter}")
    return key


def as_trainer(key):
    for side, letter in {"down": "A", "up": "B"}.items():
        key = as_peft(key).replace(f".lora_{letter}.", f".lora_{side}.") if f".{side}." in key else key
    return key


NAMINGS = {
    "AnimateDiff": lambda key: key,
    "AnimateDiff under DDP": lambda key: "module." + key,
    "diffusers, converted": as_diffusers,
    "diffusers, without processor": lambda key: as_diffusers(key).replace(".processor", ""),
    "PEFT": as_peft,
    "PEFT, saved with its adapter's name": lambda key: (
        "base_model.model." + as_peft(key).replace(".weight", ".default.weight")
    ),
    "a trainer": as_trainer,
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming_gives_the_same_layers(naming):
    tensors = motion_lora_file(widths=SMALL, mid=True)

    lora = read_motion_lora(file({NAMINGS[naming](key): value for key, value in tensors.items()}))

    block = "mid_block.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1."
    assert len(lora.layers) == len(tensors) // 2 == (2 * 2 + 1 + 2 * 3) * 8
    assert {f"{block}to_q.weight", f"{block}to_out.0.weight"} <= lora.layers.keys()
    layer = lora.layers[f"{block}to_out.0.weight"]
    assert torch.equal(layer.down, tensors[f"{block}processor.to_out_lora.down.weight"])
    assert torch.equal(layer.up, tensors[f"{block}processor.to_out_lora.up.weight"])
    assert layer.alpha is None
    refuse_other_version(lora, motion_shapes(widths=SMALL, mid=True), motion_model="v2")


def test_alpha_is_read_and_tensors_of_the_unet_are_listed():
    tensors = {as_peft(k): v for k, v in motion_lora_file(widths=SMALL, mid=True).items()}
    key = next(k for k in tensors if k.endswith("to_v.lora_A.weight"))
    more = {
        key.replace("lora_A.weight", "alpha"): torch.tensor(4.0),
        "unet.conv_in.lora_A.weight": torch.ones(1),
    }

    lora = read_motion_lora(file(tensors | more))

    assert [float(layer.alpha) for layer in lora.layers.values() if layer.alpha is not None] == [4.0]
    assert lora.left_out == ("unet.conv_in.lora_A.weight",)


def test_half_a_pair_is_refused():
    tensors = motion_lora_file(widths=SMALL)
    key = next(k for k in tensors if k.endswith("to_k_lora.up.weight"))

    with pytest.raises(
        WeightsError, match=r"to_k.weight' needs down \[rank, in\] and up.*has down \[8, 32\]. Down"
    ):
        read_motion_lora(file({k: v for k, v in tensors.items() if k != key}))
    with pytest.raises(WeightsError, match=r"has down \[8, 32\], up \[32, 4\]"):
        read_motion_lora(file(tensors | {key: tensors[key][:, :4]}))


def test_unknown_tensors_inside_a_block_are_named():
    extra = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.magic"

    with pytest.raises(
        WeightsError, match=r"1 tensors of unknown names \(down_blocks.0.*magic\).*saved by AnimateDiff"
    ):
        read_motion_lora(file(motion_lora_file(widths=SMALL) | {extra: torch.ones(1)}))


def test_another_kind_of_file_is_named():
    adapter = {
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight": torch.ones(
            4, 320
        )
    }

    with pytest.raises(
        WeightsError, match=r"is an ordinary LoRA, but a motion LoRA is needed.*stock Load LoRA node"
    ):
        read_motion_lora(file(adapter))


@pytest.mark.parametrize(
    ("lora", "model", "message"),
    [
        ({"mid": True}, {"mid": False}, r"models with a middle block \(AnimateDiff v2\), and 'mm' has none"),
        ({"mid": False}, {"mid": True}, r"without it \(AnimateDiff v1 or v3\), and 'mm' has one"),
        ({"widths": (32, 32)}, {}, r"another motion model than 'mm': 0 of its layers are not there, 40 have another size"),
        ({"widths": (32, 64, 64)}, {}, r"another motion model than 'mm': 40 of its layers are not there, 24 have"),
        ({}, {"attentions": 1}, r"40 of its layers are not there, 0 have another size \(down_blocks.0.*attention_blocks.1"),
    ],
)  # fmt: skip
def test_a_lora_for_another_version_is_refused_with_what_to_do(lora, model, message):
    found = read_motion_lora(file(motion_lora_file(**{"widths": SMALL} | lora)))

    with pytest.raises(
        WeightsError, match=message + r".*Load the motion model that the LoRA was trained for"
    ):
        refuse_other_version(found, motion_shapes(**{"widths": SMALL} | model), motion_model="mm")
