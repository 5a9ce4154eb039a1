"""A ControlNet's names by diffusers and by LDM, against the classes that write such files."""

import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights.controlnet_keymap import (
    from_diffusers_controlnet,
    is_diffusers_controlnet,
    to_diffusers_controlnet,
)
from small_control import control_model, motion_config

from .public_files import module_shapes, random_tensors

WIDTHS = (32, 64, 128, 128)
SIZES = {"block_out_channels": WIDTHS, "cross_attention_dim": 64, "attention_head_dim": 8}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def their_controlnet(**changes):
    diffusers = pytest.importorskip("diffusers")
    return diffusers.ControlNetModel(**SIZES, **changes).state_dict()


def their_sparse(*, simple):
    """As diffusers saves it, tables of positions left out."""
    diffusers = pytest.importorskip("diffusers")
    network = diffusers.SparseControlNetModel(
        **SIZES, use_simplified_condition_embedding=simple, conditioning_channels=4 if simple else 3
    )
    return {key: value for key, value in network.state_dict().items() if "pos_embed" not in key}


def authors_sparse(*, simple):
    """The same with the motion blocks as AnimateDiff's authors name and store them, positions included."""
    tensors = {k: v for k, v in their_sparse(simple=simple).items() if "motion_modules" not in k}
    for level, width in enumerate(WIDTHS):
        for block in range(2):
            place = f"down_blocks.{level}.motion_modules.{block}"
            tensors |= random_tensors(module_shapes(place, width, attentions=1))
            table = "temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe"
            tensors[f"{place}.{table}"] = torch.zeros(1, 32, width)
    return tensors


def ldm_shapes(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def shapes(tensors):
    return {key: tuple(value.shape) for key, value in tensors.items()}


def test_every_name_of_diffusers_controlnet_has_its_place_in_ldms_layout_and_back():
    theirs = their_controlnet()

    renamed = from_diffusers_controlnet(theirs)

    assert is_diffusers_controlnet(theirs)
    assert not is_diffusers_controlnet(renamed)
    assert shapes(renamed) == ldm_shapes(control_model())
    assert same(to_diffusers_controlnet(renamed), theirs)


def test_levels_of_one_block_keep_their_order():
    theirs = their_controlnet(layers_per_block=1)

    renamed = from_diffusers_controlnet(theirs)

    assert renamed["input_blocks.2.0.op.weight"] is theirs["down_blocks.0.downsamplers.0.conv.weight"]
    assert renamed["input_blocks.7.0.in_layers.2.weight"] is theirs["down_blocks.3.resnets.0.conv1.weight"]
    assert same(to_diffusers_controlnet(renamed), theirs)


@pytest.mark.parametrize("simple", [True, False])
def test_sparsectrl_goes_there_and_back_as_diffusers_saves_it(simple):
    theirs = their_sparse(simple=simple)

    renamed = from_diffusers_controlnet(theirs)

    assert ("input_hint_block.14.weight" in renamed) is not simple
    motion = {k: v for k, v in shapes(renamed).items() if k.startswith("motion.")}
    wanted = ldm_shapes(control_model(motion_config(mid=None, num_attentions=1)))
    assert motion == {k: v for k, v in wanted.items() if k.startswith("motion.")}
    assert same(to_diffusers_controlnet(renamed, motion_adapter=True), theirs)


@pytest.mark.parametrize("simple", [True, False])
def test_sparsectrl_goes_there_and_back_as_its_authors_store_it(simple):
    theirs = authors_sparse(simple=simple)

    assert same(to_diffusers_controlnet(from_diffusers_controlnet(theirs)), theirs)


def test_a_full_size_sparsectrl_has_as_many_names_as_the_public_files():
    """486 and 500 names, 160 of them in motion blocks, in the published key lists."""
    assert [len(authors_sparse(simple=simple)) for simple in (True, False)] == [486, 500]


@pytest.mark.parametrize(
    ("name", "rename"),
    [
        ("add_embedding.linear_1.weight", from_diffusers_controlnet),
        ("up_blocks.0.resnets.0.conv1.weight", from_diffusers_controlnet),
        ("output_blocks.0.0.in_layers.0.weight", to_diffusers_controlnet),
    ],
)
def test_a_name_without_a_place_is_refused(name, rename):
    tensors = their_controlnet()
    if rename is to_diffusers_controlnet:
        tensors = from_diffusers_controlnet(tensors)

    with pytest.raises(
        WeightsError, match=f"'{name}' is not the name of a tensor .*Choose a ControlNet for SD1.5"
    ):
        rename(tensors | {name: torch.zeros(1)})
