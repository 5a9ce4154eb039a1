"""Pairs of a dance and a reference with the true fitted pose, from ProcDance: `bench preprocess` and the tests use them.

The dance is one person's; the truth is the same dance by the reference's person, under the reference's camera, where
that person stands. Places, sizes, canvases and proportions are drawn per pair.
"""

import random
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..dreamoving_core.preprocess.keypoints import to_openpose
from ..dreamoving_core.preprocess.pose_clip import LEFT_ANKLE, NUM_JOINTS, PARTS, RIGHT_ANKLE, PoseClip
from ..dreamoving_core.procdance.dance import pose_at, sample_dance
from ..dreamoving_core.procdance.identity import Person, sample_person
from ..dreamoving_core.procdance.skeleton import build_body, keypoints_133

UNIT = 512  # pixels of the canvas that ProcDance projects to, before a pair's own place is applied
CANVASES = ((512, 512), (768, 512), (512, 768), (640, 960), (1280, 720))
FACTORS = {
    "head": (0.85, 1.25),
    "shoulder": (0.85, 1.2),
    "hip": (0.85, 1.2),
    "leg": (0.88, 1.1),
    "arm": (0.88, 1.12),
}
# What is cut off: the dance's legs, the reference's legs, all but the reference's head, one side of either; or the
# reference sits
DAMAGES = (
    "dance without legs",
    "reference without legs",
    "reference head",
    "dance at the edge",
    "reference sits",
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """`truth` is `f 1 136 3` on the reference's canvas, every joint seen; `height` the reference's person in pixels."""

    dance: PoseClip
    reference: PoseClip
    truth: np.ndarray
    height: float
    damage: str | None


def make_pair(
    seed: int, *, split: str = "held_out", frames: int = 32, damage: str | None = None, calm: bool = True
) -> Pair:
    """People with proportions beyond ProcDance's own: children, cartoon figures. Without `calm` the reference dances too."""
    draw = random.Random(f"pair {split} {seed}")
    people = [_person(seed * 2 + i, split, draw) for i in range(2)]
    dance = sample_dance(seed, split)
    start = draw.uniform(0, 8)
    times = [start + frame / 12 for frame in range(frames)]
    danced = [body_joints(person, dance, times) for person in people]
    standing = body_joints(people[1], sample_dance(seed + 500_000, split), [draw.uniform(0, 8)], calm=calm)
    ours, theirs = (_place(points, draw) for points in (danced[0], np.concatenate([danced[1], standing])))
    reference = PoseClip(points=theirs.apply(standing)[:, None], width=theirs.width, height=theirs.height)
    truth = theirs.apply(danced[1])
    truth[..., 0] += _stand(reference.points[:, 0]) - _stand(truth)
    moving = PoseClip(points=ours.apply(danced[0])[:, None], width=ours.width, height=ours.height)
    moving, reference = _damaged(moving, reference, damage, draw)
    height = theirs.scale * UNIT * 0.86 * people[1].height
    return Pair(dance=moving, reference=reference, truth=truth[:, None], height=height, damage=damage)


def joint_error(fitted: PoseClip, pair: Pair) -> dict[str, float]:
    """Mean distance to the truth in heights: of the 18 body joints, and of all 136, where they are seen."""
    away = np.hypot(*np.moveaxis(fitted.points[..., :2] - pair.truth[..., :2], -1, 0)) / pair.height
    seen = fitted.seen
    return {
        "body": float(away[:, :, :18][seen[:, :, :18]].mean()),
        "all": float(away[seen].mean()),
    }


@dataclass(frozen=True, kw_only=True)
class _Place:
    scale: float
    offset: np.ndarray
    width: int
    height: int

    def apply(self, points: np.ndarray) -> np.ndarray:
        return np.concatenate([points[..., :2] * self.scale + self.offset, points[..., 2:]], axis=-1)


def _person(seed: int, split: str, draw: random.Random) -> Person:
    person = sample_person(seed, split)
    changed = {name: getattr(person, name) * draw.uniform(*factor) for name, factor in FACTORS.items()}
    return replace(person, **changed)


def body_joints(person: Person, dance, times: list[float], *, calm: bool = False) -> np.ndarray:
    """`f 136 3`, all seen; `calm` as ProcDance's reference pictures: arms low, knees straight."""
    count = len(times)
    pose = pose_at([dance] * count, times)
    if calm:
        still = torch.stack([pose.pelvis[:, 0], torch.zeros_like(pose.pelvis[:, 1])], dim=1)
        pose = replace(pose, arms=0.3 * pose.arms, pelvis=still)
    body = build_body([person] * count, pose, ["whole"] * count, size=UNIT)
    keypoints = keypoints_133(body, size=UNIT)
    keypoints[..., 2] = 1
    parts = to_openpose(keypoints)
    points = np.concatenate([getattr(parts, part)[:, 0].double().numpy() for part in PARTS], axis=1)
    assert points.shape[1:] == (NUM_JOINTS, 3)
    return points


def _place(points: np.ndarray, draw: random.Random) -> _Place:
    """A canvas in which all of `points` fit, somewhere."""
    width, height = draw.choice(CANVASES)
    low, high = points[..., :2].min(axis=(0, 1)), points[..., :2].max(axis=(0, 1))
    room = np.array([width, height]) - 4.0
    scale = float((room / (high - low)).min()) * draw.uniform(0.55, 0.97)
    free = room - scale * (high - low)
    offset = 2.0 + free * np.array([draw.random(), draw.random()]) - scale * low
    return _Place(scale=scale, offset=offset, width=width, height=height)


def _stand(points: np.ndarray) -> float:
    return float(np.median(points[:, [RIGHT_ANKLE, LEFT_ANKLE], 0].mean(axis=1)))


def _damaged(dance: PoseClip, reference: PoseClip, damage: str | None, draw: random.Random):
    if damage == "dance without legs":
        dance = _cropped(dance, bottom=_level(dance, (9, 12)))
    elif damage == "reference without legs":
        reference = _cropped(reference, bottom=_level(reference, (9, 12)))
    elif damage == "reference head":
        reference = _cropped(reference, bottom=_level(reference, (2, 5)) + 4)
    elif damage == "dance at the edge":
        x = dance.points[..., 0]
        dance = _cropped(dance, left=float(x.min() + draw.uniform(0.25, 0.5) * (x.max() - x.min())))
    elif damage == "reference sits":
        reference = reference.with_points(sitting(reference.points))
    return dance, reference


def _level(clip: PoseClip, joints: tuple[int, ...]) -> float:
    return float(clip.points[:, :, list(joints), 1].min())


def _cropped(clip: PoseClip, *, left: float = 0.0, bottom: float | None = None) -> PoseClip:
    """The canvas without what is left of or below a line; the joints there are gone."""
    points = clip.points.copy()
    points[..., 0] -= left
    lost = (points[..., 0] < 0) | (points[..., 1] >= (clip.height if bottom is None else bottom))
    points[lost] = 0
    height = clip.height if bottom is None else max(int(bottom), 1)
    return PoseClip(points=points, width=max(int(clip.width - left), 1), height=height)


def sitting(points: np.ndarray) -> np.ndarray:
    """Seen from the front: thighs point to the viewer, so hips and all above come down to a fifth of a thigh above the knees."""
    points = points.copy()
    drop = 0.8 * (points[..., [9, 12], 1].mean() - points[..., [8, 11], 1].mean())
    legs = [9, 10, 12, 13, *range(18, 24)]
    above = [joint for joint in range(points.shape[2]) if joint not in legs]
    points[:, :, above, 1] += drop
    return points
