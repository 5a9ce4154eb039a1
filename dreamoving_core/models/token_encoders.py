"""Networks that turn what an image encoder or a face recogniser saw into tokens for cross-attention.

One per kind of IP-Adapter; `encoder_kinds.py` says which is which. Parameter names are those of the public files under
`image_proj`. Axes: b picture, n token, d feature.
"""

from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from .backend import Backend


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
    shortcut: bool = False  # FaceID-Plus v2 adds the patches' tokens to the identity's, v1 replaces these


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


class PatchTokens(nn.Module):
    """IP-Adapter full-face: every patch becomes a token of its own. [IPA] MLPProjModel"""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        super().__init__()
        ops, factory = backend.operations, backend.factory()
        self.proj = nn.Sequential(
            ops.Linear(config.feature_width, config.dim, **factory),
            nn.GELU(),
            ops.Linear(config.dim, config.context_dim, **factory),
            ops.LayerNorm(config.context_dim, **factory),
        )

    def forward(self, features: Tensor) -> Tensor:
        """`b n d` penultimate hidden states to `b n d`."""
        return self.proj(features)


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


class Perceiver(nn.Module):
    """Queries that read the patches, layer after layer, and leave with the width of tokens. [IPA plus]"""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        super().__init__()
        ops, factory = backend.operations, backend.factory()
        dim, hidden = config.dim, config.dim * config.ff_mult
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

    def read(self, features: Tensor, queries: Tensor) -> Tensor:
        """What `queries` (b n d) find in `features` (b m d), as tokens `b n d`."""
        patches = self.proj_in(features)
        for attention, feed_forward in self.layers:
            queries = queries + attention(patches, queries)
            queries = queries + feed_forward(queries)
        return self.norm_out(self.proj_out(queries))


class Resampler(Perceiver):
    """IP-Adapter plus: a fixed number of learned queries picks tokens out of all patches. [IPA plus]"""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        super().__init__(config, backend)
        latents = torch.randn(1, config.tokens, config.dim, **backend.factory())
        self.latents = nn.Parameter(latents / config.dim**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """`b m d` penultimate hidden states to `b n d`."""
        # ComfyUI loads layers one by one and this bare parameter never: it is brought along at use.
        latents = repeat(self.latents.to(features), "1 n d -> b n d", b=features.shape[0])
        return self.read(features, latents)


class FaceTokens(nn.Module):
    """IP-Adapter FaceID: the face recogniser's vector alone becomes the tokens. [IPA] MLPProjModel of FaceID"""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        super().__init__()
        ops, factory = backend.operations, backend.factory()
        self.tokens = config.tokens
        self.proj = nn.Sequential(
            ops.Linear(config.identity_width, config.identity_hidden, **factory),
            nn.GELU(),
            ops.Linear(config.identity_hidden, config.tokens * config.context_dim, **factory),
        )
        self.norm = ops.LayerNorm(config.context_dim, **factory)

    def forward(self, identity: Tensor) -> Tensor:
        """`b d` unit vectors, or zeros for "no face", to `b n d`."""
        return self.norm(rearrange(self.proj(identity), "b (n d) -> b n d", n=self.tokens))


class FacePatchTokens(FaceTokens):
    """IP-Adapter FaceID-Plus: the identity's tokens look into the face's patches; v2 keeps the identity beside what
    they find (`shortcut`). [IPA] ProjPlusModel"""

    def __init__(self, config: EncoderConfig, backend: Backend) -> None:
        super().__init__(config, backend)
        self.shortcut = config.shortcut
        self.perceiver_resampler = Perceiver(config, backend)

    def forward(self, features: Tensor, identity: Tensor) -> Tensor:
        """`b m d` penultimate hidden states and `b d` unit vectors to `b n d`."""
        queries = super().forward(identity)
        found = self.perceiver_resampler.read(features, queries)
        return queries + found if self.shortcut else found


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
