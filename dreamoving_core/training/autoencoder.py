"""Stage 0, the autoencoder: TAESD's architecture learned from nothing on dancers' pictures.

Two sittings: encoder and decoder together, then the decoder alone while everything else is trained on the
latents of the encoder, which never changes again.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..bridge.trainable import new_autoencoder
from .dances import as_floats
from .draws import normals
from .precision import autocast

LATENT_SCALE = (
    0.18215  # [SD15] model latents = VAE latents x 0.18215; TAESD's encoder gives model latents directly
)


def crops(images: Tensor, masks: Tensor, *, size: int, generators: list[torch.Generator]) -> Tensor:
    """Random squares `b c size size` in [0, 1] of `n c h w` pictures (uint8), three of four around a pixel of the person.

    A crop is what the network sees of a picture; it is fully convolutional. `masks` is `n h w`.
    """
    height, width = images.shape[-2:]
    squares = []
    for generator in generators:
        index = int(torch.randint(images.shape[0], (), generator=generator))
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

    def forward(
        self, pictures: Tensor, generators: list[torch.Generator]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        device = next(self.decoder.parameters()).device
        pictures = pictures.to(device).contiguous(memory_format=torch.channels_last)
        with autocast(pictures.device), torch.set_grad_enabled(self.learn_encoder):
            latents = self.encoder(pictures).float()
        noise = normals(generators, *latents.shape[1:]).to(latents) * self.latent_noise
        with autocast(pictures.device):
            restored = self.decoder(latents + noise)
        error = restored.float() - pictures
        spread = (latents.square().mean() - 1).square()
        loss = error.abs().mean() + 4 * error.square().mean() + 0.02 * spread
        psnr = -10 * torch.log10(error.detach().square().mean())
        return loss, {"psnr": psnr, "spread": latents.detach().std()}


def crop_source(
    pool: tuple[Tensor, Tensor], *, size: int = 64
) -> Callable[[int, list[torch.Generator]], tuple[Tensor, list[torch.Generator]]]:
    """`pool`: pictures `n c h w` (uint8) and their person masks `n h w`. One crop for each generator."""

    def source(_step: int, generators: list[torch.Generator]) -> tuple[Tensor, list[torch.Generator]]:
        return crops(*pool, size=size, generators=generators), generators

    return source
