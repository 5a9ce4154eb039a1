"""Where the person stands, seen against a background that is known. Clips: f h w c in [0, 1]; masks: f h w bool."""

import torch
from torch import Tensor

from ..errors import InputError

THRESHOLD = 0.12  # [ours] above the autoencoder's error on a plain background, below the contrast of clothes


def silhouette(clip: Tensor, background: Tensor, *, threshold: float = THRESHOLD) -> Tensor:
    """Pixels that differ from `background` (`f h w c`, or one frame for all) by more than `threshold` in any channel."""
    if clip.shape[1:] != background.shape[-3:]:
        raise InputError(
            f"The clip's frames are {list(clip.shape[1:])}, the background is {list(background.shape[-3:])} (height, "
            "width, channels). Use the background of the same scene at the same size."
        )
    return (clip - background).abs().amax(dim=-1) > threshold


def iou(first: Tensor, second: Tensor) -> float:
    """Intersection over union of two silhouettes, mean over frames. A frame where both are empty counts as 1."""
    if first.shape != second.shape:
        raise InputError(
            f"The silhouettes are {list(first.shape)} and {list(second.shape)} (frames, height, width); they must match."
        )
    first, second = first.bool(), second.bool()
    common = (first & second).sum(dim=(1, 2))
    either = (first | second).sum(dim=(1, 2))
    return float(torch.where(either > 0, common / either.clamp(min=1), 1.0).mean())
