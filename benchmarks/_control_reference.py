"""The other side of the ControlNets' figures: diffusers' networks with random numbers, and their files in others' names."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ._ip_adapter_files import CONTEXT, random_tensors

LATENT_SCALE = 0.18215  # [SD15]
SIZES = {"cross_attention_dim": CONTEXT, "attention_head_dim": 8}  # heads, in spite of its name

StateDict = dict[str, Tensor]


def filled(network: Callable[..., nn.Module], *, seed: int, **settings: Any) -> nn.Module:
    """A network with random numbers in every tensor, in the layers that start at zero too; positions by formula."""
    with torch.device("meta"):
        module = network(**settings)
    shapes = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    tensors = random_tensors(shapes, seed=seed)
    for key, shape in shapes.items():
        if key.endswith("pos_embed.pe"):
            tensors[key] = positions(*shape[1:])
    module.load_state_dict(tensors, assign=True)
    return module.eval()


def positions(rows: int, channels: int) -> Tensor:
    """[AD] sines in the even columns, cosines in the odd ones: 1 rows channels."""
    angle = torch.arange(rows)[:, None] / 10000 ** (torch.arange(0, channels, 2) / channels)
    return rearrange(torch.stack([angle.sin(), angle.cos()]), "part n c -> 1 n (c part)")


def in_ldm_names(state_dict: StateDict) -> StateDict:
    """A ControlNet in LDM's layout, by the table with which ComfyUI reads diffusers' files."""
    import comfy.utils

    from ..dreamoving_core.weights.keymaps import from_motion_adapter

    names = comfy.utils.unet_to_diffusers(full_size_layout())
    for suffix in ("weight", "bias"):
        names[f"controlnet_mid_block.{suffix}"] = f"middle_block_out.0.{suffix}"
        names[f"controlnet_cond_embedding.conv_in.{suffix}"] = f"input_hint_block.0.{suffix}"
        names[f"controlnet_cond_embedding.conv_out.{suffix}"] = f"input_hint_block.14.{suffix}"
        names |= {f"controlnet_down_blocks.{i}.{suffix}": f"zero_convs.{i}.0.{suffix}" for i in range(12)}
        names |= {
            f"controlnet_cond_embedding.blocks.{i}.{suffix}": f"input_hint_block.{2 * i + 2}.{suffix}"
            for i in range(6)
        }
    motion = {key: tensor for key, tensor in state_dict.items() if "motion_modules" in key}
    image = {names[key]: tensor for key, tensor in state_dict.items() if key not in motion}
    return image | {f"motion.{key}": tensor for key, tensor in from_motion_adapter(motion).items()}


def full_size_layout() -> dict[str, Any]:
    """SD1.5's, as ComfyUI's table wants it."""
    return {
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "transformer_depth_middle": 1,
    }


def in_published_names(state_dict: StateDict) -> StateDict:
    """A SparseCtrl as its authors store it: AnimateDiff's names for the motion blocks, 32 rows of positions in each."""
    from ..dreamoving_core.weights.keymaps import from_motion_adapter

    motion = {key: tensor for key, tensor in state_dict.items() if "motion_modules" in key}
    return {k: v for k, v in state_dict.items() if k not in motion} | from_motion_adapter(motion)


def vae_and_latents(pictures: Tensor) -> tuple[Any, Tensor]:
    """ComfyUI's VAE, and what diffusers' with the same weights makes of the pictures."""
    import comfy.sd
    import diffusers

    blocks = 4
    reference = filled(
        diffusers.AutoencoderKL,
        seed=6,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
    )
    vae = comfy.sd.VAE(sd=dict(reference.state_dict()), dtype=torch.float32)
    return vae, reference.encode(2 * pictures - 1).latent_dist.mode() * LATENT_SCALE


class MovingControlNet(nn.Module):
    """diffusers' ControlNet whose encoder is that of its UNetMotionModel: a motion block after every other block."""

    def __init__(self) -> None:
        import diffusers

        super().__init__()
        image = diffusers.ControlNetModel(**SIZES)
        video = diffusers.UNetMotionModel(
            cross_attention_dim=CONTEXT, num_attention_heads=8, use_motion_mid_block=True
        )
        self.conv_in, self.time_embedding = image.conv_in, image.time_embedding
        self.controlnet_cond_embedding = image.controlnet_cond_embedding
        self.controlnet_down_blocks = image.controlnet_down_blocks
        self.controlnet_mid_block = image.controlnet_mid_block
        self.down_blocks, self.mid_block = video.down_blocks, video.mid_block

    def forward(
        self, latents: Tensor, timesteps: Tensor, context: Tensor, *, hint: Tensor
    ) -> tuple[Sequence[Tensor], Tensor]:
        from diffusers.models.embeddings import get_timestep_embedding

        steps = get_timestep_embedding(timesteps, 320, flip_sin_to_cos=True, downscale_freq_shift=0)
        time = self.time_embedding(steps)
        hidden = self.conv_in(latents) + self.controlnet_cond_embedding(hint)
        skips = [hidden]
        for block in self.down_blocks:
            attending = getattr(block, "has_cross_attention", False)
            text = {"encoder_hidden_states": context} if attending else {}
            hidden, more = block(hidden_states=hidden, temb=time, num_frames=len(latents), **text)
            skips += more
        hidden = self.mid_block(hidden, time, encoder_hidden_states=context, num_frames=len(latents))
        outputs = [zero(skip) for zero, skip in zip(self.controlnet_down_blocks, skips, strict=True)]
        return outputs, self.controlnet_mid_block(hidden)


class EachFrame(nn.Module):
    """A norm over clips `b c f h w`, taken frame by frame as AnimateDiff's authors do."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, clips: Tensor) -> Tensor:
        frames = rearrange(clips, "b c f h w -> (b f) c h w")
        return rearrange(self.norm(frames), "(b f) c h w -> b c f h w", b=clips.shape[0])


def normalise_each_frame(network: nn.Module) -> None:
    """Replace the norms of diffusers' motion blocks, which average over the clip."""
    blocks = [
        block for name, block in network.named_modules() if name.split(".")[-2:-1] == ["motion_modules"]
    ]
    if len(blocks) != 8:
        raise ValueError(f"Expected 8 motion blocks, found {len(blocks)}.")
    for block in blocks:
        block.norm = EachFrame(block.norm)
