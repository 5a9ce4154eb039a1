"""The smallest DreaMoving that has every part, and batches of noise for it."""

import torch
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from dreamoving.dreamoving_core.training.batch import Batch
from dreamoving.dreamoving_core.training.networks import new_networks

CONFIG = TinyConfig(
    model_channels=32,
    channel_mult=(1, 2),
    attention_levels=(True, True),
    context_dim=32,
    vision_width=32,
    vision_layers=2,
    image_tokens=2,
    resampler_depth=1,
    resampler_heads=2,
    text_layers=1,
)


def small_networks(*, seed=0, settled=True):
    """Networks; `settled` replaces the zeros of their first hour by small numbers, so that every part has a say."""
    torch.manual_seed(seed)
    networks = new_networks(CONFIG)
    if settled:
        with torch.no_grad():
            for parameter in networks.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.02)
    return networks


def small_batch(*, clips=2, frames=1, kind="pose", seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    def pixels(*shape):
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    return Batch(
        latents=normal(clips, frames, 4, 4, 4),
        control=pixels(clips, frames, 3, 32, 32),
        control_kind=kind,
        person=pixels(clips, frames, 4, 4),
        face=normal(clips, 65, 32),
        cloth=normal(clips, 65, 32),
        token_ids=torch.randint(0, 49406, (3, 77), generator=generator),
        caption=torch.tensor([1, 2])[:clips],
    )
