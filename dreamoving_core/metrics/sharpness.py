"""How much fine drawing a clip has. Clips: f h w c in [0, 1]."""

import torch
from torch import Tensor

from ..errors import InputError


def sharpness(clip: Tensor, *, mask: Tensor | None = None) -> float:
    """Root mean square difference between neighbouring pixels, to the right and below; a plain picture has 0.

    Blur lowers it, noise and flickering edges raise it: compare clips of the same content. Under `mask` (f h w) a pixel
    counts where it is set.
    """
    if min(clip.shape[1:3]) < 2:
        raise InputError(f"Sharpness needs pictures of at least 2 x 2 pixels, got {list(clip.shape[1:3])}.")
    clip = clip.to(torch.float64)
    right = clip[:, :-1, 1:] - clip[:, :-1, :-1]
    below = clip[:, 1:, :-1] - clip[:, :-1, :-1]
    energy = (right.square() + below.square()).mean(-1) / 2
    if mask is not None:
        inside = mask[:, :-1, :-1].bool()
        if not inside.any():
            raise InputError("The mask is empty, so there is nothing whose sharpness could be told.")
        energy = energy[inside]
    return float(energy.mean().sqrt())
