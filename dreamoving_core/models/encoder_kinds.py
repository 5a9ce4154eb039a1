"""The kinds of token encoders that public files have, and how their tensors show which one a file holds."""

from dataclasses import dataclass

from torch import Tensor, nn

from ..errors import WeightsError
from .token_encoders import (
    EncoderConfig,
    FacePatchTokens,
    FaceTokens,
    LinearTokens,
    PatchTokens,
    Resampler,
)

StateDict = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class EncoderKind:
    """One kind: its network, what it reads, what its weights saw as "no picture", and how its files show.

    `feature` is the output of the image encoder: "image_embeds" (b d), "penultimate" (b n d), or "" when it looks at no
    picture. `identity` is True when the network itself reads the face recogniser's vector (b d).
    """

    network: type[nn.Module]  # called with the features, if any, then the identity, if any
    feature: str
    uncond: str
    keys: tuple[str, ...]  # tensors under image_proj that, together, only this kind has
    identity: bool = False
    crop: str = ""  # how its pictures become square; "": as the branch's custom is


# In this order: the first whose tensors are all there.
ENCODERS: dict[str, EncoderKind] = {
    "clip_linear": EncoderKind(
        network=LinearTokens, feature="image_embeds", uncond="zero_embed", keys=("proj.weight",)
    ),
    "clip_mlp": EncoderKind(
        network=PatchTokens, feature="penultimate", uncond="zero_pixels", keys=("proj.3.weight",)
    ),
    "id_clip_perceiver": EncoderKind(
        network=FacePatchTokens,
        feature="penultimate",
        uncond="zero_pixels",
        keys=("proj.2.weight", "perceiver_resampler.proj_in.weight"),
        identity=True,
        crop="face",
    ),
    "id_mlp": EncoderKind(
        network=FaceTokens,
        feature="",
        uncond="zero_embed",
        keys=("proj.2.weight", "norm.weight"),
        identity=True,
    ),
    "clip_resampler": EncoderKind(
        network=Resampler, feature="penultimate", uncond="zero_pixels", keys=("latents",)
    ),
    "dm_face": EncoderKind(network=Resampler, feature="penultimate", uncond="zero_pixels", keys=("latents",)),
}


def encoder_config(
    image_proj: StateDict,
    id_proj: StateDict,
    *,
    context_dim: int,
    heads: int | None = None,
    shortcut: bool = False,
) -> EncoderConfig:
    """The sizes of a token encoder from its tensors, named without their prefixes.

    Tensors do not tell how the attention width splits into heads (public files use 64 per head, `heads` overrides), nor
    FaceID-Plus v2 (`shortcut`) from v1. Raises WeightsError for other kinds, and for tensors that are missing.
    """
    kind = next((name for name, entry in ENCODERS.items() if all(k in image_proj for k in entry.keys)), None)
    if kind is None:
        raise WeightsError(
            f"This image encoder is of a kind that is not supported: found {_some(image_proj)}; expected an IP-Adapter "
            "for SD1.5 (base, light, plus, plus-face, full-face, FaceID, FaceID-Plus, portrait). Load one of those files."
        )
    if kind == "clip_linear":
        rows, width = _sizes(image_proj, "proj.weight")
        return EncoderConfig(
            kind=kind, feature_width=width, context_dim=context_dim, tokens=rows // context_dim
        )
    if kind == "clip_mlp":
        dim, width = _sizes(image_proj, "proj.0.weight")
        rows, _ = _sizes(image_proj, "proj.2.weight")
        # As many tokens as the image encoder has patches: 257 for ViT-H/14 at 224 pixels.
        return EncoderConfig(kind=kind, feature_width=width, context_dim=rows, tokens=257, dim=dim)
    if ENCODERS[kind].identity:
        hidden, width = _sizes(image_proj, "proj.0.weight")
        rows, _ = _sizes(image_proj, "proj.2.weight")
        face = {"identity_width": width, "identity_hidden": hidden, "tokens": rows // context_dim}
        if kind == "id_mlp":
            return EncoderConfig(kind=kind, context_dim=context_dim, **face)
        sizes = _perceiver_sizes(image_proj, "perceiver_resampler.", heads=heads)
        return EncoderConfig(kind=kind, shortcut=shortcut, **face, **sizes)
    _, tokens, _ = _sizes(image_proj, "latents", axes=3)
    sizes = _perceiver_sizes(image_proj, "", heads=heads)
    if not id_proj:
        return EncoderConfig(kind=kind, tokens=tokens, **sizes)
    hidden, width = _sizes(id_proj, "0.weight")
    return EncoderConfig(kind="dm_face", tokens=tokens, identity_width=width, identity_hidden=hidden, **sizes)


def _perceiver_sizes(image_proj: StateDict, prefix: str, *, heads: int | None) -> dict[str, int]:
    needed = ("proj_in.weight", "proj_out.weight", "layers.0.0.to_q.weight", "layers.0.1.1.weight")
    proj_in, proj_out, to_q, ff = (_sizes(image_proj, prefix + key) for key in needed)
    heads = heads or max(to_q[0] // 64, 1)
    layers = {
        key.removeprefix(prefix).split(".")[1] for key in image_proj if key.startswith(f"{prefix}layers.")
    }
    return {
        "feature_width": proj_in[1],
        "context_dim": proj_out[0],
        "dim": proj_in[0],
        "depth": len(layers),
        "heads": heads,
        "dim_head": to_q[0] // heads,
        "ff_mult": ff[0] // proj_in[0],
    }


def _sizes(tensors: StateDict, key: str, *, axes: int = 2) -> tuple[int, ...]:
    if key not in tensors:
        raise WeightsError(f"The file is damaged: image_proj.{key} is missing. Download it again.")
    shape = tuple(tensors[key].shape)
    if len(shape) != axes or 0 in shape:
        raise WeightsError(
            f"The file is damaged: {key} has the shape {list(shape)}, expected {axes} sizes above zero. "
            "Download it again."
        )
    return shape


def _some(keys: StateDict) -> str:
    return ", ".join(sorted(keys)[:4]) or "no tensors"
