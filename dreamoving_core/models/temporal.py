"""What happens inside a motion block: attention over the frames of one pixel position, and a feed-forward.

Sequences are `s f c` with s = (b h w): positions never see each other here, so they are worked off in chunks.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import InputError, WeightsError
from .backend import Backend

MAX_SEQUENCES = (
    2**15
)  # attention kernels refuse larger CUDA grids [ours: half of the 65,535 that CUDA allows]
# of intermediate values at a time [ours]: on a GPU a tenth of what 64 frames at 512x512 want; on a CPU what its
# allocator hands out again, where larger blocks come fresh from the system, page by page
CHUNK_BYTES, CHUNK_BYTES_CPU = 2**28, 2**24


@dataclass(frozen=True, kw_only=True)
class MotionConfig:
    """Widths in channels, level by level and block by block, in the order in which the network runs them."""

    down: tuple[tuple[int, ...], ...] = ((320, 320), (640, 640), (1280, 1280), (1280, 1280))  # [AD]
    mid: int | None = None  # [AD] 1280 in v2, absent in v1 and v3
    up: tuple[tuple[int, ...], ...] = ((1280,) * 3, (1280,) * 3, (640,) * 3, (320,) * 3)  # [AD]
    num_heads: int = 8  # [AD]
    num_attentions: int = 2  # [AD]; SparseCtrl has 1
    norm_mode: Literal["frame", "clip"] = "frame"  # [AD]; files trained with diffusers want "clip"
    positions: int = 128  # rows kept ready [ours: 64 frames, core's anchor frame, and room]


def sinusoid(num_positions: int, channels: int, *, device: torch.device | None = None) -> Tensor:
    """Whole positions from 0 as `1 n c`."""
    return sinusoid_at(torch.arange(num_positions, device=device, dtype=torch.float32), channels)


def sinusoid_at(position: Tensor, channels: int) -> Tensor:
    """Positions `n`, whole or not, as `1 n c` in float32: sines in the even columns, cosines in the odd ones. [AD]"""
    device = position.device
    frequency = torch.exp(
        torch.arange(0, channels, 2, device=device, dtype=torch.float32) * (-math.log(10000.0) / channels)
    )
    angle = position[:, None] * frequency
    return rearrange([angle.sin(), angle.cos()], "part n c -> 1 n (c part)")


class Positions(nn.Module):
    """Adds a frame's place in its window. Follows the formula unless a file stores rows that differ from it."""

    def __init__(self, channels: int, num_positions: int, *, device: torch.device | None = None):
        super().__init__()
        self.channels = channels
        self.stored = False
        with torch.inference_mode(False):  # a table made while a node runs must still serve training
            self.register_buffer("pe", sinusoid(num_positions, channels, device=device), persistent=False)

    def forward(self, num_frames: int, *, like: Tensor, span: int | None = None) -> Tensor:
        """Rows `1 f c` on the device and in the dtype of `like`. A clip longer than `span` is squeezed into it."""
        rows = self.pe
        if span is not None and num_frames > (span := min(span, rows.shape[1]) if self.stored else span):
            return self.squeezed(num_frames, span, like=like)
        if num_frames > rows.shape[1]:
            self.refuse(num_frames)
            rows = sinusoid(num_frames, self.channels, device=like.device)
        return rows[:, :num_frames].to(like)

    def squeezed(self, num_frames: int, span: int, *, like: Tensor) -> Tensor:
        """`num_frames` rows at equal steps from position 0 to `span` - 1: neighbours are nearer than in training."""
        position = torch.linspace(0.0, span - 1.0, num_frames, device=like.device)
        if not self.stored:
            return sinusoid_at(position, self.channels).to(like)
        rows, below = self.pe.to(position), position.long()
        above = (below + 1).clamp(max=span - 1)
        return torch.lerp(rows[:, below], rows[:, above], (position - below)[None, :, None]).to(like)

    def refuse(self, num_frames: int) -> None:
        if self.stored:
            raise InputError(
                f"This motion model handles up to {self.pe.shape[1]} frames at once, got {num_frames}. "
                "Use context windows of that length, set positions to 'stretch' in Apply Motion, or load a model "
                "trained on longer clips."
            )

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing, unexpected, errors):
        rows = state_dict.get(prefix + "pe")
        if rows is None:
            return
        if rows.shape[-1] != self.channels:
            raise WeightsError(
                f"The file's positions are {rows.shape[-1]} wide where its weights are {self.channels} ({prefix}pe). "
                "The file is damaged; download it again."
            )
        formula = sinusoid(rows.shape[1], self.channels, device=rows.device)
        # float16 rounds the formula's rows by up to 2.5e-4; edited rows differ by far more
        if (rows.float() - formula).abs().max() > 1e-2:
            self.stored = True
            self.register_buffer("pe", rows.detach().float().clone(), persistent=True)


class GEGLU(nn.Module):
    """One linear layer makes values and gates."""

    def __init__(self, channels: int, inner: int, backend: Backend):
        super().__init__()
        self.proj = backend.operations.Linear(channels, 2 * inner, **backend.factory())

    def forward(self, hidden: Tensor) -> Tensor:
        value, gate = self.proj(hidden).chunk(2, dim=-1)
        return value * nn.functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, channels: int, backend: Backend):
        super().__init__()
        last = backend.operations.Linear(4 * channels, channels, **backend.factory())
        self.net = nn.Sequential(
            GEGLU(channels, 4 * channels, backend), nn.Identity(), last
        )  # [AD] 1 was a dropout

    def forward(self, hidden: Tensor) -> Tensor:
        return self.net(hidden)


class TemporalAttention(nn.Module):
    """Every frame of a position attends to every other; shapes `s f c`, s sequences."""

    def __init__(self, channels: int, config: MotionConfig, backend: Backend):
        super().__init__()
        linear, factory = backend.operations.Linear, backend.factory()
        self.to_q = linear(channels, channels, bias=False, **factory)
        self.to_k = linear(channels, channels, bias=False, **factory)
        self.to_v = linear(channels, channels, bias=False, **factory)
        self.to_out = nn.ModuleList([linear(channels, channels, **factory)])
        self.pos_encoder = Positions(channels, config.positions, device=backend.device)
        self.num_heads = config.num_heads
        self.attention = backend.attention

    def forward(self, hidden: Tensor, *, positions: Tensor, scale: float | Tensor) -> Tensor:
        hidden = hidden + positions
        q, k, v = self.to_q(hidden), self.to_k(hidden), self.to_v(hidden)
        if isinstance(scale, Tensor) or scale != 1.0:
            k = k * scale
        return self.to_out[0](self.attention(q, k, v, self.num_heads))


class TemporalBlock(nn.Module):
    """Attentions and feed-forward, each on a normalised copy and added to its input."""

    def __init__(self, channels: int, config: MotionConfig, backend: Backend):
        super().__init__()

        def norm() -> nn.Module:
            return backend.operations.LayerNorm(channels, **backend.factory())

        attentions = range(config.num_attentions)
        self.attention_blocks = nn.ModuleList(
            [TemporalAttention(channels, config, backend) for _ in attentions]
        )
        self.norms = nn.ModuleList([norm() for _ in attentions])
        self.ff = FeedForward(channels, backend)
        self.ff_norm = norm()

    def forward(self, hidden: Tensor, *, positions: list[Tensor], scale: float | Tensor) -> Tensor:
        for attention, norm, rows in zip(self.attention_blocks, self.norms, positions, strict=True):
            hidden = attention(norm(hidden), positions=rows, scale=scale) + hidden
        return self.ff(self.ff_norm(hidden)) + hidden


class TemporalTransformer(nn.Module):
    """What a motion module adds to its input: norm, projection, blocks over time, projection."""

    def __init__(self, channels: int, config: MotionConfig, backend: Backend):
        super().__init__()
        operations, factory = backend.operations, backend.factory()
        self.norm = operations.GroupNorm(32, channels, eps=1e-6, **factory)  # [AD]
        self.proj_in = operations.Linear(channels, channels, **factory)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, config, backend)])
        self.proj_out = operations.Linear(channels, channels, **factory)
        for parameter in self.proj_out.parameters():
            nn.init.zeros_(parameter)  # [AD] a new module changes nothing
        self.norm_mode = config.norm_mode
        self.checkpointing = False
        self.chunk_bytes: int | None = None

    def sequences_per_chunk(self, num_frames: int, tokens: Tensor) -> int:
        chunk_bytes = self.chunk_bytes or (CHUNK_BYTES_CPU if tokens.device.type == "cpu" else CHUNK_BYTES)
        # the feed-forward holds 8 c + 4 c + 4 c numbers per token at its widest
        sequence = 16 * num_frames * tokens.shape[-1] * tokens.element_size()
        return max(1, min(MAX_SEQUENCES, chunk_bytes // sequence))

    def normalise(self, hidden: Tensor, num_frames: int) -> Tensor:
        """`(b f) c h w` to tokens `(b h w) f c`, normalised within each frame or over the whole clip."""
        if self.norm_mode == "frame":
            return rearrange(self.norm(hidden), "(b f) c h w -> (b h w) f c", f=num_frames)
        clips = rearrange(hidden, "(b f) c h w -> b c f h w", f=num_frames)
        return rearrange(self.norm(clips), "b c f h w -> (b h w) f c")

    def transform(self, tokens: Tensor, positions: list[Tensor], scale: float | Tensor) -> Tensor:
        hidden = self.proj_in(tokens)
        for block in self.transformer_blocks:
            hidden = block(hidden, positions=positions, scale=scale)
        return self.proj_out(hidden)

    def forward(
        self, hidden: Tensor, *, num_frames: int, scale: float | Tensor, span: int | None = None
    ) -> Tensor:
        tokens = self.normalise(hidden, num_frames)
        positions = [
            a.pos_encoder(num_frames, like=tokens, span=span)
            for b in self.transformer_blocks
            for a in b.attention_blocks
        ]
        chunks = tokens.split(self.sequences_per_chunk(num_frames, tokens))
        if torch.is_grad_enabled():
            parts = [self.differentiable(chunk, positions, scale) for chunk in chunks]
            tokens = torch.cat(parts) if len(parts) > 1 else parts[0]
        else:
            # positions do not see each other, so each chunk may take the place of its input
            for chunk in chunks:
                chunk.copy_(self.transform(chunk, positions, scale))
        height, width = hidden.shape[-2:]
        return rearrange(tokens, "(b h w) f c -> (b f) c h w", h=height, w=width)

    def differentiable(self, tokens: Tensor, positions: list[Tensor], scale: float | Tensor) -> Tensor:
        if not self.checkpointing:
            return self.transform(tokens, positions, scale)
        # never reentrant: around layers that are inserted for one call those give wrong gradients, silently
        return checkpoint(
            self.transform, tokens, positions, scale, use_reentrant=False, preserve_rng_state=False
        )
