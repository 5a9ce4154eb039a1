"""Poses of a clip as one array, for the tools that move, smooth, choose and fit them.

Axes: f frame, p person, j joint; a point is (x, y, seen), pixels with the origin top left, seen 1 or 0. The 136 joints:
18 body, 6 feet, 70 face, 21 left hand, 21 right hand. A joint that is not seen is (0, 0, 0).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..errors import InputError
from .keypoints import SEEN, OpenPose, decode_pose_keypoint, encode_pose_keypoint

PARTS = {"body": 18, "feet": 6, "face": 70, "left_hand": 21, "right_hand": 21}
BODY, FEET, FACE = slice(0, 18), slice(18, 24), slice(24, 94)
LEFT_HAND, RIGHT_HAND = slice(94, 115), slice(115, 136)
NUM_JOINTS = 136
(
    NOSE, NECK, RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST, LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST, RIGHT_HIP, RIGHT_KNEE,
    RIGHT_ANKLE, LEFT_HIP, LEFT_KNEE, LEFT_ANKLE, RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR,
) = range(18)  # fmt: skip
BODY_NAMES = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye", "left eye",
    "right ear", "left ear",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PoseClip:
    """`points` is `f p 136 3`, float64, in pixels of one canvas of `width` x `height`."""

    points: np.ndarray
    width: int
    height: int

    @property
    def seen(self) -> np.ndarray:
        """Which joints there are, `f p 136`."""
        return self.points[..., 2] > 0

    def with_points(self, points: np.ndarray) -> "PoseClip":
        """The same canvas with other points; what is not seen becomes (0, 0, 0)."""
        return replace(self, points=points * (points[..., 2:] > 0))


def read_clip(frames: Sequence[Mapping]) -> PoseClip:
    """Any writer's POSE_KEYPOINT in pixels of the first frame's canvas; swapped hands are put right.

    Raises InputError for what is no POSE_KEYPOINT, and for one without a size.
    """
    pose = decode_pose_keypoint(frames, swap_hands="auto")
    frames = [frames] if isinstance(frames, Mapping) else frames
    sizes = np.array([[float(f["canvas_width"]), float(f["canvas_height"])] for f in frames])
    if not (sizes > 0).all():
        raise InputError(
            f"A pose needs a canvas of at least 1 x 1 pixel, got {sizes.min(0)[0]:g} x {sizes.min(0)[1]:g}."
        )
    points = np.concatenate([getattr(pose, part).double().numpy() for part in PARTS], axis=2)
    points[..., :2] *= (sizes[0] / sizes)[:, None, None]
    points[..., 2] = points[..., 2] > SEEN
    points[..., :2] *= points[..., 2:]
    return PoseClip(points=points, width=round(sizes[0][0]), height=round(sizes[0][1]))


def write_clip(clip: PoseClip) -> list[dict]:
    """POSE_KEYPOINT, one entry per frame, as ComfyUI's nodes and controlnet_aux's read it."""
    ends = np.cumsum(list(PARTS.values()))[:-1]
    parts = np.split(clip.points, ends, axis=2)
    tensors = {name: torch.from_numpy(part).float() for name, part in zip(PARTS, parts, strict=True)}
    return encode_pose_keypoint(OpenPose(**tensors), width=clip.width, height=clip.height)


def people_in(clip: PoseClip) -> int:
    """The largest number of people that are seen in one frame."""
    return int(clip.seen.any(axis=2).sum(axis=1).max())


def require_somebody(clip: PoseClip, *, what: str) -> None:
    """Raises InputError when no frame shows a person; `what` names the poses in the sentence."""
    if not clip.seen.any():
        count = len(clip.points)
        raise InputError(
            f"No person was found in {what} ({count} {'frame' if count == 1 else 'frames'}, "
            f"{clip.width} x {clip.height} pixels). Give the detector a larger or brighter picture, or lower its threshold."
        )


def figure_size(points: np.ndarray) -> np.ndarray:
    """How large a figure is in the picture, `... j 3` to `...`: the diagonal of its box; 0 where nothing is seen."""
    seen = points[..., 2:] > 0
    low = np.where(seen, points[..., :2], np.inf).min(axis=-2)
    high = np.where(seen, points[..., :2], -np.inf).max(axis=-2)
    return np.where(seen.any(axis=(-2, -1)), np.hypot(*np.moveaxis(high - low, -1, 0)), 0.0)
