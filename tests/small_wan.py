"""Wan 2.1's autoencoder in core's own class, narrow and with random weights: for core's Wan-Animate and SCAIL nodes."""

import torch
from torch import Tensor


def small_wan_vae() -> dict[str, Tensor]:
    """Weights by the names that core knows the autoencoder by."""
    from comfy.ldm.wan.vae import WanVAE

    network = WanVAE(
        dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
        temperal_downsample=[False, True, True], dropout=0.0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(value.shape, generator=generator) / max(value[0].numel(), 1) ** 0.5
        for name, value in network.state_dict().items()
    }
