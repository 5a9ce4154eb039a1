"""Our motion blocks and AnimateDiff-Evolved's, beside each other and on one branch."""

from contextlib import contextmanager
from functools import partial

import pytest
import torch
from peers.graph import (
    evolved_context,
    evolved_motion,
    latents_of,
    our_motion,
    relative_error,
)
from torch.nn.functional import group_norm

ONE = 1e-4  # float32, through a random U-Net that makes rounding grow


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_two_branches_of_one_base_model_each_give_what_they_give_alone(base, base_and_before, first):
    ours, theirs = our_motion(base, "v3.safetensors"), evolved_motion(base, "v2.safetensors")
    alone = {"ours": latents_of(ours), "theirs": latents_of(theirs)}
    branches = {"ours": ours, "theirs": theirs}
    second = "theirs" if first == "ours" else "ours"

    for name in (first, second, first):
        assert torch.equal(latents_of(branches[name]), alone[name])
    assert torch.equal(latents_of(base), base_and_before[2])
    assert not torch.allclose(alone["ours"], alone["theirs"])


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_the_same_file_gives_the_same_clip(base, figures, version):
    ours = latents_of(our_motion(base, f"{version}.safetensors"))
    theirs = latents_of(evolved_motion(base, f"{version}.safetensors"))

    figures[f"motion {version}: ours and AnimateDiff-Evolved's"] = relative_error(ours, theirs)
    assert relative_error(ours, theirs) < ONE


@contextmanager
def within_each_frame(norms):
    """These group norms stay as they are, whatever is put over their class."""
    try:
        for norm in norms:
            norm.forward = partial(own_norm, norm)
        yield
    finally:
        for norm in norms:
            vars(norm).pop("forward", None)


def own_norm(norm, hidden):
    return group_norm(hidden, norm.num_groups, norm.weight, norm.bias, norm.eps)


def test_v1_is_theirs_once_attention_and_motion_keep_the_norms_that_its_authors_gave_them(base, figures):
    """AnimateDiff-Evolved works every group norm of the U-Net over all frames; the authors' code leaves these alone."""
    from comfy.ldm.modules.attention import SpatialTransformer

    ours = latents_of(our_motion(base, "v1.safetensors"))
    evolved = evolved_motion(base, "v1.safetensors")
    as_it_is = latents_of(evolved)
    (motion,) = evolved.get_additional_models_with_key("ADE")
    spatial = [m.norm for m in base.model.modules() if isinstance(m, SpatialTransformer)]
    temporal = [m for m in motion.model.modules() if isinstance(m, torch.nn.GroupNorm)]
    with within_each_frame([*spatial, *temporal]):
        as_its_authors = latents_of(evolved)

    figures["motion v1: ours and AnimateDiff-Evolved's"] = relative_error(ours, as_it_is)
    figures["motion v1: the same, its norms where the authors have them"] = relative_error(
        ours, as_its_authors
    )
    assert relative_error(ours, as_its_authors) < ONE
    assert relative_error(ours, as_it_is) > 10 * ONE


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_both_on_one_branch_are_two_motion_models_in_one_u_net(base, figures, first):
    if first == "ours":
        both = evolved_motion(our_motion(base, "v3.safetensors"), "v2.safetensors")
    else:
        both = our_motion(evolved_motion(base, "v2.safetensors"), "v3.safetensors")
    expected = latents_of(evolved_motion(base, "v3.safetensors", "v2.safetensors"))

    figures[f"motion of both on one branch, {first} first"] = relative_error(latents_of(both), expected)
    assert relative_error(latents_of(both), expected) < ONE


def test_our_motion_follows_the_context_windows_of_evolved_sampling(base, figures):
    context = evolved_context(length=4, overlap=2)
    theirs = latents_of(evolved_motion(base, "v3.safetensors", context=context), frames=7)
    ours = evolved_motion(our_motion(base, "v3.safetensors"), context=context)

    figures["motion v3 in AnimateDiff-Evolved's windows"] = relative_error(latents_of(ours, frames=7), theirs)
    assert relative_error(latents_of(ours, frames=7), theirs) < ONE
