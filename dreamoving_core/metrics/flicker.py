"""What moves that should not. Clips: f h w c in [0, 1]."""

import torch
from torch import Tensor

from ..errors import InputError


def flicker(clip: Tensor, truth: Tensor | None = None) -> float:
    """Mean absolute change from frame to frame; beside `truth`, only the change that the truth does not have.

    0 for a clip that moves exactly as the truth does, whatever its colours; 1 for black and white in turn.
    """
    if len(clip) < 2:
        raise InputError(f"Flicker needs at least 2 frames, got {len(clip)}.")
    change = clip.diff(dim=0)
    if truth is not None:
        if truth.shape != clip.shape:
            raise InputError(
                f"The clip is {list(clip.shape)} and the truth {list(truth.shape)} (frames, height, width, channels). "
                "Bring both to the same count and size first."
            )
        change = change - truth.diff(dim=0)
    return float(change.to(torch.float64).abs().mean())
