"""Heads on a canvas: hair, skull, eyes, brows, nose, mouth, glasses, drawn from the projected landmarks."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .draw import Ink
from .face import CHIN_RADIUS, EYE, SKULL_RADIUS
from .identity import HAIR_STYLES
from .parts import BROWS, EYES, GLASSES, HAIR, HEAD, MOUTH, SKIN

if TYPE_CHECKING:
    from .figure import Figure


def draw_hair_behind(figure: "Figure") -> None:
    """Hair that hangs or stands behind the body."""
    marks, hair = figure.body.head_points, _hair(figure)
    style = _styles(figure)
    chain = _Chains(figure)
    chain.draw([marks["back"], marks["nape"]], (0.50, 0.44), hair(style == HAIR_STYLES.index("bob")))
    long = [marks["back"], marks["nape"], marks["nape"] + (marks["nape"] - marks["back"]) * 0.85]
    chain.draw(long, (0.49, 0.46, 0.40), hair(style == HAIR_STYLES.index("long")))
    down = marks["nape"] - marks["back"]
    sway = torch.stack([-down[:, 1], down[:, 0], torch.zeros_like(down[:, 0])], dim=1)
    start = marks["crown"] + sway * 0.5
    tail = [start, start + sway * 0.75 + down * 0.5, start + sway * 0.95 + down * 1.7]
    chain.draw(tail, (0.15, 0.19, 0.06), hair(style == HAIR_STYLES.index("ponytail")))
    chain.draw([marks["bun"], marks["bun"]], (0.22, 0.22), hair(style == HAIR_STYLES.index("bun")))
    high = marks["skull"] + (marks["crown"] - marks["skull"]) * 0.3
    chain.draw([high, high], (0.64, 0.64), hair(style == HAIR_STYLES.index("afro")))


def draw_head(figure: "Figure") -> None:
    """Ears, skull, face and the hair in front."""
    marks = figure.body.head_points
    chain = _Chains(figure)
    skin = figure.skin
    ears = torch.stack([marks["left_ear"], marks["right_ear"]], dim=1)
    chain.union(ears, ears, 0.085, 0.085, _ink(figure, skin * 0.94, SKIN, 0.09, outline=0.8))
    chain.draw([marks["skull"], marks["chin"]], (SKULL_RADIUS, CHIN_RADIUS), _ink(figure, skin, SKIN, 0.45))
    cheeks = torch.stack([marks["left_cheek"], marks["right_cheek"]], dim=1)
    blush = skin + (torch.tensor([0.95, 0.35, 0.35]) - skin) * 0.35
    chain.union(
        cheeks, cheeks, 0.075, 0.075, _ink(figure, blush, SKIN, 0.1, outline=0, shading=0, opacity=0.6)
    )
    _eyes(figure, chain)
    _nose_and_mouth(figure, chain)
    _hair_in_front(figure, chain)
    _brows(figure, chain)
    _glasses(figure, chain)


def _eyes(figure: "Figure", chain: "_Chains") -> None:
    face, axes = figure.body.face, figure.body.head_axes
    white = torch.full_like(figure.skin, 0.97)
    iris = figure.palette.colours([person.eyes for person in figure.people])
    for first in (36, 42):
        points = face[:, first : first + 6]
        centre = points.mean(dim=1)
        half = (points[:, 3] - points[:, 0])[:, :2] / 2
        up = (points[:, 1] + points[:, 2] - points[:, 4] - points[:, 5])[:, :2] * 0.27
        eye = torch.stack([half, up], dim=1)
        open_ = (up * up).sum(-1).sqrt() > 0.012 * figure.body.head_unit
        flat = {"outline": 0, "shading": 0, "show": open_}
        figure.canvas.ellipse(centre, eye, _ink(figure, white, EYES, 0.1, **flat))
        for size, colour in ((0.072, iris), (0.038, iris * 0.2)):
            ink = _ink(figure, colour, EYES, 0.1, **flat)
            figure.canvas.ellipse(centre, axes * size, ink, within=(centre, eye))
        glint = centre + torch.cat(
            [(axes[:, 0] + axes[:, 1]) * -0.026, torch.zeros_like(centre[:, :1])], dim=1
        )
        figure.canvas.ellipse(
            glint, axes * 0.022, _ink(figure, white, EYES, 0.1, **flat), within=(centre, eye)
        )
    lids = face[:, [36, 37, 38, 42, 43, 44]], face[:, [37, 38, 39, 43, 44, 45]]
    dark = figure.skin * 0.25
    chain.union(*lids, 0.014, 0.014, _ink(figure, dark, EYES, 0.1, outline=0, shading=0), least=0.32)


def _nose_and_mouth(figure: "Figure", chain: "_Chains") -> None:
    face, skin = figure.body.face, figure.skin
    nose = _ink(
        figure, skin * torch.tensor([0.82, 0.72, 0.70]), SKIN, 0.1, outline=0, shading=0, opacity=0.85
    )
    chain.union(face[:, 32:34], face[:, 33:35], 0.026, 0.026, nose)
    lips = skin * 0.45 + torch.tensor([0.80, 0.22, 0.28]) * 0.55
    radius = 0.008 * figure.body.head_unit
    figure.canvas.polygon(face[:, 48:60], radius, _ink(figure, lips, MOUTH, 0.1, outline=0, shading=0))
    inner = face[:, 60:68]
    gap = inner[:, 6, :2] - inner[:, 2, :2]
    open_ = (gap * gap).sum(-1).sqrt() > 0.03 * figure.body.head_unit
    dark = torch.tensor([0.28, 0.06, 0.09]).expand_as(skin)
    figure.canvas.polygon(inner, radius * 0, _ink(figure, dark, MOUTH, 0.1, outline=0, shading=0, show=open_))


def _hair_in_front(figure: "Figure", chain: "_Chains") -> None:
    marks, axes, hair = figure.body.head_points, figure.body.head_axes, _hair(figure)
    style = _styles(figure)
    locks = [(marks[f"{side}_temple"], marks[f"{side}_lock"]) for side in ("left", "right")]
    starts, ends = (torch.stack([lock[i] for lock in locks], dim=1) for i in range(2))
    hanging = (style == HAIR_STYLES.index("long")) | (style == HAIR_STYLES.index("bob"))
    chain.union(starts, ends, 0.075, 0.085, hair(hanging))
    burns = starts + (ends - starts) * 0.28
    chain.union(starts, burns, 0.06, 0.04, hair(~hanging))
    part = torch.tensor([person.part for person in figure.people], dtype=torch.float64)[:, None]
    centre = marks["skull"] + (marks["back"] - marks["skull"]) * 0.3
    down = axes[:, 1] + axes[:, 0] * (0.45 * part)
    down = down / (down * down).sum(-1, keepdim=True).sqrt()
    cap = axes * (SKULL_RADIUS * 1.09)
    figure.canvas.ellipse(centre, cap, hair(None), below=(marks["hairline"][:, :2], down))


def _brows(figure: "Figure", chain: "_Chains") -> None:
    face = figure.body.face
    colour = _hair_colour(figure) * 0.62
    starts, ends = face[:, [17, 19, 22, 24]], face[:, [19, 21, 24, 26]]
    chain.union(starts, ends, 0.02, 0.02, _ink(figure, colour, BROWS, 0.1, outline=0, shading=0), least=0.4)


def _glasses(figure: "Figure", chain: "_Chains") -> None:
    marks, axes = figure.body.head_points, figure.body.head_axes
    wears = torch.tensor([person.glasses for person in figure.people])
    colour = torch.full_like(figure.skin, 0.1)
    ink = _ink(figure, colour, GLASSES, 0.1, outline=0, shading=0, show=wears)
    width = (0.016 * figure.body.head_unit).clamp(min=0.4)
    for side in ("left_eye", "right_eye"):
        figure.canvas.ellipse(marks[side], axes * (EYE[2] * 1.55), ink, ring=width)
    left, right = marks["left_eye"], marks["right_eye"]
    bridge = left + (right - left) * 0.4, right + (left - right) * 0.4
    chain.union(bridge[0][:, None], bridge[1][:, None], 0.016, 0.016, ink, least=0.4)


class _Chains:
    """Capsules whose radii are in head heights."""

    def __init__(self, figure: "Figure"):
        self.canvas, self.unit = figure.canvas, figure.body.head_unit

    def draw(self, joints: list[Tensor], radii: tuple[float, ...], ink: Ink) -> None:
        radius = torch.tensor(radii, dtype=torch.float64) * self.unit[:, None]
        start, end = torch.stack(joints[:-1], dim=1), torch.stack(joints[1:], dim=1)
        self.canvas.cones(start, end, radius[:, :-1], radius[:, 1:], ink)

    def union(
        self, start: Tensor, end: Tensor, first: float, last: float, ink: Ink, *, least: float = 0.0
    ) -> None:
        """Equal capsules, at least `least` pixels in radius."""
        size = self.unit[:, None].expand(start.shape[:2])
        self.canvas.cones(start, end, (first * size).clamp(min=least), (last * size).clamp(min=least), ink)


def _ink(
    figure: "Figure", colour: Tensor, label: int, round_: float, *, show: Tensor | None = None, **more
) -> Ink:
    show = figure.with_head if show is None else figure.with_head & show
    return Ink(colour=colour, label=label, round=round_ * figure.body.head_unit, bone=HEAD, show=show, **more)


def _hair_colour(figure: "Figure") -> Tensor:
    return figure.palette.colours([person.hair for person in figure.people])


def _hair(figure: "Figure"):
    colour = _hair_colour(figure)
    return lambda show: _ink(figure, colour, HAIR, 0.3, show=show)


def _styles(figure: "Figure") -> Tensor:
    return torch.tensor([person.hair_style for person in figure.people])
