"""How far the dancer of a result is from the pose that was wanted. Poses are `PoseClip`s: f p 136 3 in pixels."""

import numpy as np

from ..errors import InputError
from ..preprocess.pose_clip import BODY, PoseClip
from ..preprocess.pose_track import main_person

SAME_SHAPE = 0.02  # [ours] sides rounded to eight pixels are still of one shape
ROUNDED = 2  # [ours] frames that a change of frame rate or an encoder may add or take at the end


def matched(wanted: PoseClip, found: PoseClip) -> tuple[PoseClip, str]:
    """The wanted poses, one entry per frame of `found`, and what was left out, in words.

    Raises InputError when the counts differ by more than rounding.
    """
    wants, finds = len(wanted.points), len(found.points)
    if abs(wants - finds) > ROUNDED:
        raise InputError(
            f"keypoints has {wants} frames and result_keypoints {finds}: frame n of one must be frame n of the other. Bring "
            "the wanted poses to the video's frame rate with Resample Pose, and cut both to the same seconds."
        )
    if wants == finds:
        return wanted, ""
    points = np.zeros((finds, *wanted.points.shape[1:]))
    both = min(wants, finds)
    points[:both] = wanted.points[:both]
    return wanted.with_points(points), f"{wants} poses for {finds} frames: the first {both} were compared"


def pose_errors(wanted: PoseClip, found: PoseClip, *, fitted: bool = False) -> np.ndarray:
    """Mean distance of the body's joints that both have, in shares of the picture's height, `f`; NaN without any.

    The largest dancer of each. `fitted` takes one scale and one shift over the whole clip out first, for a result that is
    cropped otherwise than the poses. Raises InputError for pictures of another shape where nothing is fitted.
    """
    if not fitted:
        refuse_other_shape(wanted, found)
    size = np.array([found.width / wanted.width, found.height / wanted.height])
    ours, true = (main_person(clip).points[:, 0, BODY] for clip in (found, wanted))
    both = (ours[..., 2] > 0) & (true[..., 2] > 0)
    place = true[..., :2] * (size[1] if fitted else size)
    if fitted and both.any():
        place = fit(place, ours[..., :2], both)
    distance = np.hypot(*np.moveaxis(place - ours[..., :2], -1, 0)) / found.height
    count = both.sum(axis=1)
    total = np.where(both, distance, 0.0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def fit(points: np.ndarray, goal: np.ndarray, both: np.ndarray) -> np.ndarray:
    """`points` (f j 2) moved and scaled once so that middle and spread over the joints in `both` are those of `goal`.

    The spread, and not least squares: those would shrink a wrong dance to a point, which is near to everything.
    """
    middle, target = points[both].mean(axis=0), goal[both].mean(axis=0)
    spread, wide = (np.square(p[both] - m).sum() for p, m in ((points, middle), (goal, target)))
    scale = np.sqrt(wide / spread) if spread > 0 else 1.0
    return (points - middle) * scale + target


def refuse_other_shape(wanted: PoseClip, found: PoseClip) -> None:
    """InputError for canvases of different proportions: a distance between them would mean nothing."""
    shapes = [clip.width / clip.height for clip in (wanted, found)]
    if abs(shapes[0] / shapes[1] - 1) > SAME_SHAPE:
        raise InputError(
            f"The wanted poses are for {wanted.width} x {wanted.height} pixels, the result's for {found.width} x "
            f"{found.height}: another shape. Connect the poses that were drawn for this result (behind Crop Pose), or "
            "switch fit_poses on."
        )


def found_share(wanted: PoseClip, found: PoseClip) -> tuple[int, int]:
    """How many of the wanted body joints were found in the result, and how many there are."""
    ours, true = (main_person(clip).seen[:, 0, BODY] for clip in (found, wanted))
    return int((ours & true).sum()), int(true.sum())
