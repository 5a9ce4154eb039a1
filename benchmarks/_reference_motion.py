"""AnimateDiff written out plainly from its paper and published key tables: what our motion blocks are compared with.

Names of parameters are those of AnimateDiff's files. `MotionBlock` takes the place of diffusers' blocks in its
UNetMotionModel, whose forward says where they stand. Hidden states are `(b f) c h w`.
"""

import math

import torch
from torch import Tensor, nn

HEADS = 8


class Attention(nn.Module):
    def __init__(self, width: int, rows: int):
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.pos_encoder = nn.Module()
        self.pos_encoder.register_buffer("pe", torch.zeros(1, rows, width))

    def forward(self, tokens: Tensor, *, scale: float) -> Tensor:
        """`s f c`, every frame of a sequence to all others; position first, then q, k and v, which see it too."""
        placed = tokens + self.pos_encoder.pe[:, : tokens.shape[1]]
        heads = []
        queries, keys, values = self.to_q(placed), self.to_k(placed) * scale, self.to_v(placed)
        for q, k, v in zip(*(x.chunk(HEADS, dim=-1) for x in (queries, keys, values)), strict=True):
            weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(dim=-1)
            heads.append(weights @ v)
        return self.to_out[0](torch.cat(heads, dim=-1))


class Gate(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        value, gate = self.proj(tokens).chunk(2, dim=-1)
        return value * 0.5 * gate * (1 + torch.erf(gate / math.sqrt(2)))


class TransformerBlock(nn.Module):
    def __init__(self, width: int, rows: int):
        super().__init__()
        self.attention_blocks = nn.ModuleList([Attention(width, rows) for _ in range(2)])
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.ff = nn.Module()
        self.ff.net = nn.ModuleList([Gate(width), nn.Identity(), nn.Linear(4 * width, width)])
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, *, scale: float) -> Tensor:
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            tokens = tokens + attention(norm(tokens), scale=scale)
        hidden = self.ff_norm(tokens)
        for layer in self.ff.net:
            hidden = layer(hidden)
        return tokens + hidden


class MotionBlock(nn.Module):
    """One motion block, its norm within each frame."""

    def __init__(self, width: int, rows: int):
        super().__init__()
        transformer = nn.Module()
        transformer.norm = nn.GroupNorm(32, width, eps=1e-6)
        transformer.proj_in = nn.Linear(width, width)
        transformer.transformer_blocks = nn.ModuleList([TransformerBlock(width, rows)])
        transformer.proj_out = nn.Linear(width, width)
        self.temporal_transformer = transformer
        self.scale = 1.0

    def forward(
        self,
        hidden: Tensor,
        encoder: None = None,
        timestep: None = None,
        labels: None = None,
        num_frames: int = 1,
        kwargs: None = None,
    ) -> Tensor:
        """Called as diffusers calls its own blocks."""
        part = self.temporal_transformer
        clips = []
        for clip in part.norm(hidden).split(num_frames):
            frames, width, height, breadth = clip.shape
            tokens = clip.flatten(2).permute(2, 0, 1)  # (h w) f c
            tokens = part.transformer_blocks[0](part.proj_in(tokens), scale=self.scale)
            tokens = part.proj_out(tokens).permute(1, 2, 0)
            clips.append(tokens.reshape(frames, width, height, breadth))
        return hidden + torch.cat(clips)


class NormAcrossFrames(nn.Module):
    """A group norm over all frames of a clip, its statistics taken group by group."""

    def __init__(self, norm: nn.GroupNorm):
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = norm.weight, norm.bias
        self.num_frames = 1

    def forward(self, hidden: Tensor) -> Tensor:
        clips = []
        for clip in hidden.split(self.num_frames):
            parts = []
            for part in clip.chunk(self.groups, dim=1):
                mean = part.mean()
                parts.append((part - mean) / ((part - mean).square().mean() + self.eps).sqrt())
            clips.append(torch.cat(parts, dim=1))
        return torch.cat(clips) * self.weight[:, None, None] + self.bias[:, None, None]


def put_blocks(unet: nn.Module, rows: int) -> None:
    """Motion blocks as above in place of all of diffusers'."""
    for name, module in list(unet.named_modules()):
        if name.endswith("motion_modules"):
            for index, block in enumerate(module):
                module[index] = MotionBlock(block.norm.num_channels, rows)


def put_norms(unet: nn.Module) -> None:
    """Norms across frames where AnimateDiff v1 has them: twice in each residual block, and before the output."""
    for name, module in list(unet.named_modules()):
        if name.split(".")[-2:-1] == ["resnets"]:
            module.norm1, module.norm2 = NormAcrossFrames(module.norm1), NormAcrossFrames(module.norm2)
    unet.conv_norm_out = NormAcrossFrames(unet.conv_norm_out)


def positions(rows: int, width: int) -> Tensor:
    """Sines in the even columns, cosines in the odd ones: 1 rows width."""
    table = torch.zeros(rows, width, dtype=torch.float64)
    place = torch.arange(rows, dtype=torch.float64)
    for column in range(0, width, 2):
        angle = place / 10000 ** (column / width)
        table[:, column], table[:, column + 1] = angle.sin(), angle.cos()
    return table[None].float()
