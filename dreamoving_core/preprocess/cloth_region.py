"""What a pose tells of clothes: how near every pixel is to the bones that a top, a bottom, the head and the hands hang on.

Points are x before y, pixels. A bone is a line with a thickness in shares of the body's height, which is taken from the
bones themselves: limbs that point to the camera look short, none looks long.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .pose_bones import LEFT_FOOT, MIDDLE, RIGHT_FOOT, bone_lengths, with_middle
from .pose_clip import (
    FACE,
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_HAND,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NECK,
    NOSE,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_ELBOW,
    RIGHT_HAND,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    PoseClip,
)  # fmt: skip

PARTS = ("all", "upper", "lower")
UPPER, LOWER, BARE = "upper", "lower", "bare"

# Lengths of bones in body heights. Drillis and Contini 1966, as in Winter, Biomechanics and Motor Control, fig. 4.1
LENGTHS = {
    "shoulder": 0.129, "upper arm": 0.186, "forearm": 0.146, "torso": 0.288, "thigh": 0.245, "shin": 0.246,
}  # fmt: skip
ROBUST = 75  # [ours] percentile of the heights that single bones suggest: foreshortening only shortens

# [ours] Half the width of clothed limbs in body heights, and how far an area reaches beyond its corners. Found on drawn
# dancers of the train split.
TORSO, UPPER_ARM, FOREARM, HIPS, THIGH, SHIN, FOOT = 0.0225, 0.0375, 0.024, 0.035, 0.0525, 0.04, 0.024
GIRDLE = 0.063  # [ours] around the hips, where it need not be told what is a top and what a bottom
HEAD, HAND = 0.060, 0.025  # [ours] of the head around nose and ears, of a hand around its points
# [ours] How far clothes reach along (upper arm, forearm) and (thigh, shin); the rest of the limb is bare.
SLEEVES = {"long": (1.0, 1.0), "short": (0.65, 0.0), "none": (0.0, 0.0)}
LEGS = {"long": (1.0, 1.0), "short": (0.9, 0.0), "skirt": (0.9, 0.0)}
FLARE = 1.5  # [ours] a skirt's hem over the width between the legs, and at least this many thighs wide

ARMS = (
    (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST, RIGHT_HAND),
    (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, LEFT_HAND),
)
SIDES = ((RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE, RIGHT_FOOT), (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE, LEFT_FOOT))
CORNERS = (RIGHT_SHOULDER, LEFT_SHOULDER, LEFT_HIP, RIGHT_HIP)


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """What is worn: `sleeves` of SLEEVES, `legs` of LEGS; `looseness` 1 is ordinary, 2 twice as far from the bones."""

    sleeves: str = "long"
    legs: str = "long"
    looseness: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Region:
    """`points` n 2 in pixels, `reach` in pixels around them, `kind` UPPER, LOWER or BARE."""

    points: np.ndarray
    reach: float
    kind: str


def cloth_shares(
    clip: PoseClip,
    outfit: Outfit,
    *,
    width: int,
    height: int,
    part: str,
    bounded: bool,
    on_frame: Callable[[], None] = lambda: None,
) -> Tensor:
    """`f h w` in [0, 1]: how much of each pixel of a picture of `width` x `height` belongs to the clothes of `part`.

    `bounded`: only what the bones' thickness reaches, for pictures without a mask; else every pixel belongs to the bone
    it is nearest to. Frames without a person are 0. `clip` has one person at most per frame.
    """
    scale = np.array([width / clip.width, height / clip.height, 1.0])
    wanted = (UPPER, LOWER) if part == "all" else (part,)
    shares = []
    for person in clip.points[:, 0] * scale:
        regions = list(regions_of(person, outfit, whole=part == "all"))
        inside = _nearest([r for r in regions if r.kind in wanted], width, height)
        others = _nearest([r for r in regions if r.kind not in wanted], width, height)
        share = (0.5 + others - inside).clamp(0, 1)  # edges are a pixel wide
        shares.append(share * ((0.5 - inside).clamp(0, 1) if bounded else torch.isfinite(inside)))
        on_frame()
    return torch.stack(shares)


def body_height(person: np.ndarray) -> float:
    """Height in pixels that the bones of one person (136 3) suggest; 0 when none is seen."""
    lengths = bone_lengths(person[None])
    heights = [length / LENGTHS[group] for group, length in lengths.items() if group in LENGTHS]
    return float(np.percentile(heights, ROBUST)) if heights else 0.0


def regions_of(person: np.ndarray, outfit: Outfit, *, whole: bool) -> Iterator[Region]:
    """Where one person (136 3) is clothed and bare, told by the joints that are seen. `whole`: top and bottom are one."""
    full, tall = with_middle(person[None])[0], body_height(person)
    if not tall:
        return
    loose = tall * outfit.looseness
    yield from _torso(full, tall, loose, hips=GIRDLE if whole else HIPS)
    for side in ARMS:
        yield from _limb(full, side[:3], (UPPER_ARM, FOREARM), SLEEVES[outfit.sleeves], loose, UPPER)
        yield from _around([*full[side[3]]] if full[side[3], 2].any() else [full[side[2]]], HAND * tall, BARE)
    for side in SIDES:
        yield from _limb(full, side[:3], (THIGH, SHIN), LEGS[outfit.legs], loose, LOWER)
        yield from _around([full[side[2]], *full[side[3]]], FOOT * loose, LOWER)
    if outfit.legs == "skirt":
        yield from _skirt(full, loose)
    yield from _around([full[NOSE], full[RIGHT_EAR], full[LEFT_EAR], *full[FACE]], HEAD * tall, BARE)


def _torso(full: np.ndarray, tall: float, loose: float, *, hips: float) -> Iterator[Region]:
    """Shoulders to hips; in a view from the side, which may lack a corner, along the spine."""
    if (full[list(CORNERS), 2] > 0).all():
        yield Region(points=full[list(CORNERS), :2], reach=TORSO * loose, kind=UPPER)
    elif (full[[NECK, MIDDLE], 2] > 0).all():
        yield Region(
            points=full[[NECK, MIDDLE], :2], reach=LENGTHS["shoulder"] / 2 * tall + TORSO * loose, kind=UPPER
        )
    if (full[[RIGHT_HIP, LEFT_HIP], 2] > 0).all():
        yield Region(points=full[[RIGHT_HIP, LEFT_HIP], :2], reach=hips * loose, kind=LOWER)


def _limb(
    full: np.ndarray,
    joints: Sequence[int],
    thickness: Sequence[float],
    covered: Sequence[float],
    loose: float,
    kind: str,
) -> Iterator[Region]:
    """Two bones in a row, each clothed from its beginning over a share of its length."""
    for i, share in enumerate(covered):
        start, end = full[joints[i]], full[joints[i + 1]]
        if not (start[2] > 0 and end[2] > 0):
            continue
        hem, reach = start[:2] + share * (end[:2] - start[:2]), thickness[i] * loose
        if share > 0:
            yield Region(points=np.stack([start[:2], hem]), reach=reach, kind=kind)
        if share < 1:
            yield Region(points=np.stack([hem, end[:2]]), reach=reach, kind=BARE)


def _skirt(full: np.ndarray, loose: float) -> Iterator[Region]:
    """From hip to hip down to a hem that is wider than the legs are apart."""
    hips, knees = full[[RIGHT_HIP, LEFT_HIP]], full[[RIGHT_KNEE, LEFT_KNEE]]
    if not ((hips[:, 2] > 0).all() and (knees[:, 2] > 0).all()):
        return
    ends = hips[:, :2] + LEGS["skirt"][0] * (knees[:, :2] - hips[:, :2])
    centre, half = ends.mean(axis=0), (ends[0] - ends[1]) / 2
    least = THIGH * loose * FLARE
    wide = max(FLARE * float(np.hypot(*half)), least) / max(float(np.hypot(*half)), 1e-6)
    hem = np.stack([centre - half * wide, centre + half * wide])  # left, right
    yield Region(points=convex_hull(np.concatenate([hips[:, :2], hem])), reach=HIPS * loose / 2, kind=LOWER)


def _around(rows: Sequence[np.ndarray], reach: float, kind: str) -> Iterator[Region]:
    """The hull of the points that are seen, with a border."""
    seen = np.array([row[:2] for row in rows if row[2] > 0])
    if len(seen):
        yield Region(points=convex_hull(seen), reach=reach, kind=kind)


def convex_hull(points: np.ndarray) -> np.ndarray:
    """Corners of the hull of `n 2` points in order; Andrew's monotone chain."""
    ordered = sorted({(float(x), float(y)) for x, y in points})
    if len(ordered) < 3:
        return np.array(ordered)

    def chain(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        kept: list[tuple[float, float]] = []
        for corner in corners:
            while len(kept) > 1 and _turn(kept[-2], kept[-1], corner) <= 0:
                kept.pop()
            kept.append(corner)
        return kept[:-1]

    return np.array(chain(ordered) + chain(ordered[::-1]))


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _nearest(regions: Sequence[Region], width: int, height: int) -> Tensor:
    """`h w`: pixels to the border of the nearest region, negative inside; inf where there is none."""
    x, y = torch.arange(width) + 0.5, torch.arange(height)[:, None] + 0.5
    nearest = torch.full((height, width), torch.inf)
    for region in regions:
        nearest = torch.minimum(
            nearest, _distance(torch.from_numpy(region.points).float(), x, y) - region.reach
        )
    return nearest


def _distance(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`h w`: pixels to a point, a line or an area with these corners (n 2); 0 inside an area."""
    ends = torch.roll(corners, -1, dims=0)
    inside = torch.zeros(y.shape[0], x.shape[0], dtype=torch.bool)
    least = torch.full(inside.shape, torch.inf)
    for (ax, ay), (bx, by) in zip(corners.tolist(), ends.tolist(), strict=True):
        dx, dy = bx - ax, by - ay
        along = (((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-9)).clamp(0, 1)
        least = torch.minimum(least, torch.hypot(x - ax - along * dx, y - ay - along * dy))
        if dy:
            inside ^= ((y < ay) != (y < by)) & (x < ax + (y - ay) * dx / dy)
    return least.masked_fill(inside, 0.0) if len(corners) > 2 else least
