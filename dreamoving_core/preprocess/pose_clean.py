"""Poses without the detector's mistakes: single wrong places, short gaps and trembling.

Axes: f frame, p person, j joint. Every joint's path is cleaned by itself, on unbroken runs alone: nothing is invented
before a joint's first frame, after its last, or across a gap that is too long.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..errors import InputError
from .pose_clip import PoseClip, figure_size
from .pose_track import track_people

_MAD = 1.4826  # a normal distribution's standard deviation per median absolute deviation


@dataclass(frozen=True, kw_only=True)
class CleanSettings:
    """Frames and fractions of the figure's size; `outliers`, `gaps` and `smoothing` 0 each switch their part off."""

    outliers: float = 4.0  # [ours] robust standard deviations beyond which a place is wrong
    outlier_floor: float = 0.03  # [ours] of the figure's size: smaller leaps are left to the smoothing
    outlier_window: int = 7  # frames, centred
    gaps: int = 8  # longest gap that is closed, in frames
    smoothing: int = (
        9  # window of the Savitzky-Golay filter, frames; with order 3 best of those tried on noisy dances
    )
    order: int = 3
    cut: float = (
        0.5  # [ours] of the figure's size: who moves as a whole by more from one frame to the next was cut
    )


def clean_clip(clip: PoseClip, settings: CleanSettings | None = None) -> PoseClip:
    """Every person cleaned; people are followed first, so that nobody is smoothed into somebody else."""
    settings = settings or CleanSettings()
    _check(settings)
    tracked = track_people(clip) if clip.points.shape[1] > 1 else clip
    points = tracked.points.copy()
    for person in range(points.shape[1]):
        for scene in scenes(points[:, person], settings):
            points[scene, person] = _clean_scene(points[scene, person], settings)
    return clip.with_points(points)


def scenes(points: np.ndarray, settings: CleanSettings) -> list[slice]:
    """Stretches of `f j 3` without a cut in the video. A figure that is back within two frames was a mistake, no cut."""
    shown = np.flatnonzero(points[..., 2].any(axis=1))
    reach = settings.cut * _size(points)

    def apart(before: np.ndarray, after: np.ndarray) -> bool:
        return all(_moved(points[one], points[other]) > reach for one in before for other in after)

    near = [i for i in range(1, len(shown)) if _moved(points[shown[i - 1]], points[shown[i]]) > reach]
    cuts = [int(shown[i]) for i in near if apart(shown[max(i - 3, 0) : i], shown[i : i + 3])]
    return [slice(a, b) for a, b in pairwise([0, *cuts, len(points)])]


def _moved(one: np.ndarray, other: np.ndarray) -> float:
    """Median way of the joints that both poses have."""
    both = (one[:, 2] > 0) & (other[:, 2] > 0)
    return float(np.median(np.hypot(*(one[both, :2] - other[both, :2]).T))) if both.any() else 0.0


def _size(points: np.ndarray) -> float:
    sizes = figure_size(points)
    return float(np.median(sizes[sizes > 0])) if (sizes > 0).any() else 0.0


def _check(settings: CleanSettings) -> None:
    if settings.outliers < 0 or settings.gaps < 0 or settings.smoothing < 0:
        raise InputError(
            "outliers, gaps and smoothing can't be negative (0 switches them off), got "
            f"{settings.outliers:g}, {settings.gaps} and {settings.smoothing}."
        )


def _clean_scene(points: np.ndarray, settings: CleanSettings) -> np.ndarray:
    """`f j 3` to the same."""
    size = _size(points)
    for joint in np.flatnonzero(points[..., 2].any(axis=0)):
        path, seen = points[:, joint, :2], points[:, joint, 2] > 0
        if settings.outliers:
            path = without_outliers(path, seen, settings, floor=settings.outlier_floor * size)
        path, seen = closed_gaps(path, seen, longest=settings.gaps)
        if settings.smoothing > settings.order:
            path = smoothed(path, seen, window=settings.smoothing, order=settings.order)
        points[:, joint] = np.concatenate([path * seen[:, None], seen[:, None]], axis=1)
    return points


def without_outliers(
    path: np.ndarray, seen: np.ndarray, settings: CleanSettings, *, floor: float
) -> np.ndarray:
    """`f 2`: a place far from the running median of its neighbours is put between them (Hampel's filter).

    It must also lie away from the line between the neighbours, so that a quick arm is not taken for a mistake.
    """
    frames = np.flatnonzero(seen)
    if len(frames) < 3:
        return path
    places = path[frames]
    half = settings.outlier_window // 2
    padded = np.pad(places, ((half, half), (0, 0)), mode="reflect" if len(frames) > half else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)  # n 2 window
    median = np.median(windows, axis=-1)
    spread = _MAD * np.median(np.hypot(*np.moveaxis(windows - median[..., None], 1, 0)), axis=-1)
    off = np.hypot(*(places - median).T)
    before, after = places[np.r_[1, : len(frames) - 1]], places[np.r_[1 : len(frames), -2]]
    from_line = np.hypot(*(places - (before + after) / 2).T)
    step = np.hypot(*(after - before).T) / 2
    wrong = (off > np.maximum(settings.outliers * spread, floor)) & (from_line > np.maximum(step, floor))
    if not wrong.any() or wrong.all():
        return path
    mended = path.copy()
    for axis in range(2):
        mended[frames[wrong], axis] = np.interp(frames[wrong], frames[~wrong], places[~wrong, axis])
    return mended


def closed_gaps(path: np.ndarray, seen: np.ndarray, *, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """`f 2` and `f`: gaps of at most `longest` frames between two seen places are filled in a straight line."""
    frames = np.flatnonzero(seen)
    lengths = np.diff(frames) - 1
    if not len(lengths) or not longest:
        return path, seen
    path, seen = path.copy(), seen.copy()
    for start, length in zip(frames[:-1], lengths, strict=True):
        if 0 < length <= longest:
            share = (np.arange(1, length + 1) / (length + 1))[:, None]
            path[start + 1 : start + 1 + length] = path[start] + share * (
                path[start + length + 1] - path[start]
            )
            seen[start + 1 : start + 1 + length] = True
    return path, seen


def smoothed(path: np.ndarray, seen: np.ndarray, *, window: int, order: int) -> np.ndarray:
    """`f 2`: Savitzky-Golay on every unbroken run; a run shorter than the window gets the longest that fits."""
    from scipy.signal import savgol_filter

    path = path.copy()
    for run in unbroken_runs(seen):
        length = run.stop - run.start
        fitting = min(window, length)
        fitting -= 1 - fitting % 2  # odd
        if fitting > order:
            path[run] = savgol_filter(path[run], fitting, order, axis=0)
    return path


def unbroken_runs(seen: np.ndarray) -> list[slice]:
    """Stretches of frames in which something is seen without a break."""
    edges = np.flatnonzero(np.diff(np.r_[False, seen, False].astype(int)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
