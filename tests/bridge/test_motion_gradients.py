"""Gradients through the patches that inference uses equal those of a U-Net with the motion blocks built in."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as distributed
from dreamoving.dreamoving_core.bridge.insertion import open_insertion
from dreamoving.dreamoving_core.bridge.motion import apply_motion
from small_host import conditioning, sample_latents, small_model
from small_motion import built_in_model, small_motion
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import CheckpointError, checkpoint

FRAMES, VIDEOS = 4, 2


def video_batch():
    generator = torch.Generator().manual_seed(7)
    latents = torch.randn(VIDEOS * FRAMES, 4, 8, 8, generator=generator)
    target = torch.randn(latents.shape, generator=generator)
    context = torch.randn(VIDEOS * FRAMES, 7, 64, generator=generator)
    timesteps = torch.tensor([900.0, 200.0]).repeat_interleave(FRAMES)
    return latents, timesteps, context, target


class Patched(nn.Module):
    """Base and motion in one module that returns the loss, as a trainer wraps them."""

    def __init__(self, model, motion, *, whole_checkpoint=False):
        super().__init__()
        self.unet = model.model.diffusion_model
        self.motion = motion.patcher.model
        self.whole_checkpoint = whole_checkpoint

    def forward(self, latents, timesteps, context, target):
        with open_insertion(self.unet, self.motion, num_frames=FRAMES):
            return self.loss(latents, timesteps, context, target)

    def loss(self, latents, timesteps, context, target):
        if self.whole_checkpoint:
            predicted = checkpoint(self.unet, latents, timesteps, context, use_reentrant=False)
        else:
            predicted = self.unet(latents, timesteps, context=context)
        return nn.functional.mse_loss(predicted, target)


def share_of(rank):
    """The video on which one of two processes trains."""
    return [x[rank * FRAMES : (rank + 1) * FRAMES] for x in video_batch()]


def training_parts():
    model = small_model()
    motion = small_motion(model)
    model.model.diffusion_model.requires_grad_()
    motion.patcher.model.requires_grad_()
    return model, motion


def built_in_gradients(motion, batch):
    """Of the base's parameters, then of the blocks', each in the order in which the network runs."""
    latents, timesteps, context, target = batch
    unet = built_in_model(motion, num_frames=FRAMES).model.diffusion_model.requires_grad_()
    nn.functional.mse_loss(unet(latents, timesteps, context=context), target).backward()
    return split_gradients(unet)


def split_gradients(unet):
    blocks = [module.block for module in unet.modules() if type(module).__name__ == "BuiltIn"]
    own = [p for block in blocks for p in block.parameters()]
    inside = {id(p) for p in own}
    return [p.grad for p in [*(p for p in unet.parameters() if id(p) not in inside), *own]]


def gradients(model, motion):
    own = [p for adapter in motion.patcher.model.adapters for p in adapter.block.parameters()]
    return [p.grad for p in [*model.model.diffusion_model.parameters(), *own]]


def worst_difference(found, expected):
    """Relative to the largest number of each tensor; every gradient must be there."""
    assert len(found) == len(expected) == 686 + 21 * 26
    assert all(g is not None for g in [*found, *expected])
    return max(
        ((a - b).abs().max() / b.abs().max().clamp(min=1e-12)).item()
        for a, b in zip(found, expected, strict=True)
    )


def test_training_through_an_open_insertion_is_exact():
    model, motion = training_parts()

    Patched(model, motion)(*video_batch()).backward()

    assert worst_difference(gradients(model, motion), built_in_gradients(motion, video_batch())) <= 1e-6


def test_training_through_the_very_wrapper_that_sampling_uses_is_exact():
    """Latents go in and the denoised video comes out of BaseModel.apply_model, with our APPLY_MODEL wrapper around it."""
    model, motion = training_parts()
    latents, timesteps, context, target = video_batch()
    sigmas = model.model.model_sampling.sigma(timesteps)

    def loss(model):
        options = {"wrappers": model.wrappers, "cond_or_uncond": [1, 0]}
        model.model.current_patcher = model
        denoised = model.model.apply_model(latents, sigmas, c_crossattn=context, transformer_options=options)
        return nn.functional.mse_loss(denoised, target)

    loss(apply_motion(model, motion, beta_schedule="keep")).backward()
    found = gradients(model, motion)
    built = built_in_model(motion, num_frames=FRAMES)
    built.model.diffusion_model.requires_grad_()
    loss(built).backward()

    expected = split_gradients(built.model.diffusion_model)
    assert worst_difference(found, expected) <= 1e-6


@pytest.mark.parametrize("chunks", [False, True])
def test_checkpointing_inside_the_motion_blocks_is_exact_with_the_insertion_closed_before_backward(chunks):
    model, motion = training_parts()
    motion.patcher.model.set_checkpointing(True)
    if chunks:
        for transformer in motion.patcher.model.transformers():
            transformer.chunk_bytes = 2**17

    Patched(model, motion)(*video_batch()).backward()

    assert worst_difference(gradients(model, motion), built_in_gradients(motion, video_batch())) <= 1e-6


def test_checkpointing_reaches_the_blocks_of_a_frozen_base():
    model, motion = training_parts()
    model.model.diffusion_model.requires_grad_(False)
    motion.patcher.model.set_checkpointing(True)

    Patched(model, motion)(*video_batch()).backward()

    own = [p.grad for adapter in motion.patcher.model.adapters for p in adapter.block.parameters()]
    expected = built_in_gradients(motion, video_batch())[-len(own) :]
    assert all(torch.equal(a, b) for a, b in zip(own, expected, strict=True))


def test_checkpointing_the_unet_is_exact_while_the_insertion_stays_open_until_backward_has_ended():
    model, motion = training_parts()
    trainee = Patched(model, motion, whole_checkpoint=True)

    with open_insertion(model, motion.patcher.model, num_frames=FRAMES):
        trainee.loss(*video_batch()).backward()

    assert worst_difference(gradients(model, motion), built_in_gradients(motion, video_batch())) <= 1e-6


def test_checkpointing_the_unet_fails_loudly_when_the_insertion_closes_before_backward():
    model, motion = training_parts()
    loss = Patched(model, motion, whole_checkpoint=True)(*video_batch())

    with pytest.raises(CheckpointError):
        loss.backward()


def test_sampling_before_training_leaves_no_inference_tensor_behind():
    model, motion = training_parts()
    applied = apply_motion(model, motion)
    sample_latents(applied, frames=FRAMES)
    with torch.inference_mode():
        loaded_in_a_node = small_motion(model)

    Patched(model, motion)(*video_batch()).backward()
    Patched(model, loaded_in_a_node)(*video_batch()).backward()

    tensors = [*model.model.parameters(), *model.model.buffers()]
    for loaded in (motion, loaded_in_a_node):
        tensors += [*loaded.patcher.model.parameters(), *loaded.patcher.model.buffers()]
    assert not any(tensor.is_inference() for tensor in tensors)
    assert conditioning()  # the host's own tensors are made outside inference mode


def train_as(rank, rendezvous):
    """Gradients after one step of two processes, each on its own video."""
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    try:
        model, motion = training_parts()
        motion.patcher.model.set_checkpointing(True)
        trainee = DistributedDataParallel(Patched(model, motion))
        trainee(*share_of(rank)).backward()
        return gradients(model, motion)
    finally:
        distributed.destroy_process_group()


def test_two_gloo_processes_average_to_the_gradients_of_one_process(tmp_path):
    script = [sys.executable, str(Path(__file__).with_name("second_rank.py")), str(tmp_path)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as other:
        first = train_as(0, tmp_path / "rendezvous")
        output, _ = other.communicate(timeout=240)
    assert other.returncode == 0, output

    _model, motion = training_parts()
    # the same halves, because a batch of another size rounds differently
    halves = [built_in_gradients(motion, share_of(rank)) for rank in range(2)]
    assert worst_difference(first, [(a + b) / 2 for a, b in zip(*halves, strict=True)]) <= 1e-6
    assert worst_difference(torch.load(tmp_path / "second.pt"), first) == 0
