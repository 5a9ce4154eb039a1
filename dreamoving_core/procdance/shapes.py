"""Signed distances (pixels, negative inside) of many shapes at once, and the patterns that run along them.

Every function takes one row of numbers per frame and the pixel centres `x` n 1 w and `y` n h 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Stripes or dots in the part's own coordinates: `kind` n (0 plain, 1 stripes, 2 dots), `period` n in pixels."""

    kind: Tensor
    accent: Tensor  # n 3
    period: Tensor
    origin: Tensor  # n 2; used by polygons, the other shapes bring their own axes
    axis: Tensor  # n 2, unit vector across


@dataclass(frozen=True)
class Inside:
    """What a distance function knows about each pixel of its window, `n h w` each."""

    distance: Tensor
    depth: Tensor
    bone: Tensor | None = None
    across: Tensor | None = None
    along: Tensor | None = None


def at_frames(values: Tensor, chosen: Tensor) -> Tensor:
    return values[chosen][:, None, None]


def cone_distance(numbers: Tensor, x: Tensor, y: Tensor, *, bones, local: bool) -> Inside:
    best = None
    travelled = torch.zeros(numbers.shape[0], 1, 1)
    for k in range(numbers.shape[1]):
        ax, ay, ux, uy, length, radius, growth, slope, depth, rise = (
            numbers[:, k, i, None, None] for i in range(numbers.shape[2])
        )
        dx, dy = x - ax, y - ay
        along = dx * ux + dy * uy
        across = dx * uy - dy * ux
        side = across.abs()
        part = ((along - side * slope) / length).clamp_(0, 1)
        beyond = along - part * length
        distance = (side.mul_(side) + beyond.mul_(beyond)).sqrt_() - (part * growth + radius)
        layers = [distance, part * rise + depth]
        layers += [across, along + travelled] if local else []
        travelled = travelled + length
        layers += [torch.full_like(distance, bones[k])] if bones else []
        if best is None:
            best = layers
            continue
        nearer = distance < best[0]
        best = [torch.where(nearer, new, old) for new, old in zip(layers, best, strict=True)]
    return Inside(
        best[0],
        best[1],
        bone=best[-1].to(torch.uint8) if bones else None,
        across=best[2] if local else None,
        along=best[3] if local else None,
    )


def polygon_distance(
    edges: Tensor, extra: Tensor, x: Tensor, y: Tensor, *, pattern: Pattern | None, chosen: Tensor
) -> Inside:
    x, y = x[:, None], y[:, None]
    ax, ay, bx, by = (edges[..., i, None, None] for i in range(4))
    ex, ey = bx - ax, by - ay
    dx, dy = x - ax, y - ay
    part = ((dx * ex + dy * ey) / (ex * ex + ey * ey).clamp(min=1e-6)).clamp_(0, 1)
    px, py = dx - part * ex, dy - part * ey
    distance = (px.mul_(px) + py.mul_(py)).amin(dim=1).sqrt_()
    upward, downward = (ay <= y) & (by > y), (ay > y) & (by <= y)
    left = ex * dy - ey * dx > 0
    crossings = ((upward & left) | (downward & ~left)).sum(dim=1) % 2
    distance = torch.where(crossings == 1, -distance, distance) - extra[:, 0, None, None]
    x, y = x[:, 0], y[:, 0]
    across = along = None
    if pattern is not None:
        ox, oy = (at_frames(pattern.origin[:, i].float(), chosen) for i in range(2))
        ux, uy = (at_frames(pattern.axis[:, i].float(), chosen) for i in range(2))
        across = (x - ox) * ux + (y - oy) * uy
        along = (y - oy) * ux - (x - ox) * uy
    return Inside(distance, extra[:, 1, None, None], across=across, along=along)


def ellipse_numbers(centre: Tensor, axes: Tensor) -> Tensor:
    """Centre and the rows of the matrix that maps the ellipse to the unit circle, and that matrix for gradients."""
    (a, c), (b, d) = axes[:, 0].unbind(-1), axes[:, 1].unbind(-1)
    determinant = a * d - b * c
    floor = 1e-3
    determinant = torch.where(determinant.abs() < floor, torch.full_like(determinant, floor), determinant)
    return torch.stack(
        [centre[:, 0], centre[:, 1], d / determinant, -b / determinant, -c / determinant, a / determinant],
        dim=-1,
    ).float()


def ellipse_distance(numbers: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """First-order distance: (|q| - 1) divided by the gradient of |q|, q the point in the unit circle's space."""
    cx, cy, m00, m01, m10, m11 = (numbers[:, i, None, None] for i in range(6))
    dx, dy = x - cx, y - cy
    u, v = dx * m00 + dy * m01, dx * m10 + dy * m11
    length = (u * u + v * v).sqrt_().clamp_(min=1e-4)
    gx, gy = u * m00 + v * m10, u * m01 + v * m11
    return (length - 1) * length / (gx.mul_(gx) + gy.mul_(gy)).sqrt_().clamp_(min=1e-6)


def pattern_share(pattern: Pattern, chosen: Tensor, found: Inside) -> Tensor:
    """How much of the accent colour each pixel takes, `n h w`."""
    period = at_frames(pattern.period.float(), chosen)
    kind = at_frames(pattern.kind, chosen)
    v = found.along / period
    v = v - torch.floor(v) - 0.5
    stripes = ((0.22 - v.abs()) * period + 0.5).clamp(0, 1)
    u = found.across / period + 0.5
    u = u - torch.floor(u) - 0.5
    dots = ((0.33 - (u * u + v * v).sqrt()) * period + 0.5).clamp(0, 1)
    zero = torch.zeros_like(stripes)
    return torch.where(kind == 1, stripes, torch.where(kind == 2, dots, zero))
