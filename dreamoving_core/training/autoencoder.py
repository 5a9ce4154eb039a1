"""Stage 0, the autoencoder: TAESD's architecture learned from nothing on dancers' pictures.

Two sittings: encoder and decoder together, then the decoder alone while everything else is trained on the
latents of the encoder, which never changes again.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..bridge.trainable import new_autoencoder
from .dances import as_floats

LATENT_SCALE = (
    0.18215  # [SD15] model latents = VAE latents x 0.18215; TAESD's encoder gives model latents directly
)


def crops(images: Tensor, masks: Tensor, *, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Random squares `b c size size` in [0, 1] of `n c h w` pictures (uint8), three of four around a pixel of the person.

    A crop is what the network sees of a picture; it is fully convolutional. `masks` is `n h w`.
    """
    height, width = images.shape[-2:]
    squares = []
    for index in torch.randint(images.shape[0], (count,), generator=generator).tolist():
        centre = torch.rand(2, generator=generator) * torch.tensor([height, width])
        pixels = masks[index].nonzero()
        if len(pixels) and torch.rand((), generator=generator) < 0.75:
            centre = pixels[torch.randint(len(pixels), (), generator=generator)].float()
        top = int((centre[0] - size / 2).clamp(0, height - size))
        left = int((centre[1] - size / 2).clamp(0, width - size))
        squares.append(images[index, :, top : top + size, left : left + size])
    return as_floats(torch.stack(squares))


class AutoencoderLoss(nn.Module):
    """Reconstruction loss of random crops.

    Noise on the latents teaches the decoder to forgive a denoiser's small errors; the spread term keeps
    latents near unit variance, as diffusion wants them. [ours]
    """

    def __init__(self, *, learn_encoder: bool, latent_noise: float = 0.08) -> None:
        super().__init__()
        self.encoder, self.decoder = new_autoencoder()
        self.learn_encoder, self.latent_noise = learn_encoder, latent_noise
        self.encoder.requires_grad_(learn_encoder)

    def learners(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def forward(self, pictures: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        with torch.autocast(pictures.device.type, torch.bfloat16), torch.set_grad_enabled(self.learn_encoder):
            latents = self.encoder(pictures).float()
        noise = torch.randn(latents.shape, generator=generator) * self.latent_noise
        with torch.autocast(pictures.device.type, torch.bfloat16):
            restored = self.decoder(latents + noise)
        error = restored.float() - pictures
        spread = (latents.square().mean() - 1).square()
        loss = error.abs().mean() + 4 * error.square().mean() + 0.02 * spread
        psnr = -10 * torch.log10(error.detach().square().mean())
        return loss, {"psnr": float(psnr), "spread": float(latents.detach().std())}


def autoencoder_step(
    module: AutoencoderLoss, pool: tuple[Tensor, Tensor], *, batch: int, size: int = 64
) -> Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]]:
    """`pool`: pictures `n c h w` (uint8) and their person masks `n h w`."""

    def loss_of(_step: int, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return module(crops(*pool, count=batch, size=size, generator=generator), generator)

    return loss_of
