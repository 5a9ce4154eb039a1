"""Face and clothes at full size: every IP-Adapter for SD1.5, alone and in pairs, in a whole U-Net.

The other side is diffusers: its U-Net, its loader of IP-Adapters, its attention processors. FaceID's LoRA is merged into
that U-Net's weights by hand. Both U-Nets share the memory of their weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from . import _parity_encoders
from ._comparison import Comparison, relative_error
from ._ip_adapter_files import CONTEXT, EMBEDDING, IDENTITY, PATCH, VARIANTS, ip_adapter_file, random_tensors

PAIRS = (("plus_face", "plus"), ("faceid_plusv2", "plus"), ("full_face", "base"), ("faceid", "plus"))
FRAMES, SIZE, TEXT = 2, 8, 77
ALPHAS = (0.8, 0.35)
CHOICES = {"faceid_plus": "FaceID-Plus", "faceid_plusv2": "FaceID-Plus v2"}


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """One file and what it is shown: [no picture, picture] of each input that it reads."""

    variant: str
    branch: str
    tensors: dict[str, Tensor]
    features: Tensor | None
    identity: Tensor | None
    alpha: float


def comparisons() -> list[Comparison]:
    """Every variant alone, pairs as face and clothes, and the networks that make features and identities."""
    unet = "diffusers' U-Net output with the same random weights, 8 x 8 latents, 2 frames, fp32"
    single = [
        Comparison(
            name=f"guider {variant}",
            against=f"{unet}; ours loads the {variant} file as the face branch",
            run=partial(compare, (variant,)),
        )
        for variant in VARIANTS
    ]
    pairs = [
        Comparison(
            name=f"guider {face} + {cloth}",
            against=f"{unet}, two adapters; ours: {face} as face, {cloth} as clothes, alpha {ALPHAS}",
            run=partial(compare, (face, cloth)),
        )
        for face, cloth in PAIRS
    ]
    return [*single, *pairs, *_parity_encoders.comparisons()]


def compare(variants: Sequence[str]) -> float:
    """Relative error of the whole U-Net's output under one or two adapters."""
    torch.manual_seed(0)
    adapters = [
        adapter(variant, branch=branch, alpha=alpha)
        for variant, branch, alpha in zip(variants, ("face", "cloth"), ALPHAS, strict=False)
    ]
    model = full_size_model()
    rows = 2 * FRAMES  # negative frames, then positive
    inputs = (torch.randn(rows, 4, SIZE, SIZE), torch.tensor([300.0]), torch.randn(rows, TEXT, CONTEXT))
    expected = diffusers_output(model, adapters, inputs)
    return relative_error(our_output(model, adapters, inputs), expected)


def adapter(variant: str, *, branch: str, alpha: float) -> Adapter:
    """A random file and random inputs; "no picture" is what the variant was trained with."""
    features = identity = None
    if variant in ("base", "light"):
        features = torch.stack([torch.zeros(EMBEDDING), torch.randn(EMBEDDING)])
    elif variant not in ("faceid", "portrait"):
        features = torch.randn(2, 257, PATCH)  # zero pixels give patches like any others
    if "faceid" in variant or variant == "portrait":
        unit = torch.nn.functional.normalize(torch.randn(IDENTITY), dim=0)
        identity = torch.stack([torch.zeros(IDENTITY), unit])
    tensors = ip_adapter_file(variant, seed=VARIANTS.index(variant))
    return Adapter(
        variant=variant, branch=branch, tensors=tensors, features=features, identity=identity, alpha=alpha
    )


def full_size_model() -> Any:
    """SD1.5 as a MODEL with random weights in fp32."""
    import comfy.model_patcher
    import comfy.supported_models

    from ..dreamoving_core.tiny.config import TinyConfig

    layout = TinyConfig(
        model_channels=320,
        channel_mult=(1, 2, 4, 4),
        num_res_blocks=2,
        attention_levels=(True, True, True, False),
        context_dim=CONTEXT,
        num_heads=8,
    )
    config = comfy.supported_models.SD15(layout.unet_config())
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device=torch.device("meta")).eval()
    unet = model.diffusion_model
    shapes = {key: tuple(tensor.shape) for key, tensor in unet.state_dict().items()}
    unet.load_state_dict(random_tensors(shapes, seed=7), assign=True)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


def our_output(model: Any, adapters: Sequence[Adapter], inputs: tuple[Tensor, ...]) -> Tensor:
    """Each file through our loader and Apply Content Guider, one node after the other."""
    from ..dreamoving_core.bridge.content_guider import apply_content_guider, load_content_guider
    from ..dreamoving_core.models.content_guider import ImageTokens
    from ..dreamoving_core.weights.content_guider import read_content_guider
    from ..dreamoving_core.weights.io import WeightsFile

    guided = model
    for part in adapters:
        file = WeightsFile(name=part.variant, state_dict=part.tensors)
        weights = read_content_guider(file, branch=part.branch, variant=CHOICES.get(part.variant, "auto"))
        loaded = load_content_guider(weights.state_dict, weights.metadata, lora=weights.lora)
        tokens = loaded.guider.encode(part.branch, part.features, identity=part.identity)
        encoded = ImageTokens(branch=part.branch, positive=tokens[1:], negative=tokens[:1])
        guided = apply_content_guider(
            guided,
            loaded,
            **{part.branch: encoded},
            alpha_f=part.alpha,
            alpha_c=part.alpha,
        )
    options = {**guided.model_options["transformer_options"], "cond_or_uncond": [1, 0]}
    guided.patch_model(device_to=torch.device("cpu"))
    try:
        return guided.model.diffusion_model(*inputs, transformer_options=options)
    finally:
        guided.unpatch_model(device_to=torch.device("cpu"))


def diffusers_output(model: Any, adapters: Sequence[Adapter], inputs: tuple[Tensor, ...]) -> Tensor:
    """The same by diffusers' own code."""
    unet = diffusers_unet(model)
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    for part in adapters:
        merge_lora(unet, names, part.tensors)
    unet._load_ip_adapter_weights([as_dictionary(part.tensors) for part in adapters], low_cpu_mem_usage=False)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [part.alpha for part in adapters]
    shown = []
    for part, layer in zip(adapters, unet.encoder_hid_proj.image_projection_layers, strict=True):
        read = part.features if part.identity is None else part.identity
        shown.append(read.repeat_interleave(FRAMES, dim=0)[:, None])
        if part.identity is not None and part.features is not None:
            layer.clip_embeds = part.features.repeat_interleave(FRAMES, dim=0)[:, None]
            layer.shortcut = part.variant == "faceid_plusv2"
    latents, timestep, context = inputs
    return unet(latents, timestep, context, added_cond_kwargs={"image_embeds": shown}).sample


def diffusers_unet(model: Any) -> Any:
    """diffusers' U-Net on the very tensors of `model`."""
    import comfy.utils
    import diffusers

    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(cross_attention_dim=CONTEXT, attention_head_dim=8)
    names = comfy.utils.unet_to_diffusers(model.model.model_config.unet_config)
    state = model.model.diffusion_model.state_dict()
    unet.load_state_dict({key: state[names[key]] for key in unet.state_dict()}, assign=True)
    return unet.eval()


def merge_lora(unet: Any, names: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
    """W + up down in q, k, v and out of every attention that the file has a pair for; the shared weights stay."""
    for n, name in enumerate(names):
        attention = unet.get_submodule(name)
        layers = {
            "q": attention.to_q,
            "k": attention.to_k,
            "v": attention.to_v,
            "out": attention.to_out[0],
        }
        for part, layer in layers.items():
            key = f"ip_adapter.{n}.to_{part}_lora"
            if f"{key}.up.weight" in tensors:
                change = tensors[f"{key}.up.weight"] @ tensors[f"{key}.down.weight"]
                layer.weight = torch.nn.Parameter(layer.weight + change)


def as_dictionary(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The container of a .bin file."""
    parts: dict[str, dict[str, Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, tensor in tensors.items():
        part, rest = key.split(".", 1)
        parts[part][rest] = tensor
    return parts
