"""Loads motion models and applies them to a MODEL, the ComfyUI way: clones, wrappers, object patches.

ComfyUI's batch axis is `(b f)`: one chunk of `f` frames for each conditioning that is computed together.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.ops
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..errors import InputError, WeightsError
from ..models.backend import Backend
from ..models.motion import MotionConfig, MotionModel
from .backend import host_attention
from .control_frames import at_frames, frames_in_view
from .curves import Strength, always_zero, per_frame
from .insertion import InsertableMotion, matching_slots, open_insertion, unet_of

KEY = "dreamoving_motion"
BETA_START, BETA_END = 0.00085, 0.012  # [AD] linear in beta, where SD1.5 is linear in its root
# Beside its chunk, a block holds one normalised copy and its tokens; ComfyUI's estimate for SD1.5 knows neither. [ours]
MEMORY_FACTOR = 1.15

BetaSchedule = Literal["auto", "linear", "keep"]


@dataclass(frozen=True, kw_only=True)
class LoadedMotion:
    """A motion model in ComfyUI's care, and what its file says about itself."""

    patcher: comfy.model_patcher.ModelPatcher
    config: MotionConfig
    info: Mapping[str, str] = field(default_factory=dict)  # "beta_schedule": "linear" (AnimateDiff) or "keep"


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


@dataclass(frozen=True, kw_only=True)
class ApplyMotion:
    """Runs around every call of the U-Net and opens the insertion for it."""

    strength: Strength = 1.0
    scale: Strength = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0

    def __call__(self, executor, x, t, c_concat=None, c_crossattn=None, control=None, options=None, **kwargs):
        args = (x, t, c_concat, c_crossattn, control, options)
        base = executor.class_obj
        if not self.active(t, base.model_sampling):
            return executor(*args, **kwargs)
        num_frames = frames_of(x, options)
        motion = base.current_patcher.get_additional_models_with_key(KEY)[0].model
        effect = self.now(self.strength, x, options, name="strength")
        scale = self.now(self.scale, x, options, name="scale")
        with open_insertion(base, motion, num_frames=num_frames, effect=effect, scale=scale):
            return executor(*args, **kwargs)

    def active(self, sigma: Tensor, model_sampling: Any) -> bool:
        """Whether this step lies in the range; the bounds are inside it, as in ComfyUI's ControlNets."""
        if self.start_percent <= 0.0 and self.end_percent >= 1.0:
            return True
        start = model_sampling.percent_to_sigma(self.start_percent)
        end = model_sampling.percent_to_sigma(self.end_percent)
        return end <= float(sigma[0]) <= start

    def now(self, value: Strength, x: Tensor, options: dict[str, Any], *, name: str) -> float | Tensor:
        """`value` at the frames of this call: a number, or `f` on the device of `x`."""
        total, indices = frames_in_view(options, frames_of(x, options))
        values = per_frame(value, total, name=name)
        if isinstance(values, float):
            return values
        return at_frames(torch.tensor(values), indices).to(x.device)


def frames_of(x: Tensor, options: dict[str, Any]) -> int:
    """Frames of one video; core may compute one, two or more conditionings together."""
    chunks = len(options.get("cond_or_uncond") or [0])
    num_frames, rest = divmod(x.shape[0], chunks)
    if num_frames < 1 or rest:
        raise InputError(
            f"Motion needs at least 1 frame for each of {chunks} conditionings, got a batch of {x.shape[0]}. "
            "Set the batch size of the empty latent to the number of frames."
        )
    return num_frames


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
) -> comfy.model_patcher.ModelPatcher:
    """A clone whose U-Net runs the motion blocks; replaces motion that was applied before.

    `strength` (0 = the stock model, exactly) blends each block in, `scale` multiplies its keys; both may change over
    frames. `beta_schedule` "linear" is AnimateDiff's noise, "keep" the model's own, "auto" what the file asks for.
    """
    if not 0.0 <= start_percent <= end_percent <= 1.0:
        raise InputError(
            f"start_percent and end_percent must rise from 0 to 1, got {start_percent} and {end_percent}. "
            "Give the start first, for example 0 and 1."
        )
    model = without_motion(model.clone())
    matching_slots(unet_of(model), motion.config)
    if always_zero(strength, name="strength"):
        return model
    settings = ApplyMotion(
        strength=strength, scale=scale, start_percent=start_percent, end_percent=end_percent
    )
    model.set_additional_models(KEY, [motion.patcher.clone()])
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, settings)
    model.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, KEY, reserve_memory)
    patches = {"memory_usage_factor": model.get_model_object("memory_usage_factor") * MEMORY_FACTOR}
    wanted = motion.info.get("beta_schedule", "linear") if beta_schedule == "auto" else beta_schedule
    if wanted == "linear":
        patches["model_sampling"] = linear_betas(model.get_model_object("model_sampling"))
    before = {name: model.object_patches[name] for name in patches if name in model.object_patches}
    for name, value in patches.items():
        model.add_object_patch(name, value)
    model.attachments[KEY] = ObjectPatches(ours=patches, before=before)
    return model


def without_motion(model: comfy.model_patcher.ModelPatcher) -> comfy.model_patcher.ModelPatcher:
    """The same patcher, rid of what `apply_motion` added to it. Patches that others laid over ours stay."""
    for kind in (WrappersMP.APPLY_MODEL, WrappersMP.PREPARE_SAMPLING):
        model.remove_wrappers_with_key(kind, KEY)
    model.remove_additional_models(KEY)
    patches = model.attachments.pop(KEY, None)
    for name, value in (patches.ours if patches else {}).items():
        if model.object_patches.get(name) is value:
            del model.object_patches[name]
            if name in patches.before:
                model.object_patches[name] = patches.before[name]
    return model


def linear_betas(model_sampling: Any) -> Any:
    """The same sampling, be it epsilon or v-prediction, with AnimateDiff's betas; few-step (LCM) grids stay as they are."""
    if not isinstance(model_sampling, comfy.model_sampling.ModelSamplingDiscrete) or hasattr(
        model_sampling, "original_timesteps"
    ):
        return model_sampling
    sampling = copy.deepcopy(model_sampling)
    sampling._register_schedule(
        beta_schedule="sqrt_linear",  # ComfyUI's name for linear in beta
        timesteps=sampling.num_timesteps,
        linear_start=BETA_START,
        linear_end=BETA_END,
        zsnr=sampling.zsnr,
    )
    return sampling
