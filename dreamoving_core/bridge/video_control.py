"""The Video ControlNet as a CONTROL_NET that ComfyUI's own nodes drive.

ComfyUI's batch axis is `(b f)`: one chunk of `f` frames for each conditioning that is computed together.
"""

from collections.abc import Callable

import comfy.controlnet
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.utils
import torch
from einops import repeat
from torch import Tensor

from ..errors import InputError
from ..models.video_controlnet import HINT_CHUNK
from .control_frames import at_frames, frames_in_view, in_channels, refuse_unfit_count
from .curves import Strength, always_zero, per_frame
from .video_control_model import VideoControlModel


class VideoControlNet(comfy.controlnet.ControlNet):
    """A CONTROL_NET whose frames know each other.

    `frame_strength` (a number, one per frame, or a curve) multiplies the strength of the node that applies it.
    The control pictures are encoded once per sampling run and let go when it ends, also when it fails.
    """

    def __init__(
        self,
        control_model: VideoControlModel | None = None,
        *,
        load_device: torch.device | None = None,
        manual_cast_dtype: torch.dtype | None = None,
        frame_strength: Strength = 1.0,
    ):
        super().__init__(
            control_model, load_device=load_device, manual_cast_dtype=manual_cast_dtype, extra_conds=[]
        )
        self.frame_strength = frame_strength
        self.hint_features: dict[tuple[int, int], Tensor] = {}  # latent height and width: f c h w

    # ---- what ComfyUI calls

    def copy(self) -> "VideoControlNet":
        twin = VideoControlNet(
            load_device=self.load_device,
            manual_cast_dtype=self.manual_cast_dtype,
            frame_strength=self.frame_strength,
        )
        twin.control_model = self.control_model
        twin.control_model_wrapped = self.control_model_wrapped
        self.copy_to(twin)
        return twin

    def pre_run(
        self, model: comfy.model_base.BaseModel, percent_to_timestep_function: Callable[[float], float]
    ) -> None:
        super().pre_run(model, percent_to_timestep_function)
        self._refuse_other_family(model)
        self.hint_features = {}
        patcher = getattr(model, "current_patcher", None)
        if patcher is not None:
            self._release_with(patcher)

    def cleanup(self) -> None:
        self.hint_features = {}
        super().cleanup()

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes beside the U-Net's: the features of all frames, and the hint encoder's widest layer for one chunk."""
        chain = super().inference_memory_requirements(dtype)
        if self.cond_hint_original is None:
            return chain
        frames, _, height, width = self.cond_hint_original.shape
        area, item = height * width, self._compute_dtype().itemsize
        features = frames * self.control_model.model_channels * area // self.compression_ratio**2
        encoder = min(frames, HINT_CHUNK) * area * (2 * 16 + self.control_model.hint_channels)
        return chain + (features + encoder) * item

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict, batched_number: int, transformer_options: dict
    ) -> dict[str, list[Tensor]] | None:
        previous = None
        if self.previous_controlnet is not None:
            previous = self.previous_controlnet.get_control(
                x_noisy, t, cond, batched_number, transformer_options
            )
        if self._is_off(t):
            return previous
        num_frames = x_noisy.shape[0] // batched_number
        total, indices = frames_in_view(transformer_options, num_frames)
        dtype = self._compute_dtype()
        features = at_frames(self._encoded(x_noisy, total, dtype), indices)
        context = cond.get("crossattn_controlnet", cond["c_crossattn"])
        residuals = self.control_model(
            self.model_sampling_current.calculate_input(t, x_noisy).to(dtype),
            self.model_sampling_current.timestep(t).to(dtype),
            comfy.model_management.cast_to_device(context, x_noisy.device, dtype),
            hint_features=features,
            num_frames=num_frames,
        )
        self._scale_frames(residuals, total, indices, batched_number)
        return self.control_merge(residuals, previous, output_dtype=None)

    # ---- the control pictures

    def _encoded(self, latents: Tensor, total: int, dtype: torch.dtype) -> Tensor:
        """Features of every frame of the clip at this latent size, encoded on first use."""
        size = (latents.shape[-2], latents.shape[-1])
        if size not in self.hint_features:
            refuse_unfit_count(self.cond_hint_original, total)
            height, width = (x * self.compression_ratio for x in size)
            chunks = []
            for frames in self.cond_hint_original.split(HINT_CHUNK):
                frames = in_channels(frames, self.control_model.hint_channels)
                frames = comfy.utils.common_upscale(frames, width, height, self.upscale_algorithm, "center")
                frames = self.preprocess_image(frames).to(latents.device, dtype)
                chunks.append(self.control_model.encode_hint(frames))
            self.hint_features[size] = torch.cat(chunks)
        return self.hint_features[size]

    # ---- strength

    def _is_off(self, t: Tensor) -> bool:
        if self.strength == 0 or always_zero(self.frame_strength):
            return True
        start, end = self.timestep_range or (torch.inf, -torch.inf)
        return bool(t[0] > start or t[0] < end)

    def _scale_frames(
        self, residuals: dict[str, list[Tensor]], total: int, indices: list[int] | None, videos: int
    ) -> None:
        """Multiply by the strength of each frame, in place; the shared strength is core's to apply."""
        strengths = per_frame(self.frame_strength, total)
        if strengths == 1:
            return
        first = residuals["middle"][0]
        strengths = torch.tensor(strengths, device=first.device, dtype=first.dtype).expand(total)
        strengths = repeat(at_frames(strengths, indices), "f -> (b f) 1 1 1", b=videos)
        for tensors in residuals.values():
            for tensor in tensors:
                tensor *= strengths

    # ---- the run

    def _compute_dtype(self) -> torch.dtype:
        return self.manual_cast_dtype or self.control_model.dtype

    def _release_with(self, patcher: comfy.model_patcher.ModelPatcher) -> None:
        """Let the features go when the run ends in an error or a cancel: core calls `cleanup` only after success."""
        event, key = comfy.patcher_extension.CallbacksMP.ON_CLEANUP, f"dreamoving_control_{id(self)}"

        def release(patcher: comfy.model_patcher.ModelPatcher) -> None:
            self.hint_features = {}
            patcher.remove_callbacks_with_key(event, key)

        patcher.remove_callbacks_with_key(event, key)
        patcher.add_callback_with_key(event, key, release)

    def _refuse_other_family(self, model: comfy.model_base.BaseModel) -> None:
        theirs, ours = model.model_config.unet_config, self.control_model.unet_config
        for key, name in (("context_dim", "text width"), ("model_channels", "base width")):
            if theirs.get(key) != ours[key]:
                raise InputError(
                    f"This Video ControlNet was made for another kind of model: its {name} is {ours[key]}, "
                    f"the model's is {theirs.get(key)}. Use an SD1.5 model with an SD1.5 Video ControlNet, "
                    "or the Tiny pair together."
                )


def with_frame_strength(control: comfy.controlnet.ControlBase, strength: Strength) -> VideoControlNet:
    """A copy whose strength changes over the clip. Raises InputError for a ControlNet that is not ours."""
    if not isinstance(control, VideoControlNet):
        raise InputError(
            f"A strength per frame needs a Video ControlNet, got {type(control).__name__}. "
            "Load the file with Load Video ControlNet, which reads ordinary SD1.5 ControlNets too."
        )
    always_zero(strength)  # refuses what is no strength now, and not in the middle of sampling
    twin = control.copy()
    twin.frame_strength = strength
    return twin
