"""The sizes of DreaMoving-Tiny: SD1.5's architecture, made small enough to train and run on two CPU cores. [ours]

Every network keeps the format and the block types of its full-size brother; only widths and depths shrink.
Channels stay multiples of 32, which SD1.5's GroupNorm(32) demands.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TinyConfig:
    """Widths in channels, sizes in pixels."""

    image_size: int = 128  # frames are 128 x 128, latents 16 x 16
    model_channels: int = 64  # SD1.5: 320
    channel_mult: tuple[int, ...] = (1, 1, 2)  # SD1.5: 1 2 4 4
    num_res_blocks: int = 1  # per level; SD1.5: 2
    attention_levels: tuple[bool, ...] = (True, True, True)  # SD1.5: all but the deepest
    context_dim: int = 64  # SD1.5: 768
    num_heads: int = 4  # SD1.5: 8; narrower heads than 16 channels cost more time than they are worth
    text_layers: int = 2
    text_heads: int = 4
    vision_size: int = 64  # reference pictures, pixels
    vision_patch: int = 8
    vision_width: int = 96
    vision_layers: int = 3
    vision_heads: int = 4
    vision_projection: int = 64
    image_tokens: int = 8  # per reference; IP-Adapter plus: 16
    resampler_depth: int = 2
    resampler_heads: int = 4

    def unet_config(self) -> dict:
        """Keyword arguments of ComfyUI's UNetModel (and, minus out_channels and the output depth, of its ControlNet)."""
        depth = [int(attends) for attends in self.attention_levels]
        return {
            "image_size": 32,
            "in_channels": 4,
            "out_channels": 4,
            "model_channels": self.model_channels,
            "num_res_blocks": [self.num_res_blocks] * len(self.channel_mult),
            "channel_mult": self.channel_mult,
            "num_heads": self.num_heads,
            "num_head_channels": -1,
            "use_spatial_transformer": True,
            "transformer_depth": [d for d in depth for _ in range(self.num_res_blocks)],
            "transformer_depth_middle": 1,
            "transformer_depth_output": [d for d in depth for _ in range(self.num_res_blocks + 1)],
            "context_dim": self.context_dim,
            "use_linear_in_transformer": False,
            "adm_in_channels": None,
            "use_temporal_attention": False,
            "legacy": False,
        }

    def vision_config(self) -> dict:
        """The dictionary that ComfyUI's ClipVisionModel takes."""
        return {
            "model_type": "clip_vision_model",
            "hidden_act": "gelu",
            "num_channels": 3,
            "image_size": self.vision_size,
            "patch_size": self.vision_patch,
            "hidden_size": self.vision_width,
            "intermediate_size": 4 * self.vision_width,
            "num_attention_heads": self.vision_heads,
            "num_hidden_layers": self.vision_layers,
            "projection_dim": self.vision_projection,
        }

    def text_config(self) -> dict:
        """The overrides that SDClipModel merges into its `clip_l` configuration; the vocabulary stays whole."""
        return {
            "hidden_size": self.context_dim,
            "intermediate_size": 4 * self.context_dim,
            "num_attention_heads": self.text_heads,
            "num_hidden_layers": self.text_layers,
        }
