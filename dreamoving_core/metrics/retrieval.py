"""Which of many pictures a result is nearest to. Clips: f h w c in [0, 1]; masks: f h w."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError


def distances(clip: Tensor, candidates: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Mean absolute difference to each candidate (a clip, or one picture for all frames) where `mask` is set."""
    counted = mask.bool()
    if not counted.any():
        raise InputError("The mask is empty, so there is nothing to compare.")
    shown = clip[counted].to(torch.float64)
    return torch.stack([(shown - c.expand_as(clip)[counted]).abs().mean() for c in candidates])


def nearest(clip: Tensor, candidates: Sequence[Tensor], mask: Tensor) -> int:
    """The index of the candidate that the clip looks most like; of equals the first."""
    return int(distances(clip, candidates, mask).argmin())


def rank(clip: Tensor, candidates: Sequence[Tensor], mask: Tensor, *, right: int) -> int:
    """How many candidates are at least as near as the right one, itself not counted: 0 is found."""
    away = distances(clip, candidates, mask)
    return int((away <= away[right]).sum()) - 1
