"""What moves, and what moves that should not. Clips: f h w c in [0, 1]; masks: f h w."""

import torch
from torch import Tensor

from ..errors import InputError


def flicker(clip: Tensor, truth: Tensor | None = None) -> float:
    """Mean absolute change from frame to frame; beside `truth`, only the change that the truth does not have.

    0 for a clip that moves exactly as the truth does, whatever its colours; 1 for black and white in turn.
    """
    return float(_changes(clip, truth).abs().mean())


def delta_flicker(clip: Tensor, truth: Tensor, *, mask: Tensor | None = None) -> float:
    """Root mean square of the change from frame to frame minus the truth's; under `mask` where it is set in both frames."""
    change = _changes(clip, truth).square().mean(-1)
    return _root_mean(change, mask)


def flicker_between(before: Tensor, now: Tensor, after: Tensor) -> float:
    """Mean distance of the values of a frame (h w c) from the span between the frames before and after it. [ours]

    What goes on in one direction (a fade, an edge that passes, a cut) has none; what comes and goes within one frame has:
    1 for black and white in turn. It needs no truth.
    """
    low, high = torch.minimum(before, after), torch.maximum(before, after)
    return float(now.clamp(low, high).sub_(now).abs_().mean())  # in place: frames are large


def motion_amplitude(clip: Tensor, *, mask: Tensor | None = None) -> float:
    """Root mean square change from frame to frame: how much the clip moves, wanted or not. A still picture has 0."""
    return _root_mean(_changes(clip, None).square().mean(-1), mask)


def _changes(clip: Tensor, truth: Tensor | None) -> Tensor:
    if len(clip) < 2:
        raise InputError(f"Flicker needs at least 2 frames, got {len(clip)}.")
    change = clip.to(torch.float64).diff(dim=0)
    if truth is not None:
        if truth.shape != clip.shape:
            raise InputError(
                f"The clip is {list(clip.shape)} and the truth {list(truth.shape)} (frames, height, width, channels). "
                "Bring both to the same count and size first."
            )
        change = change - truth.to(torch.float64).diff(dim=0)
    return change


def _root_mean(change: Tensor, mask: Tensor | None) -> float:
    if mask is not None:
        both = mask[1:].bool() & mask[:-1].bool()
        if not both.any():
            raise InputError("The mask is empty in every pair of frames, so there is nothing to compare.")
        change = change[both]
    return float(change.mean().sqrt())
