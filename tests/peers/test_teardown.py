"""What one pack leaves behind, also after an error, a cancel or an unloading, does not reach the other."""

import comfy.model_management
import pytest
import torch
from peers.graph import (
    evolved_context,
    evolved_motion,
    latents_of,
    our_motion,
    our_windows,
)


def failing(model, how):
    """The model, breaking off in the middle of the U-Net of its second step."""
    model, calls = model.clone(), []

    def break_off(h, skip, options):
        calls.append(options["block"])
        if calls.count(("output", 6)) == 2:
            if how == "error":
                raise RuntimeError("broken on purpose")
            comfy.model_management.interrupt_current_processing()
        return h, skip

    model.set_model_output_block_patch(break_off)
    return model


@pytest.mark.parametrize("how", ["error", "cancel"])
@pytest.mark.parametrize("broken", ["ours", "theirs"])
def test_a_run_that_breaks_off_leaves_the_other_pack_as_it_was(base, broken, how):
    # v1 makes AnimateDiff-Evolved swap every group norm of the process while the U-Net runs
    branches = {
        "ours": our_motion(base, "v3.safetensors"),
        "theirs": evolved_motion(base, "v1.safetensors"),
    }
    expected = {name: latents_of(model) for name, model in branches.items()}
    stopped = RuntimeError if how == "error" else comfy.model_management.InterruptProcessingException

    with pytest.raises(stopped):
        latents_of(failing(branches[broken], how), steps=3)

    for name in (*(name for name in branches if name != broken), broken):
        assert torch.equal(latents_of(branches[name]), expected[name])


def test_unloading_between_two_runs_changes_neither(base):
    ours, theirs = our_motion(base, "v3.safetensors"), evolved_motion(base, "v3.safetensors")
    expected = latents_of(ours), latents_of(theirs)

    comfy.model_management.unload_all_models()
    found = latents_of(theirs), latents_of(ours)

    assert torch.equal(found[0], expected[1])
    assert torch.equal(found[1], expected[0])


def test_after_our_run_the_network_has_its_own_names_even_where_theirs_ran_before(base, base_and_before):
    latents_of(evolved_motion(base, "v3.safetensors"))
    latents_of(our_motion(base, "v3.safetensors"))

    assert base.model.state_dict().keys() == base_and_before[1].keys()


@pytest.mark.parametrize("context", [None, 4], ids=["motion", "windows"])
def test_their_motion_and_windows_are_refused_in_ours_and_nothing_stays(base, context):
    """AnimateDiff-Evolved counts the frames once, before sampling, and cannot run in ComfyUI's own context windows."""
    options = None if context is None else evolved_context(length=context, overlap=2)
    theirs = evolved_motion(base, "v3.safetensors", context=options)
    expected = latents_of(theirs)

    with pytest.raises(Exception, match="cannot work in ComfyUI's context windows"):
        latents_of(our_windows(theirs, length=4, overlap=2), frames=7)

    assert torch.equal(latents_of(theirs), expected)
