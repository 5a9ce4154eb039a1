"""Our Video ControlNet and Advanced-ControlNet's: the same weights, chained, and in each other's windows."""

import pytest
import torch
from peers.graph import (
    call,
    controlled,
    evolved_windows,
    latents_of,
    our_windows,
    pictures,
    prompts_for,
    relative_error,
)
from small_control import stock_control, video_control, weights, without_motion

ONE = 1e-5  # float32
FRAMES, LENGTH, OVERLAP = 7, 4, 2

WHOLE = {
    "at once": lambda model: model,
    "in our windows": lambda model: our_windows(model, length=LENGTH, overlap=OVERLAP),
    "in AnimateDiff-Evolved's windows": lambda model: evolved_windows(model, length=LENGTH, overlap=OVERLAP),
}


def ours():
    """An image ControlNet's weights in our loader's care."""
    return video_control(without_motion(weights()))


def theirs():
    """The same weights in ComfyUI's class, which Advanced-ControlNet's node turns into its own."""
    return stock_control(weights())


@pytest.mark.parametrize("where", WHOLE)
def test_the_same_weights_steer_the_same_way(small, figures, where):
    model, images, prompts = WHOLE[where](small), pictures(frames=FRAMES), prompts_for(small)
    found = latents_of(model, prompts=controlled(ours(), images, prompts=prompts), frames=FRAMES)
    expected = controlled(theirs(), images, prompts=prompts, advanced=True)
    expected = latents_of(model, prompts=expected, frames=FRAMES)

    figures[f"control {where}: ours and Advanced-ControlNet's"] = relative_error(found, expected)
    assert relative_error(found, expected) < ONE
    assert relative_error(latents_of(model, frames=FRAMES), expected) > 0.01


@pytest.mark.parametrize("last", ["ours", "theirs"])
@pytest.mark.parametrize("where", WHOLE)
def test_a_chain_of_both_is_a_chain_of_two_advanced_ones(small, figures, last, where):
    model, prompts = WHOLE[where](small), prompts_for(small)
    poses, depths = pictures(frames=FRAMES), pictures(frames=FRAMES, seed=1)

    def pose(prompts):
        return controlled(ours(), poses, prompts=prompts, strength=0.8)

    def depth(prompts):
        return controlled(theirs(), depths, prompts=prompts, strength=0.6, advanced=True)

    both = pose(depth(prompts)) if last == "ours" else depth(pose(prompts))
    alone = controlled(theirs(), poses, prompts=depth(prompts), strength=0.8, advanced=True)
    found, expected = (latents_of(model, prompts=p, frames=FRAMES) for p in (both, alone))

    figures[f"chained controls {where}, {last} last"] = relative_error(found, expected)
    assert relative_error(found, expected) < ONE


def test_a_video_controlnet_with_motion_gives_the_same_in_both_kinds_of_windows(small, figures):
    prompts = controlled(video_control(), pictures(frames=FRAMES), prompts=prompts_for(small))
    evolved, core = (
        latents_of(WHOLE[where](small), prompts=prompts, frames=FRAMES)
        for where in ("in AnimateDiff-Evolved's windows", "in our windows")
    )

    figures["Video ControlNet with motion: AnimateDiff-Evolved's windows and ours"] = relative_error(
        evolved, core
    )
    assert relative_error(evolved, core) < ONE


def test_our_sampler_runs_their_windows(small, figures):
    model = evolved_windows(small, length=LENGTH, overlap=OVERLAP)
    positive, negative = controlled(ours(), pictures(frames=FRAMES), prompts=prompts_for(small))
    expected = latents_of(model, prompts=(positive, negative), frames=FRAMES)

    (latent,) = call(
        "DreaMovingSampler",
        model=model,
        positive=positive,
        negative=negative,
        frames=FRAMES,
        width=64,
        height=64,
        steps=1,
        cfg=2.0,
        preview=False,
    )

    assert torch.equal(latent["samples"], expected)


def test_their_apply_node_takes_our_control(small):
    settings = {"strength": 0.7, "end_percent": 0.9, "prompts": prompts_for(small)}
    stock = controlled(video_control(), pictures(), **settings)
    advanced = controlled(video_control(), pictures(), advanced=True, **settings)

    assert torch.equal(latents_of(small, prompts=advanced), latents_of(small, prompts=stock))


@pytest.mark.parametrize("control", ["ours", "theirs"])
def test_a_run_in_their_windows_that_breaks_off_leaves_our_control_usable(small, control):
    """Theirs keeps the window's pictures until a run ends well, with or without us; ours lets go of them."""
    made = {"ours": ours, "theirs": theirs}[control]()
    prompts = controlled(
        made, pictures(frames=FRAMES), prompts=prompts_for(small), advanced=control == "theirs"
    )
    models = {where: WHOLE[where](small) for where in WHOLE}
    expected = {where: latents_of(model, prompts=prompts, frames=FRAMES) for where, model in models.items()}
    failing = models["in AnimateDiff-Evolved's windows"].clone()

    def break_off(h, options):
        raise RuntimeError("broken on purpose")

    failing.set_model_input_block_patch(break_off)
    with pytest.raises(RuntimeError, match="on purpose"):
        latents_of(failing, prompts=prompts, frames=FRAMES)

    same = {
        where: torch.equal(latents_of(model, prompts=prompts, frames=FRAMES), expected[where])
        for where, model in models.items()
    }
    assert same == {where: control == "ours" or where != "at once" for where in WHOLE}
