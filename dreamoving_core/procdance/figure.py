"""Bodies on a canvas: which shapes a person and their clothes are made of, back to front.

Shapes take their places from the projected joints only, so the picture and the keypoints agree by construction.
Every tensor starts with the frame; thicknesses are in body heights until they meet `body.unit`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .dance import column
from .draw import Canvas, Ink
from .head import draw_hair_behind, draw_head
from .identity import BOTTOMS, TOPS, Clothes, Person
from .palette import Palette
from .parts import (
    BOTTOM,
    FOOT,
    FOREARM,
    HAND,
    PELVIS,
    SHIN,
    SHOES,
    SKIN,
    THIGH,
    TOP,
    TORSO,
    UPPER_ARM,
)
from .shapes import Pattern
from .skeleton import Body


class Figure:
    """One batch of dressed people, ready to be drawn once."""

    def __init__(
        self,
        canvas: Canvas,
        body: Body,
        people: Sequence[Person],
        clothes: Sequence[Clothes],
        palette: Palette,
    ):
        self.canvas, self.body, self.palette = canvas, body, palette
        self.people, self.clothes = people, clothes
        self.build = column(people, "build") * body.unit
        self.with_head = torch.tensor([not person.headless for person in people])
        self.skin = palette.colours([person.skin for person in people])
        self.top_kind = [TOPS[c.top_kind] for c in clothes]
        self.bottom_kind = [BOTTOMS[c.bottom_kind] for c in clothes]
        self.top = palette.colours([c.top for c in clothes])
        self.bottom = palette.colours([c.bottom for c in clothes])
        across = body.shoulders[:, 0, :2] - body.shoulders[:, 1, :2]
        length = (across * across).sum(dim=-1, keepdim=True).sqrt().clamp(min=1e-3)
        self.top_pattern = self._pattern("pattern", "accent", body.neck, across / length)
        self.bottom_pattern = self._pattern("bottom_pattern", "bottom_accent", body.pelvis, across / length)

    def draw(self) -> None:
        """Paint everything, back to front."""
        self._shadow()
        draw_hair_behind(self)
        for side in (0, 1):
            self._arm(side, ~self.body.arm_front[:, side])
        nearer_left = self.body.leg_depth[:, 0] > self.body.leg_depth[:, 1]
        self._leg(0, ~nearer_left)
        self._leg(1, nearer_left)
        self._leg(0, nearer_left)
        self._leg(1, ~nearer_left)
        self._trunk()
        draw_head(self)
        for side in (0, 1):
            self._arm(side, self.body.arm_front[:, side])

    def _shadow(self) -> None:
        body = self.body
        centre = body.ankles.mean(dim=1)
        ground = torch.stack([body.heels[..., 1], body.toes[..., 1]]).amax(dim=(0, 2))
        centre = torch.stack([centre[:, 0], ground + 0.012 * body.unit, torch.zeros_like(ground)], dim=1)
        apart = (body.ankles[:, 0, 0] - body.ankles[:, 1, 0]).abs() / 2
        axes = torch.zeros(len(self.people), 2, 2, dtype=torch.float64)
        axes[:, 0, 0] = apart + 0.09 * body.unit
        axes[:, 1, 1] = 0.028 * body.unit
        ink = Ink(
            colour=torch.zeros(len(self.people), 3),
            label=0,
            round=body.unit,
            outline=0,
            shading=0,
            opacity=0.22,
        )
        self.canvas.ellipse(centre, axes, ink)

    def _arm(self, side: int, show: Tensor) -> None:
        body = self.body
        shoulder, elbow, wrist = (p[:, side] for p in (body.shoulders, body.elbows, body.wrists))
        bones = (UPPER_ARM + side, FOREARM + side)
        skin = self.ink(self.skin, SKIN, 0.03, show=show)
        self._chain([shoulder, elbow, wrist], (0.029, 0.025, 0.019), skin, bones=bones)
        points = body.hands[:, side]
        tips = points[:, 4::4]
        starts = torch.cat([points[:, :1], points[:, 1::4]], dim=1)
        ends = torch.cat([points[:, 9:10], tips], dim=1)
        radius = (
            torch.tensor([0.021, 0.0095, 0.009, 0.009, 0.009, 0.0085], dtype=torch.float64)
            * self.build[:, None]
        )
        thin = (
            torch.tensor([0.026, 0.007, 0.007, 0.007, 0.007, 0.0065], dtype=torch.float64)
            * self.build[:, None]
        )
        hand = self.ink(self.skin, SKIN, 0.025, show=show, bone=HAND + side, outline=0.7)
        self.canvas.cones(starts, ends, radius, thin, hand)
        sleeved = self._is(self.top_kind, "t-shirt") & ~self._is(self.bottom_kind, "dress")
        short = show & (
            sleeved | (self._is(self.bottom_kind, "dress") & ~self._is(self.top_kind, "sleeveless"))
        )
        half = shoulder + (elbow - shoulder) * 0.55
        top = self.ink(self.top, TOP, 0.045, show=short, bone=bones[0], pattern=self.top_pattern)
        self._chain([shoulder, half], (0.038, 0.038), top)
        long = show & self._is(self.top_kind, "long sleeve") & ~self._is(self.bottom_kind, "dress")
        cuff = elbow + (wrist - elbow) * 0.93
        top = self.ink(self.top, TOP, 0.045, show=long, pattern=self.top_pattern)
        self._chain([shoulder, elbow, cuff], (0.037, 0.032, 0.027), top, bones=bones)

    def _leg(self, side: int, show: Tensor) -> None:
        body = self.body
        hip, knee, ankle = (p[:, side] for p in (body.hips, body.knees, body.ankles))
        bones = (THIGH + side, SHIN + side)
        pants = self._is(self.bottom_kind, "pants")
        skin = self.ink(self.skin, SKIN, 0.05, show=show & ~pants)
        self._chain([hip + (knee - hip) * 0.3, knee, ankle], (0.043, 0.036, 0.022), skin, bones=bones)
        shoe = self.ink(
            self.palette.colours([c.shoes for c in self.clothes]), SHOES, 0.04, show=show, bone=FOOT + side
        )
        self._chain([body.heels[:, side], body.toes[:, side]], (0.026, 0.024), shoe)
        trousers = self.ink(self.bottom, BOTTOM, 0.055, show=show & pants, pattern=self.bottom_pattern)
        low = knee + (ankle - knee) * 0.94
        self._chain([hip, knee, low], (0.052, 0.043, 0.035), trousers, bones=bones)
        shorts = self.ink(
            self.bottom, BOTTOM, 0.055, show=show & self._is(self.bottom_kind, "shorts"), bone=bones[0],
            pattern=self.bottom_pattern,
        )  # fmt: skip
        self._chain([hip, hip + (knee - hip) * 0.72], (0.053, 0.053), shorts)

    def _trunk(self) -> None:
        body = self.body
        skirt, dress = self._is(self.bottom_kind, "skirt"), self._is(self.bottom_kind, "dress")
        bottom = self.ink(
            self.bottom, BOTTOM, 0.06, show=~(skirt | dress), bone=PELVIS, pattern=self.bottom_pattern
        )
        self.canvas.cones(body.hips[:, :1], body.hips[:, 1:], self._r(0.054), self._r(0.054), bottom)
        self._skirt(skirt | dress, torch.where(dress, 1.0, 0.78))
        hip_axis = torch.cat([body.hip_axis, torch.zeros_like(body.hip_axis[:, :1])], dim=1)
        belt = body.pelvis + (body.waist - body.pelvis) * torch.where(dress, 0.2, 0.0)[:, None]
        left, right = body.shoulders[:, 0], body.shoulders[:, 1]
        points = [left, body.waist + hip_axis * 0.98, belt + hip_axis * 1.12, belt - hip_axis * 1.12,
                  body.waist - hip_axis * 0.98, right]  # fmt: skip
        top = self.ink(self.top, TOP, 0.075, bone=TORSO, pattern=self.top_pattern)
        self.canvas.polygon(torch.stack(points, dim=1), 0.026 * self.build, top)
        neck = self.ink(self.skin, SKIN, 0.03, bone=TORSO, outline=0.6)
        up = body.head_points["chin"] + (body.head_points["skull"] - body.head_points["chin"]) * 0.2
        low = body.neck + (body.chest - body.neck) * 0.45
        up = torch.where(self.with_head[:, None], up, body.neck + (up - body.neck) * 0.3)
        self._chain([low, up], (0.027, 0.027), neck)

    def _skirt(self, show: Tensor, length: Tensor) -> None:
        body = self.body
        hip_axis = torch.cat([body.hip_axis, torch.zeros_like(body.hip_axis[:, :1])], dim=1)
        hems = []
        for side, sign in ((0, 1.0), (1, -1.0)):
            hem = body.hips[:, side] + (body.knees[:, side] - body.hips[:, side]) * length[:, None]
            out = torch.where(length > 0.9, 0.058, 0.05) * self.build * sign
            hems.append(hem + torch.stack([out, torch.zeros_like(out), torch.zeros_like(out)], dim=1))
        middle = (hems[0] + hems[1]) / 2
        sag = (0.02 * self.build)[:, None] * torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
        belt = body.pelvis + (body.waist - body.pelvis) * 0.35
        points = [belt + hip_axis * 0.95, body.pelvis + hip_axis * 1.35, hems[0], middle + sag, hems[1],
                  body.pelvis - hip_axis * 1.35, belt - hip_axis * 0.95]  # fmt: skip
        ink = self.ink(self.bottom, BOTTOM, 0.07, show=show, bone=PELVIS, pattern=self.bottom_pattern)
        self.canvas.polygon(torch.stack(points, dim=1), 0.014 * self.build, ink)

    def ink(self, colour: Tensor, label: int, round_: float, **more) -> Ink:
        """Ink whose roundness is given in body heights."""
        return Ink(colour=colour, label=label, round=round_ * self.build, **more)

    def _chain(self, joints: Sequence[Tensor], radii: Sequence[float], ink: Ink, *, bones=None) -> None:
        start, end = torch.stack(joints[:-1], dim=1), torch.stack(joints[1:], dim=1)
        radius = torch.tensor(radii, dtype=torch.float64) * self.build[:, None]
        self.canvas.cones(start, end, radius[:, :-1], radius[:, 1:], ink, bones=bones)

    def _r(self, radius: float) -> Tensor:
        return (radius * self.build)[:, None]

    def _is(self, kinds: Sequence[str], kind: str) -> Tensor:
        return torch.tensor([k == kind for k in kinds])

    def _pattern(self, kind: str, accent: str, origin: Tensor, axis: Tensor) -> Pattern:
        kinds = torch.tensor([getattr(c, kind) for c in self.clothes])
        period = self.body.unit * torch.where(kinds == 2, 0.058, 0.052)
        colours = self.palette.colours([getattr(c, accent) for c in self.clothes])
        return Pattern(kind=kinds, accent=colours, period=period, origin=origin[:, :2], axis=axis)
