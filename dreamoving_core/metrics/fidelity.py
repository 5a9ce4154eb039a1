"""How far a clip is from the truth, in the whole picture or in a part of it. Clips: f h w c in [0, 1]; masks: f h w."""

import math

import torch
from torch import Tensor

from ..errors import InputError, MissingPackageError


def psnr(clip: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB over all frames at once, or over the pixels where `mask` is set.

    A soft mask weighs. Equal clips give infinity. The person's PSNR is this with the true person's mask.
    """
    error = _weighted_mean((_checked(clip, truth) - truth).square(), mask)
    return math.inf if error == 0 else -10 * math.log10(error)


def color_error(clip: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Mean absolute difference in RGB within a part: 0 is the same colour everywhere, 1 is black against white."""
    return _weighted_mean((_checked(clip, truth) - truth).abs(), mask)


def background_error(clip: Tensor, truth: Tensor, person: Tensor) -> float:
    """`color_error` outside the person."""
    return color_error(clip, truth, 1 - person.to(torch.float32))


def ssim(clip: Tensor, truth: Tensor) -> float:
    """Structural similarity, mean over frames, of torchmetrics with its defaults (Gaussian window of 11)."""
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise MissingPackageError("SSIM needs torchmetrics: pip install torchmetrics") from error
    planes = [frames.movedim(-1, 1).to(torch.float32) for frames in (_checked(clip, truth), truth)]
    return float(structural_similarity_index_measure(*planes, data_range=1.0))


def _checked(clip: Tensor, truth: Tensor) -> Tensor:
    if clip.shape != truth.shape:
        raise InputError(
            f"The clip is {list(clip.shape)} and what it is compared with {list(truth.shape)} (frames, height, width, "
            "channels). Bring both to the same count and size first."
        )
    if not torch.isfinite(clip.sum()):
        raise InputError("The clip holds values that are not numbers (NaN or infinite), so it has no score.")
    return clip


def _weighted_mean(error: Tensor, mask: Tensor | None) -> float:
    """Mean of `error` (f h w c) under `mask` (f h w, or broadcast to it), in float64: long clips have many pixels."""
    per_pixel = error.to(torch.float64).mean(dim=-1)
    if mask is None:
        return float(per_pixel.mean())
    weights = mask.to(per_pixel).expand_as(per_pixel)
    total = weights.sum()
    if total <= 0:
        raise InputError(
            "The mask is empty, so there is nothing to compare. Check that it shows the part it should."
        )
    return float((per_pixel * weights).sum() / total)
