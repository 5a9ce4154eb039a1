"""What an artist should know about a fit: who was missing what, and which joints leave the picture.

Axes: f frame, p person, j joint; pixels.
"""

import numpy as np

from .pose_bones import sits
from .pose_clip import BODY, BODY_NAMES, LEFT_ANKLE, NECK, RIGHT_ANKLE, RIGHT_HIP, PoseClip
from .pose_clip import LEFT_HIP as _LEFT_HIP

ENLARGED = 2.5  # [ours] beyond this scale a detector's trembling shows
_LIMBS = slice(2, 14)  # of the body: all but the head and the neck


def outside(clip: PoseClip) -> np.ndarray:
    """Which joints are seen and lie outside the canvas, `f p j`."""
    x, y = clip.points[..., 0], clip.points[..., 1]
    return clip.seen & ((x < 0) | (y < 0) | (x >= clip.width) | (y >= clip.height))


def fit_warnings(
    dancer: np.ndarray, model: np.ndarray, fitted: PoseClip, *, counts: tuple[int, int], scale: float
) -> tuple[str, ...]:
    """Sentences about `f j 3` of the dancer and the model, and about the fitted clip; none when all is well."""
    found = []
    for points, name, people in ((dancer, "the dance", counts[0]), (model, "the reference", counts[1])):
        if people > 1:
            found.append(
                f"{people} people were found in {name}; the largest is used. Put Track Person before this node to choose."
            )
        if missing := _missing(points):
            found.append(f"{name[0].upper()}{name[1:]} shows no {missing}: {_PLACED_BY[missing]}.")
        elif incomplete := _incomplete(points):
            found.append(
                f"In {name} joints are missing: {incomplete}. They take no part in the fit where they are."
            )
        if sits(points):
            found.append(
                f"Nobody stands upright in {name} (sitting, kneeling or crouching): "
                "the legs take the figure's scale instead of lengths of their own."
            )
    if (empty := int((dancer[..., 2] == 0).all(axis=1).sum())) > 0:
        found.append(
            f"{empty} of {len(dancer)} frames show nobody; they stay empty. Clean Pose closes short gaps."
        )
    if scale > ENLARGED:
        found.append(
            f"The figure is enlarged {scale:.1f} times, and so is every error of its detector: put Clean Pose before this node."
        )
    return (*found, *_leaving(fitted))


_PLACED_BY = {
    "legs": "the figure is placed by its neck, and its feet may slide",
    "body": "the figure is placed by its head, and its size is a guess",
}


def _missing(points: np.ndarray) -> str:
    ever = (points[..., 2] > 0).any(axis=0)
    if not ever[NECK] or not (ever[RIGHT_HIP] or ever[_LEFT_HIP] or ever[_LIMBS].sum() > 2):
        return "body"
    return "" if ever[RIGHT_ANKLE] and ever[LEFT_ANKLE] else "legs"


def _incomplete(points: np.ndarray) -> str:
    """Limbs that are missing in some frames in which the person is seen, and in how many."""
    present = (points[..., 2] > 0).any(axis=1)
    absent = (points[present, _LIMBS, 2] == 0).sum(axis=0)
    names = [f"{BODY_NAMES[joint + 2]} in {count}" for joint, count in enumerate(absent) if count]
    return f"{', '.join(names)} of {int(present.sum())} frames" if names else ""


def _leaving(clip: PoseClip) -> tuple[str, ...]:
    out = outside(clip)[:, :, BODY].any(axis=1)  # f j
    if not out.any():
        return ()
    frames = np.flatnonzero(out.any(axis=1))
    joints = [
        BODY_NAMES[joint] for joint in np.argsort(-out.sum(axis=0), kind="stable") if out[:, joint].any()
    ]
    named = ", ".join(joints[:4]) + (f" and {len(joints) - 4} more" if len(joints) > 4 else "")
    return (
        f"Joints leave the {clip.width} x {clip.height} picture in {len(frames)} of {len(out)} frames, first in frame "
        f"{frames[0]}: {named}. They are red in the overlay; leave more room around the reference, or crop the dance.",
    )
