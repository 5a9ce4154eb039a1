"""Antialiased shapes on many pictures at once.

A shape is a signed distance (pixels, negative inside) evaluated only in a window around it; frames whose windows
are about equally large are drawn together. The canvas keeps colour and depth (`c (n h w)`, c = red, green, blue, depth)
and a code, `label * NUM_BONES + bone`, of the front-most part. Only + - * / sqrt are used, element by element in float32, so a
frame has the same pixels alone or in any batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from .parts import NUM_BONES
from .shapes import (
    Inside,
    Pattern,
    at_frames,
    cone_distance,
    ellipse_distance,
    ellipse_numbers,
    pattern_share,
    polygon_distance,
)

LIGHT = (-0.5, -0.8)  # [ours] from the upper left


@dataclass(frozen=True, kw_only=True)
class Ink:
    """How a part looks and what it is."""

    colour: Tensor  # n 3
    label: int
    round: Tensor  # n, pixels over which the part turns away from the viewer
    bone: int = 0
    show: Tensor | None = None  # n bool
    outline: float = 1.0
    shading: float = 1.0
    opacity: float = 1.0
    pattern: Pattern | None = None


class Canvas:
    """Pictures being painted: `backgrounds` n h w 3, `outline` n (pixels, 0 for none), `cel` n bool."""

    def __init__(self, backgrounds: Tensor, *, outline: Tensor, cel: Tensor):
        self.num, self.height, self.width, _ = backgrounds.shape
        far = torch.zeros(*backgrounds.shape[:3], 1)
        self.pixels = rearrange(torch.cat([backgrounds, far], dim=-1), "n h w c -> c (n h w)").contiguous()
        self.codes = torch.zeros(self.num * self.height * self.width, dtype=torch.uint8)
        self.outline, self.cel = outline.float(), cel

    def finished(self) -> tuple[Tensor, Tensor]:
        """Colour and depth `n h w 4` and codes `n h w`."""
        size = {"n": self.num, "h": self.height, "w": self.width}
        pixels = rearrange(self.pixels, "c (n h w) -> n h w c", **size).contiguous()
        return pixels, rearrange(self.codes, "(n h w) -> n h w", **size)

    def cones(
        self, start: Tensor, end: Tensor, start_radius: Tensor, end_radius: Tensor, ink: Ink, *, bones=None
    ) -> None:
        """The union of k capsules with two radii: `n k 3` (x, y, depth) ends, `n k` radii. `bones`: one per capsule."""
        way = end[..., :2] - start[..., :2]
        length = (way[..., 0] * way[..., 0] + way[..., 1] * way[..., 1]).sqrt()
        way = torch.where(
            (length < 1e-3)[..., None], torch.tensor([1e-3, 0.0], dtype=way.dtype), way
        )  # a ball
        length = length.clamp(min=1e-3)
        first = torch.maximum(start_radius, end_radius - 0.95 * length)
        last = torch.maximum(end_radius, start_radius - 0.95 * length)
        taper = (first - last) / length
        slope = taper / (1 - taper * taper).sqrt()
        direction = way / length[..., None]
        numbers = torch.stack(
            [start[..., 0], start[..., 1], direction[..., 0], direction[..., 1], length, first, last - first,
             slope, start[..., 2], end[..., 2] - start[..., 2]], dim=-1
        ).float()  # fmt: skip
        low = torch.minimum(start[..., :2] - first[..., None], end[..., :2] - last[..., None]).amin(dim=1)
        high = torch.maximum(start[..., :2] + first[..., None], end[..., :2] + last[..., None]).amax(dim=1)

        def inside(chosen: Tensor, x: Tensor, y: Tensor) -> Inside:
            return cone_distance(numbers[chosen], x, y, bones=bones, local=ink.pattern is not None)

        self._paint(low, high, inside, ink)

    def polygon(self, points: Tensor, rounding: Tensor, ink: Ink) -> None:
        """A closed polygon `n m 3` (x, y, depth) grown by `rounding` n pixels."""
        edges = torch.cat([points[..., :2], points.roll(-1, dims=1)[..., :2]], dim=-1).float()
        extra = torch.stack([rounding, points[..., 2].mean(dim=1)], dim=-1).float()
        low = points[..., :2].amin(dim=1) - rounding[:, None]
        high = points[..., :2].amax(dim=1) + rounding[:, None]

        def inside(chosen: Tensor, x: Tensor, y: Tensor) -> Inside:
            return polygon_distance(edges[chosen], extra[chosen], x, y, pattern=ink.pattern, chosen=chosen)

        self._paint(low, high, inside, ink)

    def ellipse(
        self,
        centre: Tensor,
        axes: Tensor,
        ink: Ink,
        *,
        ring: Tensor | None = None,
        below: tuple[Tensor, Tensor] | None = None,
        within: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """`centre` n 3 (x, y, depth), `axes` n 2 2 half-axis vectors. `ring`: half width of a ring instead of a disc.

        `below`: a point and a direction (n 2 each), everything on that side is cut off. `within`: centre and axes of a second ellipse
        that cuts off what lies outside it.
        """
        numbers = ellipse_numbers(centre, axes)
        other = None if within is None else ellipse_numbers(*within)
        cut = None if below is None else torch.cat(below, dim=-1).float()
        width = None if ring is None else ring.float()
        extent = (axes * axes).sum(dim=1).sqrt()
        if ring is not None:
            extent = extent + ring[:, None]

        def inside(chosen: Tensor, x: Tensor, y: Tensor) -> Inside:
            distance = ellipse_distance(numbers[chosen], x, y)
            if width is not None:
                distance = distance.abs() - at_frames(width, chosen)
            if cut is not None:
                px, py, dx, dy = (at_frames(cut[:, i], chosen) for i in range(4))
                distance = torch.maximum(distance, (x - px) * dx + (y - py) * dy)
            if other is not None:
                distance = torch.maximum(distance, ellipse_distance(other[chosen], x, y))
            return Inside(distance, at_frames(centre[:, 2].float(), chosen))

        self._paint(centre[:, :2] - extent, centre[:, :2] + extent, inside, ink)

    def _paint(self, low: Tensor, high: Tensor, inside: Callable[..., Inside], ink: Ink) -> None:
        margin = 1 + self.outline[:, None] * ink.outline
        limit = torch.tensor([self.width, self.height])
        first = torch.floor(low.float() - margin).long().clamp(min=0)
        last = torch.minimum(torch.ceil(high.float() + margin).long(), limit)
        size = last - first
        seen = (size > 0).all(dim=1)
        if ink.show is not None:
            seen &= ink.show
        frames = seen.nonzero()[:, 0]
        if len(frames) == 0:
            return
        middle = ((low + high) / 2).float()
        reach = ((high - low) / 2).amax(dim=1).float()
        frames = frames[(size[frames, 0] * size[frames, 1]).argsort(stable=True)]
        count = max(1, min(5, len(frames) // 12))
        for chosen in frames.tensor_split(count):
            width, height = (int(s) for s in size[chosen].amax(dim=0))
            corner = torch.minimum(first[chosen], limit - torch.tensor([width, height]))
            self._paint_window(chosen, corner, width, height, inside, ink, middle, reach)

    def _paint_window(self, chosen, corner, width, height, inside, ink, middle, reach) -> None:
        columns = corner[:, :1] + torch.arange(width)
        rows = corner[:, 1:] + torch.arange(height)
        x, y = (columns.float() + 0.5)[:, None, :], (rows.float() + 0.5)[:, :, None]
        found = inside(chosen, x, y)
        distance = found.distance
        turn = (distance / at_frames(ink.round.float(), chosen)).add_(1).clamp_(0, 1)
        turn = turn.mul_(turn)
        alpha = cover = (0.5 - distance).clamp_(0, 1)
        shade = self._shade(chosen, x, y, turn, ink, middle, reach)
        outline = self.outline[chosen] * ink.outline
        if bool((outline > 0).any()):
            drawn = (outline > 0).float()[:, None, None]
            alpha = (0.5 + outline[:, None, None] - distance).clamp_(0, 1)
            shade = shade * (1 - 0.72 * drawn * (1 - cover))
        new = torch.empty(4, *distance.shape)
        colour = _planes(ink.colour, chosen)
        if ink.pattern is not None and bool((ink.pattern.kind[chosen] > 0).any()):
            mix = pattern_share(ink.pattern, chosen, found)
            colour = colour + (_planes(ink.pattern.accent, chosen) - colour) * mix
        torch.mul(colour, shade, out=new[:3])
        new[3] = found.depth + (0.03 - 0.06 * turn)
        index = ((chosen[:, None] * self.height + rows) * self.width)[:, :, None] + columns[:, None, :]
        self._blend(index.flatten(), new.flatten(1), alpha, ink, found.bone)

    def _blend(self, index: Tensor, new: Tensor, alpha: Tensor, ink: Ink, bone: Tensor | None) -> None:
        old = self.pixels.index_select(1, index)
        weight = (alpha if ink.opacity == 1 else alpha * ink.opacity).flatten()
        self.pixels.index_copy_(1, index, new.sub_(old).mul_(weight).add_(old))
        if ink.label == 0:
            return
        code = torch.as_tensor(
            ink.label * NUM_BONES + (ink.bone if bone is None else bone), dtype=torch.uint8
        )
        code = code.expand(alpha.shape).flatten()
        solid = (alpha > 0.5).flatten()
        self.codes.index_copy_(0, index, torch.where(solid, code, self.codes.index_select(0, index)))

    def _shade(self, chosen, x, y, turn, ink, middle, reach) -> Tensor:
        """Soft light and a darker rim; with cel shading two flat tones."""
        scale = 1 / at_frames(reach, chosen).clamp(min=1)
        light = (x - at_frames(middle[:, 0], chosen)) * (LIGHT[0] * scale) + (
            y - at_frames(middle[:, 1], chosen)
        ) * (LIGHT[1] * scale)
        soft = (light.clamp(-1, 1) * (0.10 * ink.shading) + 1) - turn * (0.20 * ink.shading)
        if not bool(self.cel[chosen].any()):
            return soft
        tone = (light * 12 + 4.2).clamp(-1, 1)
        return torch.where(self.cel[chosen][:, None, None], 1 + ink.shading * 0.10 * (tone - 1), soft)


def _planes(colour: Tensor, chosen: Tensor) -> Tensor:
    return rearrange(colour[chosen].float(), "n c -> c n 1 1")
