"""How they dance: a dance is a loop of arm poses and a foot pattern, evaluated at any time for many frames at once.

Splits are disjoint by construction: each beat shows a (left arm pose, right arm pose) pair, and the pairs that
`is_held_out` reserves are danced in the "held_out" split only, all others in "train" only.
Side 0 is the dancer's left (picture right), side 1 the right. Angles in degrees until `pose_at`, lengths in body heights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import torch
from einops import rearrange
from torch import Tensor

from .seeds import Draw, is_held_out

NUM_KEYS = 8

# Upper arm: angle from hanging, tilt forward; forearm: the same; hand: 0 fist, 1 spread.
ARM_POSES: dict[str, tuple[float, float, float, float, float]] = {
    "rest": (16, 4, 10, 16, 0.6),
    "sides": (86, 0, 94, 4, 1.0),
    "up": (158, 0, 176, 4, 1.0),
    "high": (130, 4, 146, 8, 1.0),
    "low": (46, 4, 52, 12, 0.9),
    "hip": (52, -10, -36, 14, 0.2),
    "cactus": (82, 0, 172, 8, 0.8),
    "robot": (80, 4, 6, 12, 0.3),
    "reach": (58, 38, 74, 52, 0.9),
    "cross": (34, 22, -74, 34, 0.5),
    "crown": (122, 6, 226, 6, 0.7),
    "wave": (56, 12, 136, 16, 1.0),
}

# Foot patterns: (low, high) of stance, step, lift, kick out, kick forward, sway, bounce.
FOOT_PATTERNS: dict[str, tuple[tuple[float, float], ...]] = {
    "bounce": ((0.07, 0.09), (0, 0), (0, 0.01), (0, 0), (0, 0), (0.015, 0.03), (0.03, 0.045)),
    "march": ((0.06, 0.08), (0, 0), (0.07, 0.12), (0, 0.02), (0.03, 0.08), (0.01, 0.02), (0.015, 0.03)),
    "step": ((0.07, 0.08), (0.04, 0.07), (0.02, 0.04), (0, 0), (0, 0), (0, 0.01), (0.02, 0.03)),
    "kick": ((0.06, 0.08), (0, 0), (0.08, 0.13), (0.08, 0.15), (0.04, 0.12), (0.015, 0.03), (0.01, 0.025)),
    "lunge": ((0.12, 0.15), (0, 0), (0, 0), (0, 0), (0, 0), (0.05, 0.075), (0.02, 0.035)),
    "tap": ((0.07, 0.09), (0, 0.02), (0.015, 0.03), (0.05, 0.09), (0.02, 0.06), (0.02, 0.035), (0.02, 0.035)),
}
_FOOT_FIELDS = ("stance", "step", "lift", "kick_out", "kick_forward", "sway", "bounce")


@dataclass(frozen=True, kw_only=True)
class Dance:
    """One motion: `keys` holds, per beat and side, the pose's index and its five angles."""

    pairs: tuple[tuple[int, int], ...]
    keys: tuple[float, ...]  # beat, side, angle
    foot_pattern: int
    beat: float  # seconds per arm pose
    offset: float  # in beats
    stance: float
    step: float
    lift: float
    kick_out: float
    kick_forward: float
    sway: float
    bounce: float
    yaw: float  # degrees
    twist: float
    lean: float
    bow: float
    nod: float
    look: float
    tilt: float
    wobble: float
    phase: float  # cycles, decorrelates the small motions
    mouth: float
    smile: float
    blink_every: float  # seconds


@dataclass(frozen=True)
class Pose:
    """Where a body wants to be: angles in radians, lengths in body heights, every tensor starts with the frame."""

    arms: Tensor  # f side 4
    hands: Tensor  # f side
    feet: Tensor  # f side xyz, y = lift
    pelvis: Tensor  # f (x, drop)
    yaw: Tensor
    twist: Tensor
    lean: Tensor
    bow: Tensor
    head: Tensor  # f (yaw, pitch, roll)
    mouth: Tensor  # 0 closed, 1 open
    smile: Tensor
    brow: Tensor
    eyes: Tensor  # 0 shut, 1 open


def sample_dance(seed: int, split: str) -> Dance:
    """The dance of this seed."""
    draw = Draw("dance", split, seed)
    pairs = tuple(_pose_pair(draw, split, beat) for beat in range(NUM_KEYS))
    poses = tuple(ARM_POSES.values())
    keys = tuple(
        value + draw.uniform(f"key {beat} {side} {i}", -1, 1) * (9 if i < 4 else 0)
        for beat, pair in enumerate(pairs)
        for side in range(2)
        for i, value in enumerate(poses[pair[side]])
    )
    pattern = draw.integer("feet", len(FOOT_PATTERNS))
    feet = zip(_FOOT_FIELDS, tuple(FOOT_PATTERNS.values())[pattern], strict=True)
    return Dance(
        pairs=pairs,
        keys=keys,
        foot_pattern=pattern,
        beat=draw.uniform("beat", 0.7, 1.0),
        offset=draw.uniform("offset", 0, NUM_KEYS),
        yaw=draw.uniform("yaw", 6, 30),
        twist=draw.uniform("twist", 2, 14),
        lean=draw.uniform("lean", 2, 9),
        bow=draw.uniform("bow", 0, 8),
        nod=draw.uniform("nod", 2, 9),
        look=draw.uniform("look", 4, 22),
        tilt=draw.uniform("tilt", 2, 10),
        wobble=draw.uniform("wobble", 2, 9),
        phase=draw.uniform("phase"),
        mouth=draw.uniform("mouth", 0.35, 1.0),
        smile=draw.uniform("smile", 0.1, 0.8),
        blink_every=draw.uniform("blink", 1.3, 2.6),
        **{name: draw.uniform(name, *limits) for name, limits in feet},
    )


def _pose_pair(draw: Draw, split: str, beat: int) -> tuple[int, int]:
    """The first drawn pair of arm poses that belongs to the split; a third of the draws are mirror images."""

    def drawn(attempt: int) -> tuple[int, int]:
        left = draw.integer(f"left {beat} {attempt}", len(ARM_POSES))
        if draw.chance(f"mirror {beat} {attempt}", 0.3):
            return left, left
        return left, draw.integer(f"right {beat} {attempt}", len(ARM_POSES))

    pairs = map(drawn, count())
    return next(
        (left, right) for left, right in pairs if is_held_out(2 * left, 3 * right) == (split == "held_out")
    )


def pose_at(dances: Sequence[Dance], times: Sequence[float]) -> Pose:
    """Poses of one dance and one time (seconds) per frame, in float64."""
    get = {name: column(dances, name) for name in Dance.__dataclass_fields__ if name not in ("pairs", "keys")}
    seconds = torch.tensor(times, dtype=torch.float64)
    beats = seconds / get["beat"] + get["offset"]
    arms, hands = _arms(dances, beats, get)
    feet, shift = _feet(beats, get)
    phase = get["phase"]
    pelvis_x = shift + get["sway"] * wave(beats / 2 + phase)
    drop = get["bounce"] * (0.5 - 0.5 * wave(beats + 0.25)) + 0.006
    head = torch.stack(
        [
            get["look"] * wave(beats / 3 + phase * 2) + 0.4 * get["yaw"] * wave(beats / 4 + phase),
            get["nod"] * wave(beats + phase * 0.3) + 2,
            get["tilt"] * wave(beats / 2 + phase + 0.1),
        ],
        dim=1,
    )
    talk = 0.55 * wave(seconds * 1.9 + phase * 3) + 0.45 * wave(seconds * 3.1 + phase * 5)
    blink = (torch.frac(seconds / get["blink_every"] + phase * 4) * get["blink_every"] / 0.3).clamp(0, 1)
    return Pose(
        arms=arms,
        hands=hands,
        feet=feet,
        pelvis=torch.stack([pelvis_x, drop], dim=1),
        yaw=_radians(get["yaw"] * wave(beats / 4 + phase)),
        twist=_radians(get["twist"] * wave(beats / 2 + phase + 0.2)),
        lean=_radians(get["lean"] * wave(beats / 2 + phase + 0.05)),
        bow=_radians(get["bow"] * wave(beats + phase)),
        head=_radians(head),
        mouth=get["mouth"] * talk.clamp(0, 1),
        smile=(get["smile"] + 0.35 * wave(seconds * 0.45 + phase)).clamp(-0.2, 1),
        brow=0.5 * wave(seconds * 0.7 + phase * 6) + 0.5 * wave(beats / 2 + phase),
        eyes=1 - hump(blink),
    )


def _arms(dances: Sequence[Dance], beats: Tensor, get: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    table = torch.tensor([dance.keys for dance in dances], dtype=torch.float64)
    table = rearrange(table, "f (beat side angle) -> f beat side angle", beat=NUM_KEYS, side=2)
    frames = torch.arange(len(dances))
    now = torch.floor(beats).long() % NUM_KEYS
    before, after = table[frames, now], table[frames, (now + 1) % NUM_KEYS]
    blend = ease((torch.frac(beats) * 1.2).clamp(0, 1))[:, None, None]
    angles = before + blend * (after - before)
    swing = torch.stack([wave(beats + get["phase"] + 0.17 * i) for i in range(8)], dim=1)
    swing = rearrange(swing, "f (side angle) -> f side angle", side=2) * get["wobble"][:, None, None]
    return _radians(angles[..., :4] + swing), angles[..., 4]


def _feet(beats: Tensor, get: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Feet that stay where they stand: a foot moves only while it is lifted. Also the middle between the feet."""
    places, feet = [], []
    cycle = beats / 2  # both feet have stepped once per two beats
    for side, sign in ((0, 1.0), (1, -1.0)):
        own = cycle + 0.5 * side
        swing = hump((torch.frac(own) * 2).clamp(0, 1))
        stepped = ease((torch.frac(own) * 2).clamp(0, 1))
        to_left = (torch.floor(own).long() + side) % 2 == 0
        place = get["step"] * torch.where(to_left, 2 * stepped - 1, 1 - 2 * stepped)
        x = place + sign * (get["stance"] + get["kick_out"] * swing)
        places.append(place)
        feet.append(torch.stack([x, get["lift"] * swing, get["kick_forward"] * swing], dim=1))
    return torch.stack(feet, dim=1), (places[0] + places[1]) / 2


def column(items: Sequence[object], name: str) -> Tensor:
    """One field of many settings as a float64 vector."""
    return torch.tensor([float(getattr(item, name)) for item in items], dtype=torch.float64)


def wave(cycles: Tensor) -> Tensor:
    """sin(2 pi cycles), rounded to 2**-30: the same bits whatever vector width computes it."""
    return torch.round(torch.sin(cycles * (2 * math.pi)) * 2.0**30) * 2.0**-30


def ease(x: Tensor) -> Tensor:
    """0 to 1 with zero speed at both ends."""
    return x * x * (3 - 2 * x)


def hump(x: Tensor) -> Tensor:
    """0 at both ends, 1 in the middle."""
    rise = 4 * x * (1 - x)
    return rise * rise


def _radians(degrees: Tensor) -> Tensor:
    return degrees * (math.pi / 180)
