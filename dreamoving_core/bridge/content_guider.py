"""The Content Guider in ComfyUI: loading, and attaching to a MODEL's cross-attentions.

Its weights work when a guider is applied and never while sampling: only keys and values go along (some 50 KB per token
in float16 at SD1.5's size). How pictures become tokens is in `reference_images.py`, Eq. 1 in `content_attention.py`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import comfy.model_management
import comfy.model_patcher
import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ..errors import InputError, WeightsError
from ..models.content_guider import (
    ContentGuider,
    ContentGuiderConfig,
    ImageTokens,
    KeyValue,
    config_from_state_dict,
)
from .backend import host_backend
from .content_attention import BranchStrength, ContentAttention, ImageTerm, LiveTerm
from .content_call import RunCache
from .content_lora import add_content_lora, lora_branches
from .content_run import add_content_run
from .curves import Strength, always_zero

PatchKey = tuple[str, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedContentGuider:
    """The DREAMOVING_CONTENT_GUIDER socket: the networks under ComfyUI's memory management, and what they are.

    `lora` is FaceID's change of the U-Net (see `content_lora.py`); `notes` is what was assumed about the file.
    """

    patcher: ModelPatcher
    config: ContentGuiderConfig
    lora: Mapping[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def guider(self) -> ContentGuider:
        return self.patcher.model

    @property
    def about(self) -> str:
        """What the file is and what was assumed, for the person who loaded it."""
        branches = "; ".join(
            f"{name}: {b.encoder.kind}, {b.encoder.tokens} tokens"
            for name, b in self.config.branches().items()
        )
        lora = ["with a LoRA for the model"] if self.lora else []
        return "\n".join([*self.notes, branches, *lora])


@dataclass(frozen=True, kw_only=True)
class AttentionSite:
    """One cross-attention of a U-Net and ComfyUI's name for it."""

    key: PatchKey
    attention: nn.Module

    @property
    def width(self) -> int:
        return self.attention.heads * self.attention.dim_head


def attention_sites(unet: nn.Module) -> dict[int, AttentionSite]:
    """The cross-attentions by IP-Adapter's number: odd places in diffusers' order, which is down, up, then middle."""
    found = []
    groups = (("input", unet.input_blocks), ("output", unet.output_blocks), ("middle", [unet.middle_block]))
    for name, blocks in groups:
        for number, block in enumerate(blocks):
            for layer in block.children():
                if isinstance(layer, SpatialTransformer):
                    found += [((name, number, i), x.attn2) for i, x in enumerate(layer.transformer_blocks)]
    return {
        2 * i + 1: AttentionSite(key=key, attention=attention) for i, (key, attention) in enumerate(found)
    }


def numbered_widths(unet: nn.Module) -> tuple[tuple[int, int], ...]:
    """`ContentGuiderConfig.sites` of this U-Net."""
    return tuple((n, site.width) for n, site in attention_sites(unet).items())


def fitting_sites(config: ContentGuiderConfig, unet: nn.Module) -> dict[int, AttentionSite]:
    """`attention_sites`, or InputError when the guider was made for another base model."""
    if not hasattr(unet, "input_blocks"):
        raise InputError(
            f"The Content Guider joins the U-Net of an SD1.5 model, this model is a {type(unet).__name__}. "
            "Load an SD1.5 checkpoint."
        )
    wanted, found = sorted(config.sites), sorted(numbered_widths(unet))
    if wanted != found:
        raise InputError(
            f"This Content Guider was made for another base model: it expects {_widths(wanted)}, the model has "
            f"{_widths(found)}. Use a Content Guider for SD1.5 with an SD1.5 model, and Tiny's with Tiny."
        )
    return attention_sites(unet)


def _widths(sites: list[tuple[int, int]]) -> str:
    return (
        f"{len(sites)} cross-attentions of widths {'/'.join(str(w) for w in sorted({w for _, w in sites}))}"
    )


def load_content_guider(
    state_dict: dict[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    lora: Mapping[str, Tensor] | None = None,
    notes: tuple[str, ...] = (),
) -> LoadedContentGuider:
    """A Content Guider from tensors named `face.*` and `cloth.*`; WeightsError when they do not make one."""
    config = config_from_state_dict(state_dict, metadata)
    dtype = next(tensor.dtype for key, tensor in state_dict.items() if key.endswith("to_k_ip.weight"))
    dtype = torch.float16 if dtype.itemsize == 1 else dtype
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    # Tokens, keys and values are computed once per run: float32 costs nothing there.
    backend = host_backend(weight_dtype=dtype, compute_dtype=torch.float32, device=offload_device)
    guider = ContentGuider(config, backend).eval()
    patcher = comfy.model_patcher.CoreModelPatcher(
        guider, load_device=load_device, offload_device=offload_device
    )
    try:
        missing, unexpected = guider.load_state_dict(state_dict, strict=False, assign=patcher.is_dynamic())
    except RuntimeError as error:
        raise WeightsError(f"The Content Guider is damaged: {error}. Download it again.") from error
    if missing:
        raise WeightsError(
            f"The Content Guider is damaged: {len(missing)} tensors are missing, first {missing[0]}. Download it again."
        )
    if unexpected:
        logging.warning(
            f"Content Guider: {len(unexpected)} tensors are not used: {', '.join(sorted(unexpected)[:4])}"
        )
    return LoadedContentGuider(patcher=patcher, config=config, lora=dict(lora or {}), notes=notes)


def copy_text_keys_and_values(guider: ContentGuider, unet: nn.Module) -> None:
    """Start every branch from the U-Net's own text keys and values, as IP-Adapter does. [IPA §3.2]"""
    sites = fitting_sites(guider.config, unet)
    with torch.no_grad():
        for name in guider.config.branches():
            for n, layer in guider.branch(name).ip_adapter.items():
                layer.to_k_ip.weight.copy_(sites[int(n)].attention.to_k.weight)
                layer.to_v_ip.weight.copy_(sites[int(n)].attention.to_v.weight)


def content_attention_patches(
    guider: ContentGuider,
    unet: nn.Module,
    *,
    face: Tensor | None = None,
    cloth: Tensor | None = None,
    alpha_f: float | Tensor = 1.0,
    alpha_c: float | Tensor = 1.0,
) -> dict[PatchKey, ContentAttention]:
    """`transformer_options["patches_replace"]["attn2"]` for training: the patches of inference, with gradients.

    Shapes: tokens r n d, where r divides the batch: one row each for r equal groups of consecutive pictures (a row per
    picture, or per clip in (b f)). alpha is a number or a vector of r or of one per picture.
    """
    sites = fitting_sites(guider.config, unet)
    terms: dict[int, list[LiveTerm]] = {n: [] for n in sites}
    for name, tokens, alpha in (("face", face, alpha_f), ("cloth", cloth, alpha_c)):
        if tokens is not None:
            for n, pair in guider.branch(name).key_values(tokens).items():
                terms[n].append(LiveTerm(pair=pair, alpha=alpha))
    return {sites[n].key: ContentAttention(sites[n].key, found) for n, found in terms.items()}


def apply_content_guider(
    model: ModelPatcher,
    loaded: LoadedContentGuider,
    *,
    face: ImageTokens | None = None,
    cloth: ImageTokens | None = None,
    alpha_f: Strength = 1.0,
    alpha_c: Strength = 1.0,
    start_percent: float = 0.0,
    end_percent: float = 1.0,
    face_mask: Tensor | None = None,
    cloth_mask: Tensor | None = None,
    lora_strength: float = 1.0,
) -> ModelPatcher:
    """A clone of `model` with Eq. 1 in every cross-attention; what stood there before stays and comes first.

    alpha is a number or one per frame (see `per_frame`); masks are f h w in [0, 1], one or one per frame.
    A branch without tokens, or with alpha 0 everywhere, adds no patch. The LoRA of a FaceID file acts at
    `lora_strength` while a branch that reads identities acts, whatever its alpha, as its authors run it [IPA].
    Raises InputError for what does not fit.
    """
    if not 0.0 <= start_percent <= end_percent <= 1.0:
        raise InputError(
            f"start_percent and end_percent must satisfy 0 <= start <= end <= 1, got {start_percent} and {end_percent}."
        )
    model = model.clone()
    sites = fitting_sites(loaded.config, model.model.diffusion_model)
    wanted = (("face", face, alpha_f, face_mask), ("cloth", cloth, alpha_c, cloth_mask))
    terms: dict[int, list[ImageTerm]] = {n: [] for n in sites}
    acting: set[str] = set()
    for name, tokens, alpha, mask in wanted:
        if not always_zero(alpha, name=f"alpha of the {name}") and tokens is not None:
            strength = BranchStrength(name=name, alpha=alpha, mask=checked_mask(mask, name=name))
            for n, pair in image_terms(loaded, tokens, name=name, strength=strength).items():
                terms[n].append(pair)
            acting.add(name)
    if acting:
        _attach(model, sites, terms, start_percent=start_percent, end_percent=end_percent)
    if loaded.lora and lora_branches(loaded.config) & acting:
        add_content_lora(model, loaded.lora, strength=lora_strength)
    return model


def image_terms(
    loaded: LoadedContentGuider, tokens: ImageTokens, *, name: str, strength: BranchStrength
) -> dict[int, ImageTerm]:
    """One branch at every cross-attention: keys and values in float32, away from the guider's weights."""
    branch = loaded.guider.branch(name)
    width = branch.config.encoder.context_dim
    if tokens.branch != name or tokens.positive.shape[-1] != width:
        raise InputError(
            f"The {name} input needs {name} tokens {width} wide, got {tokens.branch} tokens "
            f"{tokens.positive.shape[-1]} wide. Encode the {name} picture with this Content Guider."
        )
    comfy.model_management.load_models_gpu([loaded.patcher])
    store = comfy.model_management.intermediate_device()

    def key_values(rows: Tensor) -> dict[int, KeyValue]:
        found = branch.key_values(rows.to(loaded.patcher.load_device, torch.float32))
        return {n: (k.to(store), v.to(store)) for n, (k, v) in found.items()}

    with torch.no_grad():
        positive = key_values(tokens.positive)
        negative = {} if tokens.negative is None else key_values(tokens.negative)
    return {n: ImageTerm(positive=positive[n], negative=negative.get(n), strength=strength) for n in positive}


def checked_mask(mask: Tensor | None, *, name: str) -> Tensor | None:
    """`f h w` in float32 on the CPU; InputError for anything else."""
    if mask is None:
        return None
    if mask.ndim not in (2, 3) or 0 in mask.shape or not bool(torch.isfinite(mask).all()):
        raise InputError(
            f"The {name} mask must be a MASK of finite numbers with at least one frame, got the shape "
            f"{tuple(mask.shape)}. Connect a mask, not a picture."
        )
    return mask.reshape(-1, *mask.shape[-2:]).float().cpu()


def _attach(
    model: ModelPatcher,
    sites: dict[int, AttentionSite],
    terms: dict[int, list[ImageTerm]],
    *,
    start_percent: float,
    end_percent: float,
) -> None:
    sampling = model.get_model_object("model_sampling")
    sigma_range = (sampling.percent_to_sigma(start_percent), sampling.percent_to_sigma(end_percent))
    slots = model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    cache = RunCache()
    for n, found in terms.items():
        key = sites[n].key
        # A pack that names no block inside the transformer would be hidden by our more exact name.
        previous = slots.get(key, slots.get(key[:2]))
        patch = ContentAttention(key, found, previous=previous, sigma_range=sigma_range, cache=cache)
        model.set_model_attn2_replace(patch, *key)
    add_content_run(model)
