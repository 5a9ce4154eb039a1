"""Loads motion models and applies them to a MODEL, the ComfyUI way: clones, wrappers, object patches."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..errors import InputError, WeightsError
from ..models.backend import Backend
from ..models.motion import MotionConfig, MotionModel
from .backend import host_attention
from .block_strengths import EVEN, BlockStrengths
from .curves import Strength, always_zero
from .insertion import InsertableMotion, matching_slots, unet_of
from .motion_call import KEY, MotionCall
from .noise_schedule import BetaSchedule, scheduled
from .prompt_travel import check_travel

# Beside its chunk, a block holds one normalised copy and its tokens; ComfyUI's estimate for SD1.5 knows neither. [ours]
MEMORY_FACTOR = 1.15

DEFAULT_SPAN = 32  # [AD] rows of v2 and v3, for a motion model that does not say its own

AcrossFrames = Literal["auto", "on", "off"]
PositionsMode = Literal["formula", "stretch"]


@dataclass(frozen=True, kw_only=True)
class LoadedMotion:
    """A motion model in ComfyUI's care, and what its file says about itself.

    Apply Motion reads from `info`: `beta_schedule` ("linear", "lcm" or "keep"), `norms_across_frames` ("on" or "off")
    and `span`, the positions that the file has; what is missing is AnimateDiff v2's.
    """

    patcher: comfy.model_patcher.ModelPatcher
    config: MotionConfig
    info: Mapping[str, str] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """What the file is and what was assumed about it, in words."""
        told = ("name", "version", "positions", "beta_schedule", "norms_across_frames", "notes")
        return "\n".join(f"{key.replace('_', ' ')}: {self.info[key]}" for key in told if key in self.info)


def load_motion(
    state_dict: Mapping[str, Tensor],
    config: MotionConfig,
    *,
    info: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
    reload: tuple[Callable, tuple] | None = None,
) -> LoadedMotion:
    """A motion model from AnimateDiff's keys. `dtype` of the weights is ComfyUI's choice unless given.

    `reload` is (function, arguments) that builds the patcher again from the file and takes `disable_dynamic=`; without
    it the state dict itself is kept for that. Raises WeightsError for missing, unknown or misshapen keys.
    """
    refuse_unfit(state_dict, config)
    patcher = motion_patcher(state_dict, config, dtype)
    patcher.cached_patcher_init = reload or (motion_patcher, (state_dict, config, dtype))
    return LoadedMotion(patcher=patcher, config=config, info=dict(info or {}))


def motion_patcher(
    state_dict: Mapping[str, Tensor],
    config: MotionConfig,
    dtype: torch.dtype | None = None,
    *,
    disable_dynamic: bool = False,
) -> comfy.model_patcher.ModelPatcher:
    """The networks on ComfyUI's offload device; `disable_dynamic` asks for the patcher without dynamic VRAM."""
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    stored = next(value.dtype for key, value in state_dict.items() if key.endswith("proj_in.weight"))
    dtype = dtype or comfy.model_management.unet_dtype(device=load_device, weight_dtype=stored)
    # always casting: the U-Net that these blocks will stand in may compute in any dtype
    backend = Backend(
        operations=comfy.ops.manual_cast, attention=host_attention, device=offload_device, dtype=dtype
    )
    kind = comfy.model_patcher.ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    with torch.inference_mode(False):  # a node may load what is trained later
        motion = InsertableMotion(config, backend).eval()
        patcher = kind(motion, load_device=load_device, offload_device=offload_device)
        motion.load_state_dict(dict(state_dict), strict=True, assign=patcher.is_dynamic())
    return patcher


def refuse_unfit(state_dict: Mapping[str, Tensor], config: MotionConfig) -> None:
    """Raise WeightsError unless keys and shapes are those of `config`; ComfyUI would load what fits and go on."""
    wanted = MotionModel(config, Backend(device=torch.device("meta"))).state_dict()
    found = {key: value for key, value in state_dict.items() if not key.endswith("pos_encoder.pe")}
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    misshapen = sorted(key for key in wanted.keys() & found.keys() if wanted[key].shape != found[key].shape)
    if missing or unexpected or misshapen:
        raise WeightsError(
            f"The motion model is damaged or of another kind: {len(missing)} keys missing ({', '.join(missing[:2])}), "
            f"{len(unexpected)} unexpected ({', '.join(unexpected[:2])}), {len(misshapen)} of another shape "
            f"({', '.join(misshapen[:2])}). Download it again, or choose an AnimateDiff motion model for SD1.5."
        )


def reserve_memory(executor, model, noise_shape, conds, *args, **kwargs):
    """Widen what ComfyUI's first estimate sees; frames are left alone, context windows set them."""
    noise_shape = [*noise_shape[:-1], math.ceil(noise_shape[-1] * MEMORY_FACTOR)]
    return executor(model, noise_shape, conds, *args, **kwargs)


@dataclass(frozen=True, kw_only=True)
class ObjectPatches:
    """What we put over the model's attributes and what lay there before, so that applying again can undo it."""

    ours: dict[str, Any]
    before: dict[str, Any]


def apply_motion(
    model: comfy.model_patcher.ModelPatcher,
    motion: LoadedMotion,
    *,
    strength: Strength = 1.0,
    scale: Strength = 1.0,
    start_percent: float = 0.0,
    end_percent: float = 1.0,
    beta_schedule: BetaSchedule = "auto",
    norms_across_frames: AcrossFrames = "auto",
    positions: PositionsMode = "formula",
    blocks: BlockStrengths = EVEN,
) -> comfy.model_patcher.ModelPatcher:
    """A clone whose U-Net runs the motion blocks; replaces motion that was applied before.

    `strength` (0 = the stock model, exactly) blends each block in, `scale` multiplies its keys; both may change over
    frames, and `blocks` multiplies them. `beta_schedule` "linear" is AnimateDiff's noise, "lcm" AnimateLCM's, "keep"
    the model's own. `norms_across_frames` is v1's way with the U-Net's norms. "auto" is what the file asks for.
    `positions` "stretch" squeezes clips that are longer than the file's positions into them.
    """
    if not 0.0 <= start_percent <= end_percent <= 1.0:
        raise InputError(
            f"start_percent and end_percent must rise from 0 to 1, got {start_percent} and {end_percent}. "
            "Give the start first, for example 0 and 1."
        )
    model = without_motion(model.clone())
    matching_slots(unet_of(model), motion.config)
    if always_zero(strength, name="strength") or blocks.all_off(motion.patcher.model.groups()):
        return model
    across = asked(motion, "norms_across_frames", norms_across_frames, default="off")
    settings = MotionCall(
        strength=strength,
        scale=scale,
        start_percent=start_percent,
        end_percent=end_percent,
        span=int(motion.info.get("span", DEFAULT_SPAN)) if positions == "stretch" else None,
        blocks=blocks,
        norms_across_frames=across == "on",
    )
    model.set_additional_models(KEY, [motion.patcher.clone()])
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, settings)
    model.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, KEY, reserve_memory)
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, check_travel)
    patches = {"memory_usage_factor": model.get_model_object("memory_usage_factor") * MEMORY_FACTOR}
    schedule = asked(motion, "beta_schedule", beta_schedule, default="linear")
    if schedule != "keep":
        patches["model_sampling"] = scheduled(model.get_model_object("model_sampling"), schedule)
    before = {name: model.object_patches[name] for name in patches if name in model.object_patches}
    for name, value in patches.items():
        model.add_object_patch(name, value)
    model.attachments[KEY] = ObjectPatches(ours=patches, before=before)
    return model


def asked(motion: LoadedMotion, name: str, choice: Any, *, default: str) -> Any:
    """The artist's `choice`, or for "auto" the file's."""
    return motion.info.get(name, default) if choice == "auto" else choice


def without_motion(model: comfy.model_patcher.ModelPatcher) -> comfy.model_patcher.ModelPatcher:
    """The same patcher, rid of what `apply_motion` added to it. Patches that others laid over ours stay."""
    for kind in (WrappersMP.APPLY_MODEL, WrappersMP.PREPARE_SAMPLING, WrappersMP.OUTER_SAMPLE):
        model.remove_wrappers_with_key(kind, KEY)
    model.remove_additional_models(KEY)
    patches = model.attachments.pop(KEY, None)
    for name, value in (patches.ours if patches else {}).items():
        if model.object_patches.get(name) is value:
            del model.object_patches[name]
            if name in patches.before:
                model.object_patches[name] = patches.before[name]
    return model
