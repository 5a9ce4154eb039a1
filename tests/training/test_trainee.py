from contextlib import nullcontext
from dataclasses import replace

import comfy.model_management
import pytest
import torch
from dreamoving.dreamoving_core.training import stages, trainee
from dreamoving.dreamoving_core.training.trainee import Objective
from einops import rearrange
from training.small_trainee import small_batch, small_networks

KEEP_ALL = Objective(drop_text=0.0, drop_face=0.0, drop_cloth=0.0, drop_control=0.0)


def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture(scope="module")
def networks():
    return small_networks()


@pytest.mark.parametrize("name", stages.STAGES)
def test_only_what_a_stage_learns_gets_gradients(name, networks):
    stage = stages.STAGES[name]
    module = networks.trainee(replace(stage.objective, drop_control=0.0), motion=stage.motion)
    module.requires_grad_(False)
    learners = stage.learners(module)
    for parameter in learners.values():
        parameter.requires_grad_(True)

    for kind in dict.fromkeys(stage.controls):
        module(small_batch(frames=min(stage.frames, 4), kind=kind), generator())[0].backward()

    reached = {n for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad(set_to_none=True)
    assert reached == set(learners) - {
        "text.text_projection.weight"
    }  # CLIP's pooled output, which SD1.5 never uses


def gradients(module, batch):
    module.requires_grad_(True)
    module.zero_grad(set_to_none=True)
    loss, _ = module(batch, generator())
    loss.backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("frames", [1, 3])
def test_copies_give_the_gradients_that_autograd_gives_when_it_guards_every_tensor(
    frames, networks, monkeypatch
):
    module = networks.trainee(KEEP_ALL, motion=frames > 1)
    batch = small_batch(frames=frames)
    ours = gradients(module, batch)

    monkeypatch.setattr(trainee, "copy_of_skip", lambda hidden, _options: hidden)
    monkeypatch.setattr(trainee, "saving_copies", nullcontext)
    # not allow_mutation_on_saved_tensors, which knows a tensor by its address and takes reused memory for the old one
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda copy: copy):
        guarded = gradients(module, batch)

    assert ours.keys() == guarded.keys()
    difference = torch.cat([(ours[name] - gradient).flatten() for name, gradient in guarded.items()])
    whole = torch.cat([gradient.flatten() for gradient in guarded.values()])
    assert difference.norm() / whole.norm() <= 1e-6


def test_without_copies_autograd_refuses(networks, monkeypatch):
    module = networks.trainee(KEEP_ALL, motion=False)
    monkeypatch.setattr(trainee, "copy_of_skip", lambda hidden, _options: hidden)

    with pytest.raises(RuntimeError, match="inplace"):
        gradients(module, small_batch())


def test_what_is_dropped_has_no_say(networks):
    goal = Objective(drop_text=1.0, drop_face=1.0, drop_cloth=1.0, drop_control=1.0)
    module = networks.trainee(goal, motion=False)
    batch = small_batch()
    other = small_batch(seed=9)
    changed = replace(
        batch, face=other.face, cloth=other.cloth, control=other.control, caption=batch.caption.flip(0)
    )

    with torch.no_grad():
        assert torch.equal(module(batch, generator())[0], module(changed, generator())[0])


@pytest.mark.parametrize("part", ["face", "cloth", "control", "caption"])
def test_what_is_kept_has_a_say(part, networks):
    module = networks.trainee(KEEP_ALL, motion=False)
    batch, other = small_batch(), small_batch(seed=9)
    value = batch.caption.flip(0) if part == "caption" else getattr(other, part)

    with torch.no_grad():
        first = module(batch, generator())[0]
        second = module(replace(batch, **{part: value}), generator())[0]

    assert not torch.equal(first, second)


def test_the_loss_is_the_square_of_the_error_in_v(networks):
    module = networks.trainee(replace(KEEP_ALL, person_weight=0.0, noise_levels=1), motion=False)
    batch = small_batch(clips=2)
    target = rearrange(batch.latents, "b f c h w -> (b f) c h w")
    noise, v_error = torch.randn(2, *target.shape)
    sigmas = torch.tensor([0.7, 3.0])
    sigma = rearrange(sigmas, "n -> n 1 1 1")
    noisy = target + sigma * noise
    root = (sigma**2 + 1).sqrt()
    v = (noise - sigma * target) / root + v_error
    denoised = noisy / (sigma**2 + 1) - v * sigma / root

    loss, _ = module.loss(denoised, target, sigmas, batch)

    assert loss == pytest.approx(float(v_error.square().mean()), rel=1e-4)


def test_shared_noise_is_the_same_in_all_frames_of_a_clip_and_different_between_clips(networks):
    module = networks.trainee(replace(KEEP_ALL, shared_noise=1.0, noise_levels=2), motion=True)

    noise = module.draw_noise(small_batch(frames=3).latents, generator())

    clips = rearrange(noise, "(k b f) c h w -> k b f c h w", k=2, f=3)
    assert torch.equal(clips, clips[:, :, :1].expand_as(clips))
    assert not torch.equal(clips[0, 0], clips[0, 1])
    assert not torch.equal(clips[0, 0], clips[1, 0])


def test_training_does_not_depend_on_how_much_memory_is_free(networks, monkeypatch):
    """With little free memory ComfyUI's own attention works in place, which backward does not survive."""
    module, batch = networks.trainee(KEEP_ALL, motion=True), small_batch(frames=2)
    expected = gradients(module, batch)

    monkeypatch.setattr(
        comfy.model_management, "get_free_memory", lambda _device=None, both=False: (1, 1) if both else 1
    )

    found = gradients(module, batch)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
