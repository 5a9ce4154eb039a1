"""The Video ControlNet as a CONTROL_NET that ComfyUI's own nodes drive.

ComfyUI's batch axis is `(b f)`: one chunk of `f` frames for each conditioning that is computed together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import comfy.controlnet
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.utils
import torch
from torch import Tensor

from ..errors import InputError
from ..models.video_controlnet import HINT_CHUNK
from .control_frames import at_frames, frames_in_view, in_channels, refuse_unfit_count, refuse_unsound
from .control_strength import MaskSizes, checked_mask, refuse_unfit_mask, scale_residuals
from .curves import Strength, always_zero
from .sparse_frames import SparseFrames
from .video_control_model import VideoControlModel


@dataclass(frozen=True, kw_only=True)
class ControlSettings:
    """What a copy of a Video ControlNet takes along, beside ComfyUI's own settings."""

    frame_strength: Strength = 1.0  # a number, one per frame, or a curve
    mask: Tensor | None = None  # `f h w` or `1 h w`: 1 is full control, 0 none
    sparse_frames: SparseFrames = field(default_factory=SparseFrames)
    pooled: bool = False  # [CN] "shuffle" adds one value per channel, the mean over the picture


class VideoControlNet(comfy.controlnet.ControlNet):
    """A CONTROL_NET whose frames know each other.

    Its settings multiply the strength of the node that applies it, and say which frames the pictures of a SparseCtrl
    belong to. The control pictures are encoded once per sampling run and let go when it ends, also when it fails.
    """

    def __init__(
        self,
        control_model: VideoControlModel | None = None,
        *,
        load_device: torch.device | None = None,
        manual_cast_dtype: torch.dtype | None = None,
        settings: ControlSettings | None = None,
    ):
        latent_hint = control_model is not None and control_model.latent_hint
        super().__init__(
            control_model,
            load_device=load_device,
            manual_cast_dtype=manual_cast_dtype,
            extra_conds=[],
            latent_format=comfy.latent_formats.SD15() if latent_hint else None,
        )
        self.settings = settings or ControlSettings()
        self.hint_features: dict[tuple[int, int], Tensor] = {}  # latent height and width: f c h w
        self.masks: MaskSizes | None = None

    # ---- what ComfyUI calls

    def copy(self) -> "VideoControlNet":
        twin = VideoControlNet(
            load_device=self.load_device,
            manual_cast_dtype=self.manual_cast_dtype,
            settings=self.settings,
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
        self._release()
        self.sub_idxs = None  # AnimateDiff-Evolved's windows refuse a ControlNet that has no such name
        patcher = getattr(model, "current_patcher", None)
        if patcher is not None:
            self._release_with(patcher)

    def cleanup(self) -> None:
        self._release()
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
        self.refuse_unfit(total)
        features = self._features(x_noisy, total, indices, dtype)
        context = cond.get("crossattn_controlnet", cond["c_crossattn"])
        residuals = self.control_model(
            self.model_sampling_current.calculate_input(t, x_noisy).to(dtype),
            self.model_sampling_current.timestep(t).to(dtype),
            comfy.model_management.cast_to_device(context, x_noisy.device, dtype),
            hint_features=features,
            num_frames=num_frames,
        )
        self._scale(residuals, x_noisy, total, indices)
        return self.control_merge(residuals, previous, output_dtype=None)

    # ---- the control pictures

    def refuse_unfit(self, num_frames: int) -> None:
        """Raise InputError unless pictures and mask fit a clip of so many frames."""
        refuse_unfit_mask(self.settings.mask, num_frames)
        if self.control_model.sparse:
            self.settings.sparse_frames.places(len(self.cond_hint_original), num_frames)
        else:
            refuse_unfit_count(self.cond_hint_original, num_frames)

    def _features(self, latents: Tensor, total: int, indices: list[int] | None, dtype: torch.dtype) -> Tensor:
        """What the hint encoder makes of this window's frames, encoded on first use at this latent size."""
        size = (latents.shape[-2], latents.shape[-1])
        if size not in self.hint_features:
            refuse_unsound(self.cond_hint_original)
            self.hint_features[size] = self._encoded(size, latents.device, dtype)
        features = self.hint_features[size]
        if not self.control_model.sparse:
            return at_frames(features, indices)
        rows = [len(features) - 1] * total  # all frames without a picture share the last row
        for row, place in enumerate(self.settings.sparse_frames.places(len(features) - 1, total)):
            rows[place] = row
        return features[rows if indices is None else [rows[i] for i in indices]]

    def _encoded(self, size: tuple[int, int], device: torch.device, dtype: torch.dtype) -> Tensor:
        """Features of every picture; of a SparseCtrl, those of no picture behind them."""
        network, chunks = self.control_model, []
        height, width = (x * self.compression_ratio for x in size)
        for frames in self.cond_hint_original.split(HINT_CHUNK):
            frames = in_channels(frames, 3 if network.latent_hint else network.picture_channels)
            frames = comfy.utils.common_upscale(frames, width, height, self.upscale_algorithm, "center")
            frames = self.preprocess_image(frames)
            if network.latent_hint:
                frames = self._latents_of(frames, size)
            frames = frames.to(device, dtype)
            if network.sparse:
                frames = torch.cat([frames, torch.ones_like(frames[:, :1])], dim=1)
            chunks.append(network.encode_hint(frames))
        if network.sparse:
            chunks.append(network.encode_hint(torch.zeros_like(frames[:1])))
        return torch.cat(chunks)

    def _latents_of(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        """Pictures `f c h w` through the VAE of Apply ControlNet, scaled as the U-Net's latents are."""
        if self.vae is None:
            raise InputError(
                "This SparseCtrl reads pictures through a VAE, and Apply ControlNet has none. "
                "Connect the checkpoint's VAE to Apply ControlNet."
            )
        loaded = comfy.model_management.loaded_models(only_currently_used=True)
        latents = self.vae.encode(frames.movedim(1, -1))
        comfy.model_management.load_models_gpu(loaded)  # the VAE may have pushed them out
        wanted = (len(frames), self.control_model.picture_channels, *size)
        if tuple(latents.shape) != wanted:
            raise InputError(
                f"The VAE at Apply ControlNet makes latents of shape {list(latents.shape)}, this SparseCtrl reads "
                f"{list(wanted)}. Connect the VAE of the SD1.5 checkpoint."
            )
        return self.latent_format.process_in(latents)

    # ---- strength

    def _is_off(self, t: Tensor) -> bool:
        if self.strength == 0 or always_zero(self.settings.frame_strength):
            return True
        start, end = self.timestep_range or (torch.inf, -torch.inf)
        return bool(t[0] > start or t[0] < end)

    def _scale(
        self, residuals: dict[str, list[Tensor]], latents: Tensor, total: int, indices: list[int] | None
    ) -> None:
        """Pool where the ControlNet wants it, then multiply by the strength of each frame and the mask, in place."""
        if self.settings.pooled:
            for tensors in residuals.values():
                tensors[:] = [x.mean(dim=(2, 3), keepdim=True).expand_as(x).clone() for x in tensors]
        if self.masks is None and self.settings.mask is not None:
            self.masks = MaskSizes(self.settings.mask)
        scale_residuals(
            residuals,
            strength=self.settings.frame_strength,
            masks=self.masks,
            latent_size=(latents.shape[-2], latents.shape[-1]),
            total=total,
            indices=indices,
        )

    # ---- the run

    def _release(self) -> None:
        vars(self).pop("sub_idxs", None)  # Advanced-ControlNet takes what has it outside of a run for its own
        self.hint_features, self.masks = {}, None

    def _compute_dtype(self) -> torch.dtype:
        return self.manual_cast_dtype or self.control_model.dtype

    def _release_with(self, patcher: comfy.model_patcher.ModelPatcher) -> None:
        """Let the features go when the run ends in an error or a cancel: core calls `cleanup` only after success."""
        event, key = comfy.patcher_extension.CallbacksMP.ON_CLEANUP, f"dreamoving_control_{id(self)}"

        def release(patcher: comfy.model_patcher.ModelPatcher) -> None:
            self._release()
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


def with_frame_strength(
    control: comfy.controlnet.ControlBase, strength: Strength, *, mask: Tensor | None = None
) -> VideoControlNet:
    """A copy whose strength changes over the clip, and over the picture by a mask.

    Raises InputError for a ControlNet that is not ours, and for what is no strength or mask.
    """
    twin = own_copy(control, "A strength per frame")
    always_zero(strength)  # refuses what is no strength now, and not in the middle of sampling
    mask = checked_mask(mask)
    if mask is not None and not mask.any():
        strength, mask = 0.0, None
    twin.settings = replace(twin.settings, frame_strength=strength, mask=mask)
    return twin


def with_sparse_frames(control: comfy.controlnet.ControlBase, frames: SparseFrames) -> VideoControlNet:
    """A copy of a SparseCtrl whose pictures belong to these frames. Raises InputError for another ControlNet."""
    twin = own_copy(control, "Setting the frames of pictures")
    if not twin.control_model.sparse:
        raise InputError(
            "Set Sparse Frames is for SparseCtrl; this ControlNet wants a picture for every frame. "
            "Leave the node out, or load v3_sd15_sparsectrl_rgb or _scribble."
        )
    twin.settings = replace(twin.settings, sparse_frames=frames)
    return twin


def own_copy(control: comfy.controlnet.ControlBase, purpose: str) -> VideoControlNet:
    """A copy to change. Raises InputError for a ControlNet that is not ours."""
    if not isinstance(control, VideoControlNet):
        raise InputError(
            f"{purpose} needs a Video ControlNet, got {type(control).__name__}. "
            "Load the file with Load Video ControlNet, which reads ordinary SD1.5 ControlNets too."
        )
    return control.copy()
