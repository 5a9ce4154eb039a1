"""A look at what the networks in training make of a batch: a few Euler steps with the trainer's own denoiser."""

import itertools
from collections.abc import Callable
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ..video.encode import encode_video
from .batch import Batch
from .draws import normals
from .objective import CONDITIONS
from .trainee import DreaMovingTrainee

STEPS = 12
FRAME_RATE = 12


@torch.no_grad()
def sampled(trainee: DreaMovingTrainee, batch: Batch, *, seed: int = 0, steps: int = STEPS) -> Tensor:
    """Model latents `b f c h w`, from noise that the seed alone decides; every condition of the batch is kept."""
    device, sampling = next(trainee.base.parameters()).device, trainee.base.model_sampling
    batch = batch.to(device)
    clips, frames = batch.latents.shape[:2]
    keep = {name: torch.ones(clips, dtype=torch.bool, device=device) for name in CONDITIONS}
    levels = sampling.sigma(torch.linspace(999, 0, steps, device=device))
    sigmas = [float(level) for level in levels] + [0.0]
    noise = normals([torch.Generator().manual_seed(seed)], *batch.latents.shape)[0].to(device)
    latents = rearrange(noise, "b f c h w -> (b f) c h w") * sigmas[0]
    for now, after in itertools.pairwise(sigmas):
        sigma = torch.full((len(latents),), now, device=device)
        denoised = trainee.denoise(latents, sigma, batch, keep)
        latents = denoised + (latents - denoised) / now * after
    return rearrange(latents, "(b f) c h w -> b f c h w", f=frames)


def write_preview(pictures: Tensor, control: Tensor | None, path: Path) -> None:
    """An animated picture of `b f c h w` in [0, 1], clips side by side, their control (uint8) below them."""
    rows = [pictures.float().cpu().clamp(0, 1)]
    if control is not None:
        rows.append(control.cpu().float() / 255)
    shown = torch.cat([rearrange(row, "b f c h w -> f h (b w) c") for row in rows], dim=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    encode_video(path, shown, format="webp", frame_rate=FRAME_RATE, quality=90)


def previewer(
    trainee: DreaMovingTrainee,
    batch: Batch,
    *,
    decode: Callable[[Tensor], Tensor],
    folder: Path,
    stage: str,
) -> Callable[[int], None]:
    """What the trainer calls every so many steps. `decode` turns model latents `f c h w` into pictures `f c h w`."""

    def preview(step: int) -> None:
        latents = sampled(trainee, batch)
        pictures = torch.stack([decode(clip) for clip in latents])
        write_preview(pictures, batch.control, folder / "previews" / f"{stage}-{step:06d}.webp")

    return preview
