"""Sampling a clip with ComfyUI's own samplers: latents, noise, progress, and what is refused before hours are spent.

Latents are `f c h w`: ComfyUI's batch axis is our frame axis.
"""

from collections.abc import Callable
from dataclasses import dataclass

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from einops import repeat
from torch import Tensor

from ..errors import InputError
from .guidance import guided_until
from .preview import clip_preview
from .progress import Progress
from .windows import follow_windows

SAMPLERS = comfy.samplers.KSampler.SAMPLERS  # the list itself: other packs add to it
SCHEDULERS = comfy.samplers.KSampler.SCHEDULERS
NOISES = ["independent", "shared"]


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """`noise`: "independent" gives every frame its own, as the stock KSampler does; "shared" the first frame's to all."""

    seed: int = 0
    steps: int = 25  # [AD] the authors' demos
    cfg: float = 7.5  # [AD] 7.5 to 8.5
    sampler_name: str = "euler"
    scheduler: str = "normal"
    denoise: float = 1.0
    noise: str = "independent"
    cfg_end_percent: float = 1.0  # guidance in all steps, as the stock KSampler

    def __post_init__(self):
        if self.steps < 1:
            raise InputError(f"Sampling needs at least 1 step, got {self.steps}. Try 25.")
        if not 0.0 <= self.denoise <= 1.0:
            raise InputError(f"denoise goes from 0 (keep the video) to 1 (all new), got {self.denoise}.")
        if self.noise not in NOISES:
            raise InputError(
                f"noise must be one of {', '.join(NOISES)}, got {self.noise!r}. Choose one of these."
            )


def empty_latents(model: ModelPatcher, *, width: int, height: int, num_frames: int) -> dict:
    """A LATENT of zeros for `num_frames` pictures of `width` x `height` pixels."""
    if num_frames < 1:
        raise InputError(
            f"A clip needs at least 1 frame, got {num_frames}. Set frames to 16 for a first try."
        )
    latent_format = model.get_model_object("latent_format")
    pixels = latent_format.spacial_downscale_ratio
    for name, size in (("width", width), ("height", height)):
        if size < pixels or size % pixels:
            below, above = (
                max(pixels, size // pixels * pixels),
                max(2 * pixels, (size // pixels + 1) * pixels),
            )
            raise InputError(
                f"The {name} must be a multiple of {pixels} pixels, got {size}. Use {below} or {above}."
            )
    shape = (num_frames, latent_format.latent_channels, height // pixels, width // pixels)
    samples = torch.zeros(
        shape,
        device=comfy.model_management.intermediate_device(),
        dtype=comfy.model_management.intermediate_dtype(),
    )
    return {"samples": samples}


def video_noise(latents: Tensor, *, seed: int, noise: str, batch_index: list[int] | None = None) -> Tensor:
    """Noise like `latents` (f c h w). More frames leave the noise of the earlier ones as it was.

    (Where c h w is no multiple of 16, torch draws the last 16 numbers of a clip in another way: they alone change.)
    """
    if noise == "shared":
        first = comfy.sample.prepare_noise(latents[:1], seed)
        return repeat(first, "1 c h w -> f c h w", f=latents.shape[0])
    return comfy.sample.prepare_noise(latents, seed, batch_index)


def sample_video(
    model: ModelPatcher, latent: dict, *, positive, negative, settings: SamplingSettings, preview: bool = True
) -> dict:
    """Denoise `latent` and return it as a LATENT. With independent noise the result is the stock KSampler's, bit for bit.

    ControlNets follow the context windows that `model` brings. Raises InputError for latents of another model's
    channels, and for NaN before or after sampling. Whatever ends the run, model and ControlNets are left clean.
    """
    latents = _checked_latents(model, latent)
    noise = video_noise(
        latents, seed=settings.seed, noise=settings.noise, batch_index=latent.get("batch_index")
    )
    samples = comfy.sample.sample(
        guided_until(follow_windows(model), settings.cfg_end_percent),
        noise,
        settings.steps,
        settings.cfg,
        settings.sampler_name,
        settings.scheduler,
        positive,
        negative,
        latents,
        denoise=settings.denoise,
        noise_mask=latent.get("noise_mask"),
        callback=_on_step(model, settings.steps, preview=preview),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=settings.seed,
    )
    refuse_nan(samples, "after sampling")
    kept = {k: v for k, v in latent.items() if not k.startswith("downscale_ratio")}
    return {**kept, "samples": samples}


def _on_step(model: ModelPatcher, steps: int, *, preview: bool) -> Callable:
    progress = Progress(steps, unit="steps")
    picture = clip_preview(model) if preview else None

    def on_step(step: int, x0: Tensor, x: Tensor, total_steps: int) -> None:
        refuse_nan(x0, f"at step {step + 1} of {total_steps}")  # now rather than after the remaining steps
        progress.update_absolute(step + 1, total_steps, picture(step, total_steps, x0) if picture else None)

    return on_step


def _checked_latents(model: ModelPatcher, latent: dict) -> Tensor:
    latents = latent["samples"]
    if latents.is_nested or latents.ndim != 4:
        raise InputError(
            "This sampler takes one latent picture per frame (frames, channels, height, width), got "
            f"{'a pair of video and sound' if latents.is_nested else f'{latents.ndim} dimensions'}. "
            "Encode the frames with an SD1.5 VAE."
        )
    if latents.shape[0] < 1:
        raise InputError(
            "The latent has 0 frames. Check the nodes before it: at least 1 frame must come through."
        )
    latents = comfy.sample.fix_empty_latent_channels(model, latents, latent.get("downscale_ratio_spacial"))
    channels = model.get_model_object("latent_format").latent_channels
    if latents.shape[1] != channels:
        raise InputError(
            f"The model works on latents of {channels} channels, got {latents.shape[1]}. "
            "Encode the video with the VAE that belongs to the model."
        )
    refuse_nan(latents, "before sampling", remedy="Check the video or the VAE that made it.")
    return latents


REMEDY = (
    "Likely causes, most likely first: fp16 overflow (start ComfyUI with --bf16-unet or --fp32-unet), a model file that "
    "is damaged or made for another base model, a cfg or a strength that is far too high."
)


def refuse_nan(latents: Tensor, when: str, *, remedy: str = REMEDY) -> None:
    """Raise InputError when a frame of `latents` (f c h w) holds NaN or infinity."""
    finite = torch.isfinite(latents)
    if bool(finite.all()):
        return
    broken = (~finite).flatten(1).any(dim=1).nonzero().flatten().tolist()
    raise InputError(
        f"{len(broken)} of {latents.shape[0]} frames hold numbers that are not finite (NaN) {when}, the first is frame "
        f"{broken[0]}: they would decode to black. {remedy}"
    )
