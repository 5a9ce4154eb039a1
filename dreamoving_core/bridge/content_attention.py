"""Eq. 1 inside ComfyUI's cross-attention, as a replacement patch of `attn2`. [DM §2.3]

Axes: ComfyUI's batch is (chunk f), one chunk of f frames per conditioning; r is a row of image tokens.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention
from einops import rearrange, repeat
from torch import Tensor, nn

from ..errors import InputError
from ..models.content_guider import KeyValue, add_image_attention
from .content_call import CALL, ModelCall, RunCache, model_call
from .curves import Strength, per_frame

Size = tuple[int, int]  # height and width of an attention, in its own cells


@dataclass(frozen=True, kw_only=True, eq=False)
class BranchStrength:
    """How strongly one branch acts: alpha over the frames, and where in the picture (`mask` f h w in [0, 1])."""

    name: str
    alpha: Strength
    mask: Tensor | None = None

    def alpha_at(self, call: ModelCall, *, like: Tensor, cache: RunCache) -> float | Tensor:
        """A number, or `f 1 1` for the frames of one chunk."""
        alpha = per_frame(self.alpha, call.total_frames, name=f"alpha of the {self.name}")
        if isinstance(alpha, float):
            return alpha
        key = ("alpha", id(self), call.total_frames, like.device, like.dtype)
        rows = cache.get(key, lambda: torch.tensor(alpha).to(like))
        return rearrange(call.take(rows), "f -> f 1 1")

    def mask_at(self, call: ModelCall, *, size: Size | None, like: Tensor, cache: RunCache) -> Tensor | None:
        """`f n 1` (or 1 n 1) at an attention of `size`; with size None `f h w` as it came."""
        if self.mask is None:
            return None
        if self.mask.shape[0] not in (1, call.total_frames):
            raise InputError(
                f"The {self.name} mask has {self.mask.shape[0]} frames, the clip has {call.total_frames}. "
                "Give one mask for all frames, or one per frame."
            )
        key = ("mask", id(self), size, like.device, like.dtype)
        mask = cache.get(key, lambda: (resized_mask(self.mask, size) if size else self.mask).to(like))
        return mask if mask.shape[0] == 1 else call.take(mask)


def resized_mask(mask: Tensor, size: Size) -> Tensor:
    """`f h w` to `f n 1` at the (height, width) of an attention, bilinear and antialiased: soft edges stay soft."""
    small = nn.functional.interpolate(
        rearrange(mask, "f h w -> f 1 h w"), size=size, mode="bilinear", antialias=True
    )
    return rearrange(small, "f 1 h w -> f (h w) 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTerm:
    """One branch at one cross-attention: keys and values `r n d`, r = 1 or one per frame. None: adds nothing."""

    positive: KeyValue
    negative: KeyValue | None
    strength: BranchStrength

    def acts(self, call: ModelCall) -> bool:
        """Whether any chunk wants this branch."""
        return any(self._wanted(call))

    def key_value(self, call: ModelCall, *, like: Tensor, cache: RunCache) -> KeyValue:
        """Keys and values `r n d` of the whole batch: a row per chunk, or per picture when each frame has its own."""
        key = (id(self), call.roles, like.device, like.dtype)
        pairs = cache.get(key, lambda: self._placed(call.roles, like))
        if isinstance(pairs, tuple):
            return pairs
        num_frames = like.shape[0] // len(call.roles)
        spread = [tuple(self._per_frame(x, call, num_frames) for x in pair) for pair in pairs]
        k, v = (torch.cat(parts) for parts in zip(*spread, strict=True))
        return k, v

    def strength_at(self, call: ModelCall, *, size: Size, like: Tensor, cache: RunCache) -> float | Tensor:
        """A number, or `(chunk f) n 1`: 0 where a chunk wants no image."""
        key = (id(self.strength), size, self._wanted(call))
        if key not in call.made:
            strength = self.strength.alpha_at(call, like=like, cache=cache)
            mask = self.strength.mask_at(call, size=size, like=like, cache=cache)
            call.made[key] = self._for_chunks(call, strength if mask is None else strength * mask, like=like)
        return call.made[key]

    def prepared(self, call: ModelCall, *, on: bool, like: Tensor, cache: RunCache) -> tuple[Tensor, ...]:
        """Keys, values, strength and mask with a row per picture, whatever the call: a compiled U-Net keeps shapes."""
        pictures = like.shape[0]
        k, v = (
            repeat(x, "r n d -> (r f) n d", f=pictures // x.shape[0])
            for x in self.key_value(call, like=like, cache=cache)
        )
        alpha = self.strength.alpha_at(call, like=like, cache=cache) if on else 0.0
        strength = self._for_chunks(call, alpha, like=like)
        if isinstance(strength, float):
            strength = like.new_full((pictures, 1, 1), strength)
        mask = self.strength.mask_at(call, size=None, like=like, cache=cache)
        if mask is not None:
            mask = mask.expand(pictures // len(call.roles), -1, -1).repeat(len(call.roles), 1, 1)
        return k, v, strength, mask

    def _wanted(self, call: ModelCall) -> tuple[bool, ...]:
        return tuple(getattr(self, role) is not None for role in call.roles)

    def _placed(self, roles: tuple[str, ...], like: Tensor) -> KeyValue | list[KeyValue]:
        """On the device: one row per chunk, or with a set of tokens per frame a list of pairs, one per chunk."""
        moved = {role: getattr(self, role) or self.positive for role in set(roles)}
        moved = {role: tuple(x.to(like) for x in pair) for role, pair in moved.items()}
        pairs = [moved[role] for role in roles]
        if any(k.shape[0] > 1 for k, _ in pairs):
            return pairs
        k, v = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return k, v

    def _per_frame(self, rows: Tensor, call: ModelCall, num_frames: int) -> Tensor:
        if rows.shape[0] == 1:
            return rows.expand(num_frames, -1, -1)
        if rows.shape[0] != call.total_frames:
            raise InputError(
                f"The {self.strength.name} tokens are of {rows.shape[0]} pictures, one per frame, but the clip has "
                f"{call.total_frames} frames. Give one picture per frame, or choose average or concat when encoding."
            )
        return call.take(rows)

    def _for_chunks(self, call: ModelCall, strength: float | Tensor, *, like: Tensor) -> float | Tensor:
        """One chunk's strength (a number, or f n 1) for the whole batch."""
        wanted = self._wanted(call)
        if isinstance(strength, float):
            if all(wanted):
                return strength
            strength = like.new_full((1, 1, 1), strength)
        strength = strength.expand(like.shape[0] // len(wanted), -1, 1)
        return torch.cat([strength if on else torch.zeros_like(strength) for on in wanted])


@dataclass(frozen=True, kw_only=True, eq=False)
class LiveTerm:
    """One branch in training: keys and values `r n d` with their gradients, r any divisor of the batch, no roles."""

    pair: KeyValue
    alpha: float | Tensor  # a number, or one per row or per picture of the batch

    def acts(self, _call: ModelCall) -> bool:
        """Always."""
        return True

    def key_value(self, _call: ModelCall, *, like: Tensor, cache: RunCache) -> KeyValue:
        """In the queries' precision."""
        k, v = self.pair
        return k.to(like), v.to(like)

    def strength_at(self, _call: ModelCall, *, size: Size, like: Tensor, cache: RunCache) -> float | Tensor:
        """A number, or `(r f) 1 1`."""
        if not isinstance(self.alpha, Tensor):
            return self.alpha
        return repeat(self.alpha.to(like), "r -> (r f) 1 1", f=like.shape[0] // self.alpha.shape[0])


class ContentAttention:
    """The patch of one cross-attention: what stood there before, plus the image terms. Never changed after it is built,
    but for `add`, which IPAdapter_plus calls on whatever it finds in the slot; `forked` gives clones their own."""

    def __init__(
        self,
        key: tuple[str, int, int],
        terms: Sequence[ImageTerm | LiveTerm],
        *,
        previous: Callable | None = None,
        sigma_range: tuple[float, float] = (float("inf"), 0.0),
        cache: RunCache | None = None,
    ) -> None:
        self.terms, self.previous, self.sigma_range = tuple(terms), previous, sigma_range
        self.name = (*key, previous.name[-1] + 1 if isinstance(previous, ContentAttention) else 0)
        self.cache = cache or RunCache()
        self.added: list[tuple[Callable, dict]] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra_options: dict) -> Tensor:
        """`(chunk f) n d` after text and image attention."""
        attention = _attention(extra_options)
        size = tuple(extra_options["activations_shape"][-2:])
        call = extra_options.get(CALL) or model_call(q.shape[0], q.device, extra_options)
        # IPAdapter_plus names no block inside the transformer: put over ours, it would be hidden by our more exact name.
        before = self.previous or call.slots.get(self.name[:2])
        out = before(q, k, v, extra_options) if before is not None else attention(q, k, v)
        if call.prepared is not None:
            for key, value, strength, mask in call.prepared[self.name]:
                strength = strength if mask is None else strength * resized_mask(mask, size)
                out = add_image_attention(
                    out, q, key_value=(key, value), strength=strength, attention=attention
                )
        elif self.is_on(call):
            for term in self.terms:
                if term.acts(call):
                    pair = term.key_value(call, like=q, cache=self.cache)
                    strength = term.strength_at(call, size=size, like=q, cache=self.cache)
                    out = add_image_attention(out, q, key_value=pair, strength=strength, attention=attention)
        for callback, options in self.added:
            if options.get("sigma_start", float("inf")) >= call.sigma >= options.get("sigma_end", 0.0):
                out = out + callback(out, q, k, v, extra_options, **options)
        return out

    def is_on(self, call: ModelCall) -> bool:
        """Whether the call lies between the start and the end percent."""
        start, end = self.sigma_range
        return start >= call.sigma >= end

    def prepared(self, call: ModelCall, *, like: Tensor) -> list[tuple[Tensor, ...]]:
        """`ImageTerm.prepared` of every term, for a batch and dtype as `like`."""
        on = self.is_on(call)
        return [term.prepared(call, on=on, like=like, cache=self.cache) for term in self.terms]

    def add(self, callback: Callable, **options: Any) -> None:
        """Another pack's term for the same slot, in the form that IPAdapter_plus passes it."""
        self.added.append((callback, options))

    def forked(self, cache: RunCache) -> "ContentAttention":
        """The same patch, sharing nothing that can change."""
        fork = copy.copy(self)
        fork.added, fork.cache = list(self.added), cache
        if isinstance(self.previous, ContentAttention):
            fork.previous = self.previous.forked(cache)
        return fork

    # ComfyUI looks for the next three on the patch in the slot alone, so what stands below is reached through it.

    def to(self, target: torch.device | torch.dtype) -> "ContentAttention":
        """Our tensors follow the queries; another pack's patch may want to move."""
        if hasattr(self.previous, "to"):
            self.previous = self.previous.to(target)
        return self

    def models(self) -> list:
        """The models that another pack's patch wants loaded; ours has none."""
        return self.previous.models() if hasattr(self.previous, "models") else []

    def cleanup(self) -> None:
        """The run has ended."""
        self.cache.clear()
        if hasattr(self.previous, "cleanup"):
            self.previous.cleanup()


def _attention(extra_options: dict) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """ComfyUI's attention of choice, as the cross-attention itself would call it."""

    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        precision = extra_options.get("attn_precision")
        heads = extra_options["n_heads"]
        return optimized_attention(
            q, k, v, heads, attn_precision=precision, transformer_options=extra_options
        )

    return attention
