"""Networks that turn what an image encoder saw into tokens for cross-attention, one per kind of IP-Adapter.

Their parameter names are those of the public files under `image_proj`. Axes: b picture, n token, d feature.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from ..errors import WeightsError
from .backend import Backend

StateDict = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes of one token encoder; the defaults are IP-Adapter plus for SD1.5 ([IPA] Resampler)."""

    kind: str = "clip_resampler"
    feature_width: int = 1280  # of the image encoder's output that the kind reads
    context_dim: int = 768  # width of the tokens, that of the U-Net's text tokens
    tokens: int = 16
    dim: int = 768
    depth: int = 4
    heads: int = 12
    dim_head: int = 64
    ff_mult: int = 4
    identity_width: int | None = None  # of the face recogniser's vector; None: the file has no such part
    identity_hidden: int = 1024


class TokenEncoder(Protocol):
    """What an entry of `ENCODERS` builds."""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None: ...

    def __call__(self, features: Tensor) -> Tensor: ...


class LinearTokens(nn.Module):
    """The base IP-Adapter: one linear layer splits the picture's embedding into tokens. [IPA §3.2]"""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        super().__init__()
        ops, factory = backend.operations, backend.factory()
        self.tokens = config.tokens
        self.proj = ops.Linear(config.feature_width, config.tokens * config.context_dim, **factory)
        self.norm = ops.LayerNorm(config.context_dim, **factory)

    def forward(self, features: Tensor) -> Tensor:
        """`b d` image embeddings to `b n d`."""
        return self.norm(rearrange(self.proj(features), "b (n d) -> b n d", n=self.tokens))


class PerceiverAttention(nn.Module):
    """Learned queries read the picture's patches and each other. [IPA plus]"""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        super().__init__()
        ops, factory = backend.operations, backend.factory()
        inner = config.heads * config.dim_head
        self.heads, self.attention = config.heads, backend.attention
        self.norm1 = ops.LayerNorm(config.dim, **factory)
        self.norm2 = ops.LayerNorm(config.dim, **factory)
        self.to_q = ops.Linear(config.dim, inner, bias=False, **factory)
        self.to_kv = ops.Linear(config.dim, 2 * inner, bias=False, **factory)
        self.to_out = ops.Linear(inner, config.dim, bias=False, **factory)

    def forward(self, patches: Tensor, latents: Tensor) -> Tensor:
        """What `latents` (b n d) gain from `patches` (b m d)."""
        latents = self.norm2(latents)
        k, v = self.to_kv(torch.cat([self.norm1(patches), latents], dim=1)).chunk(2, dim=-1)
        return self.to_out(self.attention(self.to_q(latents), k, v, self.heads))


class Resampler(nn.Module):
    """IP-Adapter plus: a small Perceiver picks a fixed number of tokens out of all patches. [IPA plus]"""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        super().__init__()
        ops, factory = backend.operations, backend.factory()
        dim, hidden = config.dim, config.dim * config.ff_mult
        self.latents = nn.Parameter(torch.randn(1, config.tokens, dim, **factory) / dim**0.5)
        self.proj_in = ops.Linear(config.feature_width, dim, **factory)
        self.proj_out = ops.Linear(dim, config.context_dim, **factory)
        self.norm_out = ops.LayerNorm(config.context_dim, **factory)
        self.layers = nn.ModuleList()
        for _ in range(config.depth):
            feed_forward = nn.Sequential(
                ops.LayerNorm(dim, **factory),
                ops.Linear(dim, hidden, bias=False, **factory),
                nn.GELU(),
                ops.Linear(hidden, dim, bias=False, **factory),
            )
            self.layers.append(nn.ModuleList([PerceiverAttention(config, backend), feed_forward]))

    def forward(self, features: Tensor) -> Tensor:
        """`b m d` penultimate hidden states to `b n d`."""
        # ComfyUI loads layers one by one and this bare parameter never: it is brought along at use.
        latents = repeat(self.latents.to(features), "1 n d -> b n d", b=features.shape[0])
        patches = self.proj_in(features)
        for attention, feed_forward in self.layers:
            latents = latents + attention(patches, latents)
            latents = latents + feed_forward(latents)
        return self.norm_out(self.proj_out(latents))


class IdentityTokens(nn.Sequential):
    """What a face recogniser's vector adds to the tokens; nothing until it is trained.

    DreaMoving uses ArcFace "as a supplement to the clip features" [DM §2.4.1] and leaves open how; a zero-initialised
    MLP is our answer [ours]: it starts exactly at the public plus-face weights.
    """

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        ops, factory = backend.operations, backend.factory()
        last = ops.Linear(config.identity_hidden, config.tokens * config.context_dim, **factory)
        super().__init__(
            ops.Linear(config.identity_width, config.identity_hidden, **factory), nn.GELU(), last
        )
        self.tokens = config.tokens
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, identity: Tensor) -> Tensor:
        """`b d` unit vectors to `b n d`; a row of zeros (no face found) adds nothing."""
        tokens = rearrange(super().forward(identity), "b (n d) -> b n d", n=self.tokens)
        found = identity.ne(0).any(dim=-1)
        return tokens * rearrange(found, "b -> b 1 1")


@dataclass(frozen=True, kw_only=True)
class EncoderKind:
    """One kind: its network, the output of the image encoder that it reads, and how its files show."""

    network: type[TokenEncoder]
    feature: str  # "image_embeds" (b d) or "penultimate" (b n d)
    uncond: str  # what the public weights saw as "no picture"
    key: str  # the tensor under image_proj that only this kind has


ENCODERS: dict[str, EncoderKind] = {
    "clip_linear": EncoderKind(
        network=LinearTokens, feature="image_embeds", uncond="zero_embed", key="proj.weight"
    ),
    "clip_resampler": EncoderKind(
        network=Resampler, feature="penultimate", uncond="zero_pixels", key="latents"
    ),
    "dm_face": EncoderKind(network=Resampler, feature="penultimate", uncond="zero_pixels", key="latents"),
}


def encoder_config(
    image_proj: StateDict, id_proj: StateDict, *, context_dim: int, heads: int | None
) -> EncoderConfig:
    """The sizes of a token encoder from its tensors, named without their prefixes.

    Tensors do not tell how the attention width splits into heads; public files use 64 per head, `heads` overrides.
    """
    kind = next((name for name, entry in ENCODERS.items() if entry.key in image_proj), None)
    if kind is None:
        raise WeightsError(
            f"This image encoder is of a kind that is not supported: found {_some(image_proj)}; expected proj.weight "
            "(ip-adapter) or latents (ip-adapter-plus, plus-face). Load one of those files."
        )
    if kind == "clip_linear":
        rows, width = image_proj["proj.weight"].shape
        tokens = rows // context_dim
        return EncoderConfig(kind=kind, feature_width=width, context_dim=context_dim, tokens=tokens)
    sizes = _resampler_sizes(image_proj, heads=heads)
    if not id_proj:
        return EncoderConfig(kind=kind, **sizes)
    hidden, width = id_proj["0.weight"].shape
    return EncoderConfig(kind="dm_face", identity_width=width, identity_hidden=hidden, **sizes)


def _resampler_sizes(image_proj: StateDict, *, heads: int | None) -> dict[str, int]:
    _, tokens, dim = image_proj["latents"].shape
    needed = ("proj_in.weight", "proj_out.weight", "layers.0.0.to_q.weight", "layers.0.1.1.weight")
    for key in needed:
        if key not in image_proj:
            raise WeightsError(f"The file is damaged: image_proj.{key} is missing. Download it again.")
    proj_in, proj_out, to_q, ff = (image_proj[key].shape for key in needed)
    heads = heads or max(to_q[0] // 64, 1)
    depth = 1 + max(int(key.split(".")[1]) for key in image_proj if key.startswith("layers."))
    return {
        "feature_width": proj_in[1],
        "context_dim": proj_out[0],
        "tokens": tokens,
        "dim": dim,
        "depth": depth,
        "heads": heads,
        "dim_head": to_q[0] // heads,
        "ff_mult": ff[0] // dim,
    }


def _some(keys: StateDict) -> str:
    return ", ".join(sorted(keys)[:4]) or "no tensors"
