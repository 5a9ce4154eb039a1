"""Who dances: people (skin, hair, proportions, glasses) and clothes, sampled per split.

Splits are disjoint by construction. A person's (skin, hair colour, hair style) and an outfit's (top hue, bottom
hue, pattern) are catalogue indices; `is_held_out` of them reserves a quarter of all combinations for "held_out",
and the seed is hashed together with the split's name. Lengths are in body heights, colours RGB in [0, 1].
"""

import colorsys
from dataclasses import dataclass, replace
from itertools import count

from .seeds import Draw, is_held_out

RGB = tuple[float, float, float]

SKIN_TONES: tuple[RGB, ...] = (
    (0.98, 0.86, 0.78),
    (0.95, 0.77, 0.64),
    (0.90, 0.68, 0.50),
    (0.80, 0.57, 0.39),
    (0.68, 0.46, 0.31),
    (0.54, 0.35, 0.23),
    (0.41, 0.26, 0.18),
    (0.29, 0.18, 0.13),
)
HAIR_COLOURS: tuple[RGB, ...] = (
    (0.09, 0.08, 0.10),
    (0.27, 0.16, 0.10),
    (0.46, 0.27, 0.14),
    (0.70, 0.32, 0.12),
    (0.93, 0.78, 0.42),
    (0.78, 0.78, 0.80),
    (0.80, 0.15, 0.18),
    (0.95, 0.50, 0.72),
    (0.20, 0.40, 0.85),
    (0.30, 0.68, 0.45),
)
HAIR_STYLES = ("short", "long", "bun", "ponytail", "afro", "bob")
EYE_COLOURS: tuple[RGB, ...] = (
    (0.25, 0.14, 0.08),
    (0.12, 0.35, 0.70),
    (0.15, 0.48, 0.25),
    (0.10, 0.09, 0.10),
)
TOPS = ("t-shirt", "long sleeve", "sleeveless")
BOTTOMS = ("pants", "shorts", "skirt", "dress")
PATTERNS = ("plain", "stripes", "dots")
NUM_HUES = 12
SHOE_COLOURS: tuple[RGB, ...] = (
    (0.93, 0.93, 0.93),
    (0.14, 0.14, 0.17),
    (0.80, 0.16, 0.16),
    (0.18, 0.32, 0.72),
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One identity: catalogue indices, then colours, then proportions in body heights."""

    skin_index: int
    hair_index: int
    hair_style: int
    glasses: bool
    skin: RGB
    hair: RGB
    eyes: RGB
    part: float  # side of the parting, [-1, 1]
    height: float  # of the tallest person
    build: float  # factor on every thickness
    head: float  # height of the head
    shoulder: float  # half width
    hip: float  # half width
    leg: float  # hip to ankle
    arm: float  # shoulder to wrist
    headless: bool = False  # a grey mannequin, for clothes pictures


@dataclass(frozen=True, kw_only=True)
class Clothes:
    """One outfit: catalogue indices, then colours."""

    top_hue: int
    bottom_hue: int
    top_kind: int
    bottom_kind: int
    pattern: int
    bottom_pattern: int
    top: RGB
    bottom: RGB
    accent: RGB  # second colour of the top's pattern
    bottom_accent: RGB
    shoes: RGB


def sample_person(seed: int, split: str) -> Person:
    """The person of this seed: equal seeds give equal people, splits never share a combination."""
    draw = Draw("person", split, seed)
    skin, hair, style = _combination(draw, split, (len(SKIN_TONES), len(HAIR_COLOURS), len(HAIR_STYLES)))
    return Person(
        skin_index=skin,
        hair_index=hair,
        hair_style=style,
        glasses=draw.chance("glasses", 0.3),
        skin=_jitter(draw, "skin", SKIN_TONES[skin], 0.025),
        hair=_jitter(draw, "hair", HAIR_COLOURS[hair], 0.04),
        eyes=EYE_COLOURS[draw.integer("eyes", len(EYE_COLOURS))],
        part=draw.uniform("part", -1, 1),
        height=draw.uniform("height", 0.93, 1.0),
        build=draw.uniform("build", 0.85, 1.25),
        head=draw.uniform("head", 0.185, 0.205),
        shoulder=draw.uniform("shoulder", 0.096, 0.122),
        hip=draw.uniform("hip", 0.052, 0.066),
        leg=draw.uniform("leg", 0.425, 0.465),
        arm=draw.uniform("arm", 0.30, 0.335),
    )


def sample_clothes(seed: int, split: str) -> Clothes:
    """The outfit of this seed; a dress has one colour above and below."""
    draw = Draw("clothes", split, seed)
    bottom_kind = draw.integer("bottom kind", len(BOTTOMS))
    dress = BOTTOMS[bottom_kind] == "dress"
    top_hue, bottom_hue, pattern = _combination(draw, split, (NUM_HUES, NUM_HUES, len(PATTERNS)), tied=dress)
    top = _garment_colour(draw, "top", top_hue)
    bottom = top if dress else _garment_colour(draw, "bottom", bottom_hue)
    accent = _accent(draw, "accent", top)
    return Clothes(
        top_hue=top_hue,
        bottom_hue=bottom_hue,
        top_kind=draw.integer("top kind", len(TOPS)),
        bottom_kind=bottom_kind,
        pattern=pattern,
        bottom_pattern=pattern if dress else (pattern + 1) % 3 if draw.chance("bottom pattern", 0.25) else 0,
        top=top,
        bottom=bottom,
        accent=accent,
        bottom_accent=accent if dress else _accent(draw, "bottom accent", bottom),
        shoes=SHOE_COLOURS[draw.integer("shoes", len(SHOE_COLOURS))],
    )


def mannequin(person: Person) -> Person:
    """The same body in neutral grey and without a head: shows clothes and gives no identity away."""
    return replace(person, skin=(0.62, 0.62, 0.62), headless=True)


def _combination(
    draw: Draw, split: str, counts: tuple[int, int, int], *, tied: bool = False
) -> tuple[int, int, int]:
    """The first drawn combination that belongs to the split; `tied` makes the second index equal the first."""

    def drawn(attempt: int) -> tuple[int, int, int]:
        first, second, third = (draw.integer(f"index {i} {attempt}", n) for i, n in enumerate(counts))
        return first, first if tied else second, third

    return next(found for found in map(drawn, count()) if is_held_out(*found) == (split == "held_out"))


def _jitter(draw: Draw, name: str, colour: RGB, amount: float) -> RGB:
    return tuple(
        min(max(c + draw.uniform(f"{name} {i}", -amount, amount), 0.0), 1.0) for i, c in enumerate(colour)
    )


def _garment_colour(draw: Draw, name: str, hue: int) -> RGB:
    value = draw.uniform(f"{name} value", 0.5, 0.98)
    saturation = draw.uniform(f"{name} saturation", 0.65, 0.95)
    return colorsys.hsv_to_rgb((hue + draw.uniform(f"{name} hue", -0.3, 0.3)) / NUM_HUES, saturation, value)


def _accent(draw: Draw, name: str, colour: RGB) -> RGB:
    brightness = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]
    if draw.chance(name, 0.7):
        return (0.97, 0.97, 0.94) if brightness < 0.6 else (0.13, 0.13, 0.2)
    return colorsys.hsv_to_rgb(draw.uniform(f"{name} hue"), 0.6, 0.95 if brightness < 0.55 else 0.35)
