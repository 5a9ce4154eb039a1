"""The Content Guider: a face and a cloth branch whose tokens join text in cross-attention. [DM §2.3]

Parameter names are IP-Adapter's with the branch in front (`face.image_proj.*`, `face.ip_adapter.1.to_k_ip.weight`),
so that a branch taken alone is a valid IP-Adapter file. Axes: b picture, n token, d feature; r is a row of tokens.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..errors import WeightsError
from .backend import Backend
from .encoder_kinds import ENCODERS, StateDict, encoder_config
from .token_encoders import EncoderConfig, IdentityTokens

FORMAT = "dreamoving.content_guider"
FORMAT_VERSION = 1
BRANCHES = ("face", "cloth")
UNCONDS = ("zero_pixels", "zero_embed", "black", "none")
CROPS = ("center", "pad", "face")
PUBLIC_RECOGNISER = "buffalo_l"  # [IPA] whose identities the FaceID files learned: w600k_r50, of unit length

KeyValue = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class BranchConfig:
    """One branch: its token encoder and how its pictures are prepared.

    `uncond` is what the weights saw as "no picture": `zero_pixels` (the image encoder's view of zeros after
    normalisation), `zero_embed`, `black`, or `none` (the branch adds nothing to the negative prompt); an identity is
    zeros then. `crop` `face` is the face recogniser's aligned crop. `recogniser` names the space of the identities that
    the weights learned, "" when they read none.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    uncond: str = "zero_pixels"
    crop: str = "center"
    clip: str = "openclip-vit-h-14-laion2b-s32b-b79k"  # [DM §2.4.1]
    recogniser: str = ""

    def __post_init__(self) -> None:
        for key, known in (("uncond", UNCONDS), ("crop", CROPS)):
            if getattr(self, key) not in known:
                raise WeightsError(
                    f"The Content Guider's header asks for {key} = {getattr(self, key)!r}; this pack knows "
                    f"{', '.join(known)}. Update the pack."
                )

    @property
    def feature(self) -> str:
        """The output of the image encoder that this branch reads; "" when it looks at no picture."""
        return ENCODERS[self.encoder.kind].feature

    @property
    def needs_identity(self) -> bool:
        """Whether there are no tokens without a face recogniser's vector."""
        return ENCODERS[self.encoder.kind].identity


@dataclass(frozen=True, kw_only=True)
class ContentGuiderConfig:
    """`sites` lists the cross-attentions as (n, width): n is IP-Adapter's number, width the U-Net's channels there."""

    sites: tuple[tuple[int, int], ...]
    face: BranchConfig | None = None
    cloth: BranchConfig | None = None
    base_model: str = "sd15"
    prediction: str = "epsilon"

    def branches(self) -> dict[str, BranchConfig]:
        """The branches that the file has, by name."""
        return {name: getattr(self, name) for name in BRANCHES if getattr(self, name) is not None}


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageTokens:
    """Encoded pictures for one branch.

    Shapes: `positive` r n d with r = 1 for the whole clip or one row per frame; `negative` 1 n d, or None when the
    branch adds nothing to the negative prompt.
    """

    branch: str
    positive: Tensor
    negative: Tensor | None


def add_image_attention(
    text: Tensor,
    q: Tensor,
    *,
    key_value: KeyValue,
    strength: float | Tensor,
    attention: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Tensor:
    """Text attention plus one image term of Eq. 1 [DM §2.3], before the output projection.

    Shapes: `text`, `q` (r f) n d; keys and values r m d, each row shared by the f consecutive pictures of its group
    and never repeated; `strength` a number or anything that broadcasts to (r f) n 1.
    """
    k, v = key_value
    folded = rearrange(q, "(r f) n d -> r (f n) d", r=k.shape[0])
    term = rearrange(attention(folded, k, v), "r (f n) d -> (r f) n d", n=q.shape[1])
    if isinstance(strength, Tensor):
        return torch.addcmul(text, term, strength)
    return torch.add(text, term, alpha=strength)


class AttentionKeyValue(nn.Module):
    """Keys and values of image tokens for one cross-attention; bias-free as the text's own."""

    def __init__(self, context_dim: int, width: int, backend: Backend) -> None:
        super().__init__()
        ops, factory = backend.operations, backend.factory()
        self.to_k_ip = ops.Linear(context_dim, width, bias=False, **factory)
        self.to_v_ip = ops.Linear(context_dim, width, bias=False, **factory)

    def forward(self, tokens: Tensor) -> KeyValue:
        return self.to_k_ip(tokens), self.to_v_ip(tokens)


class Branch(nn.Module):
    """Token encoder and keys and values of the face or the cloth."""

    def __init__(self, config: BranchConfig, sites: tuple[tuple[int, int], ...], backend: Backend) -> None:
        super().__init__()
        self.config = config
        encoder = config.encoder
        self.image_proj = ENCODERS[encoder.kind].network(encoder, backend)
        supplement = encoder.identity_width and not config.needs_identity
        self.id_proj = IdentityTokens(encoder, backend) if supplement else None
        self.ip_adapter = nn.ModuleDict(
            {str(n): AttentionKeyValue(encoder.context_dim, width, backend) for n, width in sites}
        )

    def forward(self, features: Tensor | None, *, identity: Tensor | None = None) -> Tensor:
        """Tokens `b n d` of `features` (b d or b n d, see `BranchConfig.feature`) and an ArcFace `identity` (b d)."""
        config = self.config
        read = [features] if config.feature else []
        if config.needs_identity:
            read.append(identity)
        tokens = self.image_proj(*read)
        if self.id_proj is None or identity is None:
            return tokens
        return tokens + self.id_proj(identity.to(tokens))

    def key_values(self, tokens: Tensor) -> dict[int, KeyValue]:
        """Keys and values `b n d` at every cross-attention, by IP-Adapter's number."""
        return {int(n): layer(tokens) for n, layer in self.ip_adapter.items()}


class ContentGuider(nn.Module):
    """Both branches; either may be missing."""

    def __init__(self, config: ContentGuiderConfig, backend: Backend | None = None) -> None:
        super().__init__()
        self.config = config
        for name, branch in config.branches().items():
            self.add_module(name, Branch(branch, config.sites, backend or Backend()))

    def branch(self, name: str) -> Branch:
        """The branch called `name`; WeightsError when the file has none."""
        branches = self.config.branches()
        if name not in branches:
            raise WeightsError(
                f"This Content Guider has no {name} branch, only: {', '.join(branches) or 'none'}. "
                f"Load a file with a {name} branch, or leave the {name} picture out."
            )
        return getattr(self, name)

    def encode(self, name: str, features: Tensor | None, *, identity: Tensor | None = None) -> Tensor:
        """Tokens `b n d` of one branch; see `Branch.forward`."""
        return self.branch(name)(features, identity=identity)


def metadata_from_config(config: ContentGuiderConfig) -> dict[str, str]:
    """The header of a safetensors file."""
    branches = {}
    for name, branch in config.branches().items():
        sizes = asdict(branch.encoder)
        rest = {key: getattr(branch, key) for key in ("feature", "uncond", "crop", "clip", "recogniser")}
        branches[name] = {"encoder": sizes.pop("kind"), **sizes, **rest}
    body = {"base_model": config.base_model, "prediction": config.prediction, "branches": branches}
    return {"format": FORMAT, "format_version": str(FORMAT_VERSION), "config": json.dumps(body)}


def config_from_state_dict(
    state_dict: StateDict, metadata: Mapping[str, str] | None = None
) -> ContentGuiderConfig:
    """What a file holds: sizes from its tensors, the rest from `metadata`, or IP-Adapter's customs without one.

    Raises WeightsError for a file that is no Content Guider, or whose branches were made for different U-Nets.
    """
    stored = _stored_config(metadata or {})
    found: dict[str, BranchConfig] = {}
    sites: dict[str, tuple[tuple[int, int], ...]] = {}
    for name in BRANCHES:
        part = _below(state_dict, name)
        if part:
            known = stored.get("branches", {}).get(name, {})
            sites[name], found[name] = _branch_from_state_dict(part, known, name=name)
    if not found:
        raise WeightsError(
            f"This is not a Content Guider: no tensor begins with face. or cloth. (found {', '.join(sorted(state_dict)[:3])}"
            "). Choose a Content Guider or an IP-Adapter for SD1.5."
        )
    if len(set(sites.values())) > 1:
        raise WeightsError(
            f"The face and cloth branches were made for different models ({_widths(sites['face'])} against "
            f"{_widths(sites['cloth'])}). Use two files for the same base model."
        )
    rest = {key: stored[key] for key in ("base_model", "prediction") if key in stored}
    return ContentGuiderConfig(sites=next(iter(sites.values())), **found, **rest)


def _stored_config(metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        return {}
    version = metadata.get("format_version", "")
    if version.split(".")[0] != str(FORMAT_VERSION):
        raise WeightsError(
            f"This Content Guider has format version {version or 'unknown'}; this pack reads version {FORMAT_VERSION}. "
            "Update the pack."
        )
    try:
        return json.loads(metadata["config"])
    except (KeyError, json.JSONDecodeError) as error:
        raise WeightsError(
            "The Content Guider's header is damaged: its config is no JSON. Download it again."
        ) from error


def _branch_from_state_dict(
    part: StateDict, stored: dict[str, Any], *, name: str
) -> tuple[tuple[tuple[int, int], ...], BranchConfig]:
    keys = {
        k.split(".")[1]: t
        for k, t in part.items()
        if k.startswith("ip_adapter.") and k.endswith("to_k_ip.weight")
    }
    if not keys:
        raise WeightsError(
            f"The {name} branch is damaged: it has no ip_adapter.*.to_k_ip.weight. Download the file again."
        )
    sites = tuple(sorted((int(n), weight.shape[0]) for n, weight in keys.items()))
    context_dim = next(iter(keys.values())).shape[1]
    encoder = encoder_config(
        _below(part, "image_proj"),
        _below(part, "id_proj"),
        context_dim=context_dim,
        heads=stored.get("heads"),
        shortcut=bool(stored.get("shortcut")),
    )
    if encoder.context_dim != context_dim:
        raise WeightsError(
            f"The {name} branch is damaged: its tokens are {encoder.context_dim} wide, its keys expect {context_dim}. "
            "Download the file again."
        )
    kind = ENCODERS[encoder.kind]
    customs = BranchConfig(
        encoder=encoder,
        uncond=kind.uncond,
        crop=kind.crop or ("center" if name == "face" else "pad"),
        recogniser=PUBLIC_RECOGNISER if encoder.identity_width else "",
    )
    known = {f.name for f in fields(BranchConfig)} - {"encoder"}
    return sites, replace(customs, **{key: stored[key] for key in known if key in stored})


def _below(state_dict: StateDict, prefix: str) -> StateDict:
    """The tensors under `prefix.`, named without it."""
    return {
        key[len(prefix) + 1 :]: value for key, value in state_dict.items() if key.startswith(prefix + ".")
    }


def _widths(sites: tuple[tuple[int, int], ...]) -> str:
    return f"{len(sites)} attentions of widths {'/'.join(str(w) for w in sorted({w for _, w in sites}))}"
