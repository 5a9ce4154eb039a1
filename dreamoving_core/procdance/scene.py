"""Where they dance: eight places in eight kinds of light, each a fixed picture that its caption determines.

Splits are disjoint: the combinations in HELD_OUT_SCENES occur in the "held_out" split only and are the only ones
there; every place and every light is still seen in training. Coordinates are fractions of the frame.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .palette import MEDIA, restyle
from .seeds import Draw
from .skeleton import SHOTS

RGB = tuple[float, float, float]

PLACES: dict[str, str] = {
    "beach": "on a beach",
    "forest": "in a forest",
    "city": "in a city street",
    "desert": "in a desert",
    "mountains": "in snowy mountains",
    "meadow": "on a flower meadow",
    "stage": "on a stage with curtains",
    "room": "in a living room",
}


@dataclass(frozen=True, kw_only=True)
class Light:
    """A time of day or a weather: its words, the sky from top to horizon, and what it does to colours."""

    words: str
    sky: tuple[RGB, RGB]
    tint: RGB  # multiplies colours given by day
    sun: RGB  # or moon
    sun_radius: float
    sun_low: bool  # on the horizon
    lamps: bool  # windows are lit
    stage: RGB  # back wall of a stage
    spot: RGB  # its spotlights


# Eight, so that place and light must be learned as two things: with three, a model learned the pairs by heart [ours].
LIGHTS: dict[str, Light] = {
    "day": Light(
        words="by day", sky=((0.42, 0.68, 0.93), (0.80, 0.91, 0.98)), tint=(1.0, 1.0, 1.0), sun=(1.0, 0.95, 0.62),
        sun_radius=0.06, sun_low=False, lamps=False, stage=(0.62, 0.56, 0.66), spot=(1.0, 1.0, 0.95),
    ),
    "sunset": Light(
        words="at sunset", sky=((0.46, 0.30, 0.56), (0.99, 0.66, 0.38)), tint=(0.98, 0.74, 0.60), sun=(1.0, 0.86, 0.50),
        sun_radius=0.10, sun_low=True, lamps=True, stage=(0.72, 0.42, 0.30), spot=(1.0, 0.75, 0.40),
    ),
    "night": Light(
        words="at night", sky=((0.05, 0.07, 0.20), (0.17, 0.21, 0.42)), tint=(0.44, 0.48, 0.70), sun=(0.93, 0.93, 0.82),
        sun_radius=0.05, sun_low=False, lamps=True, stage=(0.12, 0.10, 0.26), spot=(0.45, 0.55, 1.0),
    ),
    "dawn": Light(
        words="at dawn", sky=((0.58, 0.62, 0.86), (0.98, 0.78, 0.84)), tint=(0.94, 0.80, 0.88), sun=(1.0, 0.84, 0.84),
        sun_radius=0.08, sun_low=True, lamps=True, stage=(0.66, 0.46, 0.58), spot=(1.0, 0.78, 0.86),
    ),
    "clouds": Light(
        words="under grey clouds", sky=((0.60, 0.63, 0.66), (0.78, 0.80, 0.82)), tint=(0.78, 0.80, 0.82),
        sun=(0.90, 0.90, 0.88), sun_radius=0.05, sun_low=False, lamps=False, stage=(0.46, 0.46, 0.48),
        spot=(0.80, 0.80, 0.78),
    ),
    "storm": Light(
        words="in a storm", sky=((0.16, 0.21, 0.25), (0.38, 0.46, 0.48)), tint=(0.52, 0.60, 0.62), sun=(0.62, 0.68, 0.70),
        sun_radius=0.05, sun_low=False, lamps=True, stage=(0.18, 0.24, 0.26), spot=(0.55, 0.72, 0.74),
    ),
    "gold": Light(
        words="in golden light", sky=((0.90, 0.72, 0.34), (1.0, 0.92, 0.62)), tint=(1.0, 0.88, 0.56), sun=(1.0, 0.98, 0.80),
        sun_radius=0.08, sun_low=False, lamps=False, stage=(0.74, 0.58, 0.26), spot=(1.0, 0.90, 0.50),
    ),
    "aurora": Light(
        words="under green northern lights", sky=((0.04, 0.16, 0.20), (0.14, 0.58, 0.42)), tint=(0.44, 0.66, 0.58),
        sun=(0.80, 0.96, 0.86), sun_radius=0.05, sun_low=False, lamps=True, stage=(0.08, 0.26, 0.22), spot=(0.35, 0.95, 0.62),
    ),
}  # fmt: skip
HELD_OUT_SCENES = (
    ("beach", "night"), ("forest", "sunset"), ("city", "day"), ("room", "dawn"),
    ("desert", "clouds"), ("mountains", "storm"), ("meadow", "gold"), ("stage", "aurora"),
)  # fmt: skip
PLAIN = "plain"  # the neutral background of reference pictures


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A place, and the light: a time of day or a weather."""

    place: str
    light: str


def sample_scene(seed: int, split: str) -> Scene:
    """The scene of this seed."""
    pairs = [(p, t) for p in PLACES for t in LIGHTS if ((p, t) in HELD_OUT_SCENES) == (split == "held_out")]
    place, light = pairs[Draw("scene", split, seed).integer("pair", len(pairs))]
    return Scene(place=place, light=light)


def caption(scene: Scene, *, shot: str, style: int) -> str:
    """Place, light, shot and style in words: "illustration of a person dancing on a beach at sunset, whole body"."""
    where = (
        f"{PLACES[scene.place]} {LIGHTS[scene.light].words}"
        if scene.place in PLACES
        else "before a plain background"
    )
    return f"{MEDIA[style]} of a person dancing {where}, {SHOTS[shot].text}"


def draw_scene(scene: Scene, *, style: int, size: int) -> Tensor:
    """The background, `h w 3` in [0, 1]."""
    sheet = _Sheet(size, scene.light if scene.light in LIGHTS else "day")
    _PAINTERS[scene.place](sheet)
    return restyle(sheet.picture, style).clamp(0, 1)


class _Sheet:
    """One background being painted; colours given by day are tinted by the light."""

    def __init__(self, size: int, light: str):
        self.light, self.size = LIGHTS[light], size
        grid = (torch.arange(size, dtype=torch.float32) + 0.5) / size
        self.x, self.y = grid[None, :], grid[:, None]
        self.picture = torch.zeros(size, size, 3)

    def tint(self, colour: tuple[float, float, float]) -> Tensor:
        return torch.tensor(colour) * torch.tensor(self.light.tint)

    def blend(
        self, distance: Tensor, colour: Tensor, rows: slice, columns: slice, *, opacity: float = 1.0
    ) -> None:
        """Paint a shape given by its distance inside a window."""
        cover = (0.5 - distance * self.size).clamp(0, 1)[..., None] * opacity
        window = self.picture[rows, columns]
        window += cover * (colour - window)

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[slice, slice]:
        """Rows and columns that a box with soft edges can touch."""
        low = [max(math.floor(v * self.size) - 1, 0) for v in (top, left)]
        high = [max(math.ceil(v * self.size) + 1, 0) for v in (bottom, right)]
        return slice(low[0], high[0]), slice(low[1], high[1])

    def sky(self) -> None:
        high, low = (torch.tensor(c) for c in self.light.sky)
        part = (self.y / 0.66).clamp(0, 1)[..., None].expand(self.size, self.size, 1)
        self.picture = (high + (low - high) * part).contiguous()

    def fill(self, top: float, upper: tuple, lower: tuple) -> None:
        """From `top` to the frame's lower edge, a vertical gradient."""
        upper, lower = self.tint(upper), self.tint(lower)
        rows, columns = self.window(0, top, 1, 1)
        y = self.y[rows]
        part = ((y - top) / (1 - top)).clamp(0, 1)[..., None]
        self.blend((top - y).expand(len(y), self.size), upper + (lower - upper) * part, rows, columns)

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: tuple, *, lit: bool = False
    ) -> None:
        rows, columns = self.window(left, top, right, bottom)
        dx = (self.x[:, columns] - (left + right) / 2).abs() - (right - left) / 2
        dy = (self.y[rows] - (top + bottom) / 2).abs() - (bottom - top) / 2
        self.blend(torch.maximum(dx, dy), torch.tensor(colour) if lit else self.tint(colour), rows, columns)

    def oval(
        self, x: float, y: float, width: float, height: float, colour: tuple, *, lit=False, opacity=1.0
    ) -> None:
        rows, columns = self.window(x - width, y - height, x + width, y + height)
        u, v = (self.x[:, columns] - x) / width, (self.y[rows] - y) / height
        distance = ((u * u + v * v).sqrt() - 1) * min(width, height)
        ink = torch.tensor(colour) if lit else self.tint(colour)
        self.blend(distance, ink, rows, columns, opacity=opacity)

    def triangle(self, x: float, top: float, half: float, bottom: float, colour: tuple) -> None:
        slope = half / (bottom - top)
        rows, columns = self.window(x - half, top, x + half, bottom)
        y = self.y[rows]
        side = ((self.x[:, columns] - x).abs() - (y - top) * slope) / (1 + slope * slope) ** 0.5
        self.blend(torch.maximum(side, y - bottom), self.tint(colour), rows, columns)

    def sun(self, x: float, y: float) -> None:
        """Sun or moon."""
        light = self.light
        self.oval(x, 0.47 if light.sun_low else y, light.sun_radius, light.sun_radius, light.sun, lit=True)


def _beach(sheet: _Sheet) -> None:
    sheet.sky()
    sheet.sun(0.78, 0.16)
    sheet.fill(0.52, (0.13, 0.55, 0.72), (0.25, 0.72, 0.78))
    sheet.fill(0.70, (0.94, 0.84, 0.60), (0.86, 0.72, 0.47))
    sheet.box(0.115, 0.34, 0.145, 0.80, (0.50, 0.34, 0.20))
    for x, y in ((0.05, 0.36), (0.21, 0.36), (0.13, 0.31)):
        sheet.oval(x, y, 0.11, 0.04, (0.18, 0.55, 0.25))


def _forest(sheet: _Sheet) -> None:
    sheet.sky()
    sheet.sun(0.5, 0.14)
    sheet.fill(0.50, (0.36, 0.58, 0.35), (0.36, 0.58, 0.35))
    for x, top in ((0.06, 0.10), (0.24, 0.22), (0.76, 0.20), (0.95, 0.08)):
        sheet.box(x - 0.02, 0.55, x + 0.02, 0.74, (0.36, 0.24, 0.15))
        sheet.triangle(x, top, 0.13, 0.62, (0.10, 0.38, 0.22))
    sheet.fill(0.71, (0.35, 0.52, 0.22), (0.25, 0.40, 0.16))


def _city(sheet: _Sheet) -> None:
    sheet.sky()
    sheet.sun(0.52, 0.14)
    lights = (0.98, 0.86, 0.48)
    colours = ((0.55, 0.42, 0.42), (0.66, 0.62, 0.60), (0.45, 0.50, 0.60), (0.62, 0.48, 0.38))
    for (left, right, top), colour in zip(
        ((-0.02, 0.20, 0.16), (0.20, 0.36, 0.36), (0.66, 0.82, 0.30), (0.82, 1.02, 0.12)),
        colours,
        strict=True,
    ):
        sheet.box(left, top, right, 0.75, colour)
        for row in range(3):
            y = top + 0.06 + 0.14 * row
            pane = lights if sheet.light.lamps else (0.75, 0.86, 0.93)
            for x in (left + 0.055, right - 0.055):
                sheet.box(x - 0.025, y, x + 0.025, y + 0.06, pane, lit=True)
    sheet.fill(0.73, (0.66, 0.66, 0.66), (0.60, 0.60, 0.60))
    sheet.fill(0.80, (0.38, 0.38, 0.41), (0.32, 0.32, 0.36))


def _desert(sheet: _Sheet) -> None:
    sheet.sky()
    sheet.sun(0.22, 0.16)
    sheet.oval(0.2, 0.78, 0.5, 0.24, (0.85, 0.58, 0.33))
    sheet.oval(0.85, 0.80, 0.5, 0.20, (0.80, 0.52, 0.30))
    sheet.fill(0.70, (0.93, 0.68, 0.40), (0.86, 0.58, 0.32))
    sheet.box(0.835, 0.36, 0.885, 0.74, (0.25, 0.50, 0.28))
    sheet.box(0.75, 0.45, 0.785, 0.58, (0.25, 0.50, 0.28))
    sheet.box(0.75, 0.555, 0.85, 0.59, (0.25, 0.50, 0.28))


def _mountains(sheet: _Sheet) -> None:
    sheet.sky()
    sheet.sun(0.5, 0.13)
    for x, top, half in ((0.18, 0.18, 0.36), (0.84, 0.12, 0.40)):
        sheet.triangle(x, top, half, 0.75, (0.44, 0.50, 0.62))
        sheet.triangle(x, top, half * 0.3, top + (0.75 - top) * 0.3, (0.96, 0.97, 1.0))
    sheet.fill(0.69, (0.93, 0.96, 1.0), (0.82, 0.88, 0.96))


def _meadow(sheet: _Sheet) -> None:
    sheet.sky()
    sheet.sun(0.2, 0.15)
    for x, y in ((0.70, 0.18), (0.80, 0.21), (0.74, 0.22)):
        sheet.oval(x, y, 0.09, 0.04, (0.97, 0.97, 1.0))
    sheet.oval(0.15, 0.72, 0.5, 0.18, (0.45, 0.72, 0.35))
    sheet.oval(0.85, 0.74, 0.5, 0.16, (0.40, 0.66, 0.32))
    sheet.fill(0.66, (0.48, 0.76, 0.33), (0.36, 0.62, 0.24))
    spots = ((0.08, 0.76), (0.20, 0.88), (0.32, 0.74), (0.66, 0.75), (0.80, 0.89), (0.93, 0.78), (0.06, 0.95))
    for i, (x, y) in enumerate(spots):
        sheet.oval(x, y, 0.028, 0.022, ((0.95, 0.30, 0.45), (0.98, 0.86, 0.30), (0.98, 0.98, 0.98))[i % 3])


def _stage(sheet: _Sheet) -> None:
    sheet.picture = torch.tensor(sheet.light.stage).expand(sheet.size, sheet.size, 3).clone()
    for x in (0.32, 0.68):
        sheet.oval(x, 0.36, 0.16, 0.40, sheet.light.spot, lit=True, opacity=0.35)
    sheet.fill(0.74, (0.62, 0.42, 0.26), (0.50, 0.32, 0.20))
    for left in (-0.02, 0.06, 0.84, 0.92):
        sheet.box(left, -0.1, left + 0.05, 0.78, (0.72, 0.12, 0.18))
        sheet.box(left + 0.05, -0.1, left + 0.10, 0.78, (0.58, 0.08, 0.14))
    sheet.box(-0.1, -0.1, 1.1, 0.07, (0.66, 0.10, 0.16))


def _room(sheet: _Sheet) -> None:
    wall = (0.90, 0.83, 0.72)
    sheet.picture = sheet.tint(wall).expand(sheet.size, sheet.size, 3).clone()
    sheet.box(0.06, 0.14, 0.36, 0.46, (0.98, 0.97, 0.94))
    sheet.box(0.085, 0.165, 0.335, 0.435, sheet.light.sky[1], lit=True)
    sheet.box(0.205, 0.165, 0.215, 0.435, (0.98, 0.97, 0.94))
    sheet.box(0.72, 0.18, 0.92, 0.34, (0.30, 0.55, 0.55))
    sheet.fill(0.74, (0.66, 0.46, 0.30), (0.56, 0.37, 0.23))
    sheet.box(0.70, 0.56, 1.1, 0.80, (0.42, 0.36, 0.60))
    sheet.box(0.66, 0.66, 0.74, 0.82, (0.36, 0.30, 0.54))


def _plain(sheet: _Sheet) -> None:
    sheet.picture = torch.full((sheet.size, sheet.size, 3), 0.82)


_PAINTERS = {
    "beach": _beach,
    "forest": _forest,
    "city": _city,
    "desert": _desert,
    "mountains": _mountains,
    "meadow": _meadow,
    "stage": _stage,
    "room": _room,
    PLAIN: _plain,
}
