"""Found points of a clip's people to POSE_KEYPOINT, and from a frame's points to the next frame's boxes.

People are `p 133 3` in COCO-WholeBody's order (x, y, score), in pixels of the picture.
"""

import numpy as np
import torch

from ..errors import InputError
from .keypoints import SEEN, encode_pose_keypoint

BODY_POINTS = slice(0, 17)
GROWTH = 1.15  # [ours] a detector's box holds hair, hands and shoes beside the points
LOST = 4  # [ours] body points; with fewer in sight, the box is looked for again


def pose_frame(people: np.ndarray, *, width: int, height: int) -> dict:
    """One entry of a POSE_KEYPOINT; without people where nobody was found."""
    points = torch.from_numpy(people).float().reshape(1, -1, 133, 3)
    return encode_pose_keypoint(points, width=width, height=height)[0]


def next_boxes(people: np.ndarray) -> np.ndarray | None:
    """Boxes `p 4` around each person's points, for the next frame; None when somebody is lost."""
    if not len(people) or (body_points(people) < LOST).any():
        return None
    seen = people[..., 2:] > SEEN
    low = np.where(seen, people[..., :2], np.inf).min(axis=1)
    high = np.where(seen, people[..., :2], -np.inf).max(axis=1)
    centre, half = (low + high) / 2, (high - low) / 2 * GROWTH
    return np.concatenate([centre - half, centre + half], axis=1)


def body_points(people: np.ndarray) -> np.ndarray:
    """How many points of each body are in sight: `p`."""
    return (people[:, BODY_POINTS, 2] > SEEN).sum(axis=1)


def given_boxes(boxes: object, *, frame: int) -> np.ndarray:
    """Core's BOUNDING_BOX as boxes `p 4` of one frame: one box, a list per frame, or a list of boxes for all frames.

    A list that is shorter than the clip holds on with its last entry, as core's own nodes do.
    """
    if isinstance(boxes, dict):
        boxes = [[boxes]]
    if not isinstance(boxes, list):
        raise InputError(
            f"Boxes are a list with one entry per frame, got {type(boxes).__name__}. Connect a BOUNDING_BOX."
        )
    if boxes and isinstance(boxes[0], dict):
        boxes = [boxes]
    found = boxes[min(frame, len(boxes) - 1)] if boxes else []
    try:
        rows = [[float(box[key]) for key in ("x", "y", "width", "height")] for box in found]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The boxes of frame {frame} are not x, y, width and height in pixels ({error}). Connect a BOUNDING_BOX."
        ) from error
    corners = np.array(rows, dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners[(corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])]


def told_people(frames: list[dict]) -> str:
    """What was found, in a sentence or two."""
    counts = [len(frame["people"]) for frame in frames]
    size = f"{frames[0]['canvas_width']} x {frames[0]['canvas_height']} pixels"
    many = f"{len(frames)} frames" if len(frames) > 1 else "1 frame"
    if not any(counts):
        return (
            f"No person was found in {many} of {size}. Lower the threshold, give larger or brighter pictures, or choose "
            "detectors that know what they show: DreaMoving-Tiny's know drawn dancers only."
        )
    empty = [str(i) for i, count in enumerate(counts) if not count]
    shown = ", ".join(empty[:6]) + (", ..." if len(empty) > 6 else "")
    people = "1 person" if max(counts) == 1 else f"up to {max(counts)} people at once"
    missing = f" Nobody in {len(empty)} of them (frame {shown})." if empty else ""
    return f"{many} of {size}, {people}.{missing}"
