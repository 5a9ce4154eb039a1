"""The bones of a figure in the picture: how long they are, and a figure put together again from bones of other lengths.

Axes: f frame, j joint. The chain begins at the neck, which almost every shot shows, and has one joint that
POSE_KEYPOINT lacks: MIDDLE, between the hips.
"""

from collections.abc import Mapping

import numpy as np

from .pose_clip import (
    FACE,
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_HAND,
    LEFT_HIP,
    LEFT_KNEE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NECK,
    NOSE,
    NUM_JOINTS,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_ELBOW,
    RIGHT_EYE,
    RIGHT_HAND,
    RIGHT_HIP,
    RIGHT_KNEE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
)  # fmt: skip

MIDDLE = NUM_JOINTS
LEFT_FOOT, RIGHT_FOOT = slice(18, 21), slice(21, 24)
# (joint, where its bone begins, group): a group has one length, whichever side it is on
BONES = (
    (RIGHT_SHOULDER, NECK, "shoulder"), (LEFT_SHOULDER, NECK, "shoulder"),
    (RIGHT_ELBOW, RIGHT_SHOULDER, "upper arm"), (LEFT_ELBOW, LEFT_SHOULDER, "upper arm"),
    (RIGHT_WRIST, RIGHT_ELBOW, "forearm"), (LEFT_WRIST, LEFT_ELBOW, "forearm"),
    (MIDDLE, NECK, "torso"), (RIGHT_HIP, MIDDLE, "hip"), (LEFT_HIP, MIDDLE, "hip"),
    (RIGHT_KNEE, RIGHT_HIP, "thigh"), (LEFT_KNEE, LEFT_HIP, "thigh"),
    (RIGHT_ANKLE, RIGHT_KNEE, "shin"), (LEFT_ANKLE, LEFT_KNEE, "shin"),
    (NOSE, NECK, "neck"),
)  # fmt: skip
# What hangs on one joint as a whole
ATTACHED = (
    ((RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR, *range(FACE.start, FACE.stop)), NOSE, "head"),
    (range(LEFT_HAND.start, LEFT_HAND.stop), LEFT_WRIST, "hand"),
    (range(RIGHT_HAND.start, RIGHT_HAND.stop), RIGHT_WRIST, "hand"),
    (range(LEFT_FOOT.start, LEFT_FOOT.stop), LEFT_ANKLE, "foot"),
    (range(RIGHT_FOOT.start, RIGHT_FOOT.stop), RIGHT_ANKLE, "foot"),
)
GROUPS = (*dict.fromkeys(group for *_, group in BONES), *dict.fromkeys(group for *_, group in ATTACHED))
LEGS = ("thigh", "shin")
_HEAD_PAIRS = (
    (RIGHT_EYE, LEFT_EYE),
    (NOSE, RIGHT_EYE),
    (NOSE, LEFT_EYE),
    (NOSE, RIGHT_EAR),
    (NOSE, LEFT_EAR),
)

ROBUST = 90  # [ours] percentile over a clip: near a bone's full length, and above it only single mistakes
SITTING = (
    0.55  # [ours] a thigh that drops less than this share of the shin's length belongs to somebody who sits
)


def with_middle(points: np.ndarray) -> np.ndarray:
    """`f 136 3` to `f 137 3`: the middle of the hips that are seen."""
    hips = points[:, [RIGHT_HIP, LEFT_HIP]]
    count = (hips[..., 2:] > 0).sum(axis=1)
    middle = np.concatenate([hips[..., :2].sum(axis=1) / np.maximum(count, 1), count > 0], axis=1)
    return np.concatenate([points, middle[:, None]], axis=1)


def bone_lengths(points: np.ndarray) -> dict[str, float]:
    """Pixels per group of `f 136 3`; only groups that are seen. The longer side counts: it is less foreshortened."""
    full = with_middle(points)
    pair = full[:, [RIGHT_HIP, LEFT_HIP], 2].all(axis=1)
    full[:, MIDDLE, 2] *= pair
    lengths: dict[str, float] = {}
    for end, start, group in BONES:
        if (length := _robust(full, end, start)) > 0:
            lengths[group] = max(length, lengths.get(group, 0.0))
    if head := _head_size(points):
        lengths["head"] = head
    return lengths


def head_marks(points: np.ndarray) -> bool:
    """Whether some frame of `f 136 3` shows a whole face."""
    return bool((points[:, FACE, 2][:, :68] > 0).all(axis=1).any())


def _robust(points: np.ndarray, end: int, start: int) -> float:
    both = (points[:, end, 2] > 0) & (points[:, start, 2] > 0)
    if not both.any():
        return 0.0
    return float(np.percentile(np.hypot(*(points[both, end, :2] - points[both, start, :2]).T), ROBUST))


def _head_size(points: np.ndarray) -> float:
    """The face's height from its lowest to its highest landmark, or what nose, eyes and ears tell of it."""
    face = points[:, FACE][:, :68]
    whole = (face[..., 2] > 0).all(axis=1)
    if whole.any():
        places = face[whole, :, :2]
        spread = np.hypot(*np.moveaxis(places - places.mean(axis=1, keepdims=True), -1, 0))
        return float(np.percentile(np.sqrt((spread**2).mean(axis=1)), ROBUST))
    found = [length for end, start in _HEAD_PAIRS if (length := _robust(points, end, start)) > 0]
    return max(found, default=0.0)


def sits(points: np.ndarray) -> bool:
    """Whether the figure of `f 136 3` never straightens its legs: it sits, kneels or crouches all the time."""
    drops, shins = [], []
    for hip, knee, ankle in ((RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE), (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE)):
        leg = (points[:, [hip, knee, ankle], 2] > 0).all(axis=1)
        drops.extend(points[leg, knee, 1] - points[leg, hip, 1])
        shins.extend(np.hypot(*(points[leg, ankle, :2] - points[leg, knee, :2]).T))
    return bool(drops) and float(np.percentile(drops, ROBUST)) < SITTING * float(np.percentile(shins, ROBUST))


def rebuilt(points: np.ndarray, ratios: Mapping[str, float], neck: np.ndarray) -> np.ndarray:
    """`f 136 3` with every bone as long as its group's ratio says, directions kept, beginning at `neck` (`f 2`).

    A joint that is not seen stays unseen; what hangs on it continues from the joint before.
    """
    full = with_middle(points)
    old, new = full[..., :2].copy(), np.empty_like(full[..., :2])
    old[:, NECK], new[:, NECK] = necks(points), neck
    for joint, start, group in BONES:
        old[:, joint] = np.where(full[:, joint, 2:] > 0, old[:, joint], old[:, start])
        new[:, joint] = new[:, start] + ratios[group] * (old[:, joint] - old[:, start])
    for joints, start, group in ATTACHED:
        chosen = list(joints)
        new[:, chosen] = new[:, [start]] + ratios[group] * (old[:, chosen] - old[:, [start]])
    seen = points[..., 2:]
    return np.concatenate([new[:, :NUM_JOINTS] * (seen > 0), seen], axis=-1)


def necks(points: np.ndarray) -> np.ndarray:
    """Where the chain begins, `f 2`: the neck; where it is missing, between the frames that show it, else the middle of all."""
    seen = points[..., 2] > 0
    shown = np.flatnonzero(seen[:, NECK])
    if len(shown):
        frames = np.arange(len(points))
        return np.stack([np.interp(frames, shown, points[shown, NECK, axis]) for axis in range(2)], axis=1)
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    return (points[..., :2] * seen[..., None]).sum(axis=1) / count
