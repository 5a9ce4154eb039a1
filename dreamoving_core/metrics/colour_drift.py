"""How colours and light of a clip wander from its first frame to its last, in CIE Lab. Frames: h w 3 in [0, 1], sRGB."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

LARGEST_SIDE = 256  # [ours] pixels of the longer side that are looked at: colours over a picture need no more
PARTS = 4  # [ours] the first and the last quarter are compared: single frames tremble, and a line would overshoot at a step
# sRGB, IEC 61966-2-1: linear red, green and blue to X, Y and Z under D65
TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
EDGE = 6 / 29  # CIE 15: below its cube, Lab is a line


def to_lab(pixels: Tensor) -> Tensor:
    """sRGB `... 3` in [0, 1] to CIE Lab, `... 3`: lightness 0 to 100, then green to red and blue to yellow; white is D65."""
    linear = torch.where(pixels <= 0.04045, pixels / 12.92, ((pixels.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(TO_XYZ, dtype=pixels.dtype)
    xyz = linear @ (matrix / matrix.sum(dim=1, keepdim=True)).T
    x, y, z = torch.where(xyz > EDGE**3, xyz.clamp(min=0) ** (1 / 3), xyz / (3 * EDGE**2) + 4 / 29).unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def small_lab(frame: Tensor) -> Tensor:
    """A frame in Lab, its longer side brought down to LARGEST_SIDE."""
    longer = max(frame.shape[:2])
    if longer > LARGEST_SIDE:
        size = [max(1, round(side * LARGEST_SIDE / longer)) for side in frame.shape[:2]]
        small = functional.interpolate(rearrange(frame, "h w c -> 1 c h w"), size=size, mode="area")
        frame = rearrange(small, "1 c h w -> h w c")
    return to_lab(frame)


def colour_shift(lab: Tensor, first: Tensor) -> Tensor:
    """How far the picture's colours are from the first frame's, `3`: the median over the pixels of their differences.

    The median, because a dancer who moves covers less than half of the picture: what stays says how the light changed.
    """
    return rearrange(lab - first, "h w c -> (h w) c").median(dim=0).values.double()


def drift(shifts: Tensor) -> float:
    """Distance in Lab between the means of the first and of the last part of `shifts` (f 3); 2 is just seen."""
    part = max(1, len(shifts) // PARTS)
    return float((shifts[-part:].mean(dim=0) - shifts[:part].mean(dim=0)).norm())
