"""Hands of 21 points in space: wrist, then four points from base to tip for thumb, index, middle, ring, little."""

import torch
from torch import Tensor

LENGTH = 0.098  # [ours] body heights, a little large so that a hand shows in a small picture

# Per finger: base (along, across) and tip direction (along, across) when spread, length; all in hand lengths.
_FINGERS = (
    (0.14, 0.22, 0.62, 0.78, 0.40),
    (0.52, 0.20, 0.97, 0.26, 0.46),
    (0.55, 0.07, 1.00, 0.03, 0.50),
    (0.53, -0.07, 0.97, -0.20, 0.47),
    (0.48, -0.19, 0.88, -0.46, 0.38),
)
_JOINTS = (0.0, 0.45, 0.75, 1.0)


def points(wrists: Tensor, along: Tensor, spread: Tensor) -> Tensor:
    """`wrists` and forearm directions `f side 3`, `spread` `f side` (0 fist, 1 open) to `f side 21 3`."""
    sides = torch.tensor([1.0, -1.0], dtype=wrists.dtype)[None, :]
    x, y = along[..., 0], along[..., 1]
    flat = (x * x + y * y + 1e-4).sqrt()
    across = torch.stack([y / flat * sides, -x / flat * sides, torch.zeros_like(x)], dim=-1)
    open_ = spread[..., None]
    result = [wrists]
    for base_along, base_across, tip_along, tip_across, length in _FINGERS:
        base = wrists + (along * base_along + across * base_across) * LENGTH
        # a closing hand draws its fingers together and shortens them in the picture
        tip = along * tip_along + across * (tip_across * (0.35 + 0.65 * open_))
        reach = length * LENGTH * (0.45 + 0.55 * open_)
        result += [base + tip * (reach * joint) for joint in _JOINTS]
    return torch.stack(result, dim=2)
