"""Wan's networks as core has them, narrow and untrained: what core's Wan-Animate and SCAIL nodes take, small enough to run here.

Widths that core reads off a file's tensors are small; the others stand in the file's metadata, where core looks for them.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..dreamoving_core.tiny.config import TinyConfig

DIM, LATENT = 128, 16  # [ours] one head of Wan's width; channels of Wan's autoencoder
BLOCKS = 5  # the first is the one that core's Wan-Animate tells its faces to; fewer have no place for them
RANK = 4


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A file's tensors, and what core's loader cannot read off them."""

    weights: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def random_wan_animate() -> StandIn:
    """Wan2.2-Animate: noise, then picture and mask. Half of the file is the face encoder, whose widths are fixed."""
    from comfy.ldm.wan.model_animate import AnimateWanModel

    return diffusion_model(AnimateWanModel, in_dim=2 * LATENT + 4, num_layers=BLOCKS)


def random_scail() -> StandIn:
    """SCAIL-Preview, with 4 channels of mask."""
    from comfy.ldm.wan.model import SCAILWanModel

    return diffusion_model(SCAILWanModel, in_dim=LATENT + 4, num_layers=1)


def diffusion_model(kind: type[nn.Module], **settings: Any) -> StandIn:
    """A network whose prompts are as wide as those of Tiny's text encoder."""
    import comfy.ops

    told = {"text_dim": TinyConfig().context_dim}
    network = kind(
        dim=DIM, ffn_dim=DIM, out_dim=LATENT, num_heads=1, operations=comfy.ops.disable_weight_init, **told, **settings
    )  # fmt: skip
    weights = {name: value.half() for name, value in random_weights(network).items()}
    return StandIn(weights=weights, metadata={"config": json.dumps({"transformer": told})})


def random_wan_lora() -> StandIn:
    """A LoRA on the first block's queries, which Wan-Animate and SCAIL have alike."""
    layer = "diffusion_model.blocks.0.self_attn.q"
    shapes = {f"{layer}.lora_down.weight": (RANK, DIM), f"{layer}.lora_up.weight": (DIM, RANK)}
    generator = torch.Generator().manual_seed(0)
    return StandIn(weights={name: torch.randn(shape, generator=generator) for name, shape in shapes.items()})


def random_wan_vae() -> StandIn:
    """Wan 2.1's autoencoder: 8 times smaller pictures, 4 frames in one."""
    from comfy.ldm.wan.vae import WanVAE

    network = WanVAE(
        dim=8, z_dim=LATENT, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[],
        temperal_downsample=[False, True, True], dropout=0.0,
    )  # fmt: skip
    return StandIn(weights=random_weights(network))


def random_weights(network: nn.Module) -> dict[str, Tensor]:
    """Layers that neither grow nor shrink what goes through them."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(value.shape, generator=generator) / max(value[0].numel(), 1) ** 0.5
        for name, value in network.state_dict().items()
    }
