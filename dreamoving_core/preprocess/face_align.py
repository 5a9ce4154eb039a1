"""Where faces are, told by five points: both eyes, the nose, the corners of the mouth, as the ArcFace template has them.

Points are x before y, pixels, origin top left. They come from insightface's detector, from MediaPipe's 478 landmarks,
or from poses: 68 face points, or the head's joints where the face is too small for those.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from ..errors import InputError
from .face_identity import TEMPLATE, TEMPLATE_SIZE, similarity
from .pose_clip import FACE, LEFT_EYE, NOSE, RIGHT_EYE, PoseClip

# The template's points among 68 landmarks and among MediaPipe's 478: groups whose mean is taken. The right eye is on
# the left of the picture, as in the template. MediaPipe's eyes: outer and inner corner, upper and lower lid. Its nose tip
# is 1 by name and 4 by depth; the template's lies between: on MediaPipe's canonical face the five points miss the template
# by 0.5 of its 112 pixels (root mean square), with 1 alone by 0.9, with 4 alone by 1.0.
OF_68 = (range(36, 42), range(42, 48), (30,), (48,), (54,))
OF_478 = ((33, 133, 159, 145), (263, 362, 386, 374), (1, 4), (61,), (291,))
# [ours] Left, top, right, bottom of a face in the template's 112 pixels: cheek to cheek, upper forehead to chin, as
# detectors box it. Points alone don't tell how high a forehead is.
FACE_IN_TEMPLATE = (14.0, 10.0, 98.0, 112.0)
MIN_POINTS = 2  # of the five: a similarity has four unknowns


@dataclass(frozen=True, kw_only=True)
class LocatedFace:
    """`box` is left, top, right, bottom; `points` is 5 x 2; `score` in [0, 1]; `source` says who found it."""

    box: tuple[float, float, float, float]
    points: np.ndarray
    score: float
    source: str

    @property
    def area(self) -> float:
        left, top, right, bottom = self.box
        return max(right - left, 0.0) * max(bottom - top, 0.0)


def face_of_points(points: np.ndarray, seen: np.ndarray, *, score: float, source: str) -> LocatedFace | None:
    """A face whose box follows from its points (5 x 2); missing ones are put where the template has them.

    None when fewer than two points are seen, or when they lie on one spot.
    """
    known = points[seen]
    if len(known) < MIN_POINTS or np.ptp(known, axis=0).max() < 1e-3:
        return None
    to_picture = similarity(TEMPLATE[seen], known)
    left, top, right, bottom = FACE_IN_TEMPLATE
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    low, high = moved(corners, to_picture).min(axis=0), moved(corners, to_picture).max(axis=0)
    filled = np.where(seen[:, None], points, moved(TEMPLATE, to_picture))
    return LocatedFace(box=(*low.tolist(), *high.tolist()), points=filled, score=score, source=source)


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`n 2` points through a 2 x 3 matrix."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def faces_of_poses(clip: PoseClip, *, width: int, height: int) -> list[list[LocatedFace]]:
    """Faces per frame, in pixels of a picture of `width` x `height`: by the 68 face points, else by eyes and nose."""
    scale = np.array([width / clip.width, height / clip.height])
    frames = []
    for people in clip.points:
        found = (_face_of_pose(person, scale) for person in people)
        frames.append([face for face in found if face is not None])
    return frames


def _face_of_pose(person: np.ndarray, scale: np.ndarray) -> LocatedFace | None:
    points, seen = _grouped(person[FACE], OF_68)
    if seen.sum() < 3:  # eyes and mouth of a small or turned face; the head's joints are surer then
        rows = person[[RIGHT_EYE, LEFT_EYE, NOSE]]
        points, seen = np.zeros((5, 2)), np.zeros(5, dtype=bool)
        points[:3], seen[:3] = rows[:, :2], rows[:, 2] > 0
    return face_of_points(points * scale, seen, score=1.0, source="poses")


def _grouped(landmarks: np.ndarray, groups: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Means of groups of landmarks (n 3: x, y, seen), and which groups have a landmark at all."""
    points, seen = np.zeros((len(groups), 2)), np.zeros(len(groups), dtype=bool)
    for i, group in enumerate(groups):
        rows = landmarks[list(group)]
        rows = rows[rows[:, 2] > 0]
        seen[i] = len(rows) > 0
        points[i] = rows[:, :2].mean(axis=0) if len(rows) else 0
    return points, seen


def faces_of_landmarks(found: Mapping, *, width: int, height: int) -> list[list[LocatedFace]]:
    """Faces per frame of core's FACE_LANDMARKS, in pixels of a picture of `width` x `height`. InputError for anything else."""
    try:
        high, wide = found["image_size"]
        frames = [
            [(np.asarray(face["landmarks_xy"], float), float(face["score"])) for face in frame]
            for frame in found["frames"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            "face_landmarks is not what Detect Face Landmarks (MediaPipe) gives. Connect that node's first output."
        ) from error
    scale = np.array([width / wide, height / high])
    return [
        [face for points, score in frame if (face := _face_of_478(points, score, scale)) is not None]
        for frame in frames
    ]


def _face_of_478(points: np.ndarray, score: float, scale: np.ndarray) -> LocatedFace | None:
    if points.ndim != 2 or points.shape[0] < 468 or points.shape[1] != 2:
        raise InputError(
            f"A MediaPipe face has 478 landmarks, got {' x '.join(map(str, points.shape))}. Connect Detect Face Landmarks."
        )
    five, seen = _grouped(np.column_stack([points, np.ones(len(points))]), OF_478)
    return face_of_points(five * scale, seen, score=min(max(score, 0.0), 1.0), source="landmarks")


def align_face(picture: Tensor, points: np.ndarray, *, size: int) -> Tensor:
    """`h w 3` to `size size 3`: turned, scaled and shifted so that `points` (5 x 2) lie on the template; black beyond.

    Bilinear, as insightface's own crops are. `size` 112 is what recognisers take.
    """
    matrix = similarity(points, TEMPLATE * (size / TEMPLATE_SIZE))
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    rows, columns = np.mgrid[0:size, 0:size]
    places = moved(np.stack([columns.ravel(), rows.ravel()], axis=1), back)
    height, width = picture.shape[:2]
    places = (2 * places + 1) / [width, height] - 1  # grid_sample counts from edge to edge of the picture
    grid = torch.from_numpy(places).float().reshape(1, size, size, 2)
    planes = picture[..., :3].float().cpu().movedim(-1, 0)[None]
    return grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0].movedim(
        0, -1
    )
