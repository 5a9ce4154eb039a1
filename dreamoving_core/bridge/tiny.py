"""Small SD1.5-shaped networks in ComfyUI's own classes.

ComfyUI's detection knows SD1.5 by its real widths alone, so the small brothers are built here from a `TinyConfig`;
what comes out are ordinary MODEL, CLIP, VAE and CLIP_VISION values that every stock node takes.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import comfy.clip_model
import comfy.clip_vision
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import torch

from ..errors import WeightsError
from ..tiny.config import TinyConfig

StateDict = dict[str, torch.Tensor]


def refuse_unfit(wanted: StateDict, found: StateDict, *, part: str) -> None:
    """Raise WeightsError unless both have the same keys and shapes: ComfyUI itself would load a part and go on."""
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    reshaped = [k for k in wanted.keys() & found.keys() if wanted[k].shape != found[k].shape]
    if missing or unexpected or reshaped:
        raise WeightsError(
            f"The {part} does not fit: {len(missing)} keys missing ({', '.join(missing[:3])}), "
            f"{len(unexpected)} unexpected ({', '.join(unexpected[:3])}), {len(reshaped)} of another shape "
            f"({', '.join(reshaped[:3])}). Use the files of one DreaMoving-Tiny release together."
        )


class SmallSD15(comfy.supported_models.SD15):
    """SD1.5 with other widths and v-prediction, which a small model learns far better at high noise. [ours]"""

    unet_extra_config = {}  # noqa: RUF012  (ComfyUI reads this from the class; heads come from TinyConfig)

    def model_type(self, state_dict: StateDict, prefix: str = "") -> comfy.model_base.ModelType:
        return comfy.model_base.ModelType.V_PREDICTION


class SmallSD15Epsilon(comfy.supported_models.SD15):
    """SD1.5 with other widths, predicting noise as SD1.5 does."""

    unet_extra_config = {}  # noqa: RUF012


def build_model(
    config: TinyConfig,
    state_dict: StateDict,
    *,
    v_prediction: bool = True,
    dtype: torch.dtype | None = None,
    disable_dynamic: bool = False,
    reload: tuple[Callable, tuple] | None = None,
) -> comfy.model_patcher.ModelPatcher:
    """The denoising U-Net as a MODEL. `state_dict` has UNetModel's keys, without a prefix.

    `reload` is (function, arguments) that builds the same patcher again, which torch.compile and multi-GPU ask for
    with `disable_dynamic=`.
    """
    load_device = comfy.model_management.get_torch_device()
    weight_dtype = dtype or comfy.model_management.unet_dtype(device=load_device)
    compute_dtype = comfy.model_management.unet_manual_cast(weight_dtype, load_device)
    known = SmallSD15 if v_prediction else SmallSD15Epsilon
    model_config = known(config.unet_config())
    model_config.set_inference_dtype(weight_dtype, compute_dtype)
    offload_device = comfy.model_management.unet_offload_device()
    model = model_config.get_model(state_dict, "", device=offload_device)
    kind = comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    patcher = kind(model, load_device=load_device, offload_device=offload_device)
    if not patcher.is_dynamic():
        refuse_unfit(model.diffusion_model.state_dict(), state_dict, part="U-Net")
    model.load_model_weights(dict(state_dict), "", assign=patcher.is_dynamic())
    again = functools.partial(build_model, v_prediction=v_prediction, dtype=dtype)
    patcher.cached_patcher_init = reload or (again, (config, state_dict))
    return patcher


def text_model(config: TinyConfig) -> type[comfy.sd1_clip.SD1ClipModel]:
    """SD1.5's text encoder class at Tiny's size; tokenizer and vocabulary stay SD1.5's."""

    class SmallClip(comfy.sd1_clip.SD1ClipModel):
        def __init__(self, device="cpu", dtype=None, model_options=None):
            options = {**(model_options or {}), "clip_l_model_config": config.text_config()}
            super().__init__(device=device, dtype=dtype, model_options=options)

    return SmallClip


def build_clip(config: TinyConfig, state_dict: StateDict) -> comfy.sd.CLIP:
    """The text encoder as a CLIP. Keys: `clip_l.transformer.text_model...`."""

    class Tokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data=None):
            super().__init__(embedding_directory=embedding_directory, tokenizer_data=tokenizer_data or {})

    refuse_unfit(text_shapes(config), state_dict, part="text encoder")
    target = comfy.supported_models_base.ClipTarget(Tokenizer, text_model(config))
    return comfy.sd.CLIP(target, state_dict=dict(state_dict))


def text_settings(config: TinyConfig) -> dict:
    """SD1.5's text encoder settings at Tiny's size."""
    settings = Path(comfy.sd1_clip.__file__).parent / "sd1_clip_config.json"
    return json.loads(settings.read_text(encoding="utf-8")) | config.text_config()


def text_shapes(config: TinyConfig) -> StateDict:
    """Names and shapes of a text encoder's file, without values."""
    text = comfy.clip_model.CLIPTextModel(
        text_settings(config), torch.float32, torch.device("meta"), torch.nn
    )
    return {f"clip_l.transformer.{key}": value for key, value in text.state_dict().items()}


def build_vae(state_dict: StateDict) -> comfy.sd.VAE:
    """The autoencoder as a VAE: TAESD's own format, `taesd_encoder.*`, `taesd_decoder.*`, `vae_scale`, `vae_shift`."""
    vae = comfy.sd.VAE(sd=dict(state_dict))
    vae.throw_exception_if_invalid()
    if not vae.patcher.is_dynamic():
        refuse_unfit(vae.first_stage_model.state_dict(), state_dict, part="autoencoder")
    return vae


def build_clip_vision(config: TinyConfig, state_dict: StateDict) -> comfy.clip_vision.ClipVisionModel:
    """The image encoder as a CLIP_VISION."""
    vision = comfy.clip_vision.ClipVisionModel(config.vision_config())
    if not vision.patcher.is_dynamic():
        refuse_unfit(vision.model.state_dict(), state_dict, part="image encoder")
    vision.load_sd(dict(state_dict))
    return vision
