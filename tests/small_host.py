"""A small random SD1.5 in a real ComfyUI: the same layout (12 + 1 + 12 blocks, 16 cross attentions), a tenth of the width."""

import math

import pytest
import torch

SMALL = {
    "model_channels": 32,
    "num_heads": 8,
    "channel_mult": (1, 2, 4, 4),
    "num_res_blocks": 2,
    "attention_levels": (True, True, True, False),
}


def small_config():
    from dreamoving.dreamoving_core.tiny.config import TinyConfig

    return TinyConfig(**SMALL)


def randomise(state_dict, *, seed=0):
    """Numbers of a plausible size for every tensor, zero-initialised layers included."""
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for key, tensor in state_dict.items():
        if tensor.ndim > 1:
            scale = 1 / math.sqrt(tensor[0].numel())
            values[key] = torch.randn(tensor.shape, generator=generator) * scale
        else:
            centre = 1.0 if "norm" in key and key.endswith("weight") else 0.0
            values[key] = centre + 0.1 * torch.randn(tensor.shape, generator=generator)
    return values


def unet_state_dict(config, *, seed=0):
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(**config.unet_config(), operations=comfy.ops.disable_weight_init)
    return randomise(unet.state_dict(), seed=seed)


def small_model(*, seed=0, v_prediction=False, dtype=None):
    """A fresh ModelPatcher; the same seed gives the same weights."""
    from dreamoving.dreamoving_core.bridge.tiny import build_model

    config = small_config()
    return build_model(config, unet_state_dict(config, seed=seed), v_prediction=v_prediction, dtype=dtype)


def conditioning(*, seed=1, **extra):
    """A core CONDITIONING with seven random text tokens."""
    tokens = torch.randn(1, 7, 64, generator=torch.Generator().manual_seed(seed))
    return [[tokens, {"pooled_output": None, **extra}]]


def sample_latents(
    model,
    positive=None,
    negative=None,
    *,
    frames=8,
    size=8,
    steps=2,
    cfg=2.0,
    seed=0,
    latent=None,
    sampler="euler",
    scheduler="normal",
):
    """Latents (f c h w) as the stock KSampler computes them."""
    import comfy.sample

    latent = torch.zeros(frames, 4, size, size) if latent is None else latent
    noise = comfy.sample.prepare_noise(latent, seed)
    positive = conditioning(seed=1) if positive is None else positive
    negative = conditioning(seed=2) if negative is None else negative
    with torch.inference_mode():
        return comfy.sample.sample(
            model,
            noise,
            steps,
            cfg,
            sampler,
            scheduler,
            positive,
            negative,
            latent,
            disable_pbar=True,
            seed=seed,
        )


@pytest.fixture
def small_sd15():
    return small_model()
