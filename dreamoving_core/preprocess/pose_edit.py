"""Poses at another frame rate, mirrored, and cropped together with the picture.

Axes: f frame, p person, j joint; pictures `f h w c`. Points are pixels, origin top left, a pixel's middle at + 0.5.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ..errors import InputError
from .pose_clip import PoseClip, require_somebody
from .pose_track import track_people

# 68 face landmarks as a mirror shows them, then the pupils
_MIRRORED_FACE = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1), 69, 68,
)  # fmt: skip
_MIRRORED_BODY = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
MIRRORED = np.array([
    *_MIRRORED_BODY, *range(21, 24), *range(18, 21), *(24 + joint for joint in _MIRRORED_FACE), *range(115, 136),
    *range(94, 115),
])  # fmt: skip


def mirror_clip(clip: PoseClip) -> PoseClip:
    """As a mirror shows it: what was the left hand is the right one now, in place and in name."""
    points = clip.points[:, :, MIRRORED].copy()
    points[..., 0] = clip.width - points[..., 0]
    return clip.with_points(points)


def resample_clip(clip: PoseClip, *, rate: Fraction, new_rate: Fraction) -> PoseClip:
    """The same dance with another number of frames per second and the same duration.

    Frame n of the result shows the time n / `new_rate`; what falls behind the last frame shows the last one. Between two frames
    joints follow a smooth curve through their neighbours; a joint that only one of them has is there in its half.
    """
    if rate <= 0 or new_rate <= 0:
        raise InputError(
            f"Both frame rates must be above 0, got {float(rate):g} and {float(new_rate):g} frames per second."
        )
    count = len(clip.points)
    if rate == new_rate:
        return clip
    tracked = track_people(clip) if clip.points.shape[1] > 1 else clip
    wanted = max(1, round(count * new_rate / rate))
    last = Fraction(count - 1)
    times = [min(n * rate / new_rate, last) for n in range(wanted)]
    before = np.array([int(time) for time in times])  # exact: fractions have no rounding
    share = np.array([float(time - int(time)) for time in times])[:, None, None, None]
    return clip.with_points(_between(tracked.points, before, share))


def _between(points: np.ndarray, before: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Catmull-Rom where four frames in a row show a joint, a line where two do, else the nearer frame."""
    last = len(points) - 1
    rows = [points[np.clip(before + step, 0, last)] for step in (-1, 0, 1, 2)]
    p0, p1, p2, p3 = (row[..., :2] for row in rows)
    s0, s1, s2, s3 = (row[..., 2:] > 0 for row in rows)
    line = p1 + share * (p2 - p1)
    start, end = (p2 - p0) / 2, (p3 - p1) / 2
    curve = (
        (2 * share**3 - 3 * share**2 + 1) * p1 + (share**3 - 2 * share**2 + share) * start
        + (3 * share**2 - 2 * share**3) * p2 + (share**3 - share**2) * end
    )  # fmt: skip
    inner = (before >= 1) & (before + 2 <= last)
    smooth = s0 & s1 & s2 & s3 & inner[:, None, None, None]
    nearer_first = share < 0.5
    places = np.where(s1 & s2, np.where(smooth, curve, line), np.where(nearer_first, p1, p2))
    seen = np.where(s1 & s2, True, np.where(nearer_first, s1, s2))
    return np.concatenate([places, seen], axis=-1)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in whole pixels; it may reach beyond the picture."""

    x: int
    y: int
    width: int
    height: int


def box_around(clip: PoseClip, *, margin: float, aspect: float | None = None) -> Box:
    """Around every joint of the whole clip, with a `margin` in shares of the larger side; `aspect` is width / height.

    The box stays inside the picture as far as it fits. Raises InputError when nobody is seen.
    """
    require_somebody(clip, what="the poses")
    if margin < 0 or (aspect is not None and aspect <= 0):
        raise InputError(f"margin can't be negative and aspect must be above 0, got {margin:g} and {aspect}.")
    places = clip.points[..., :2][clip.seen]
    low, high = places.min(axis=0), places.max(axis=0)
    size = high - low + 2 * margin * (high - low).max()
    size = np.maximum(size, 16.0)
    if aspect is not None:
        size = np.maximum(size, [size[1] * aspect, size[0] / aspect])
    size = np.ceil(size).astype(int)
    corner = np.round((low + high) / 2 - size / 2).astype(int)
    room = np.array([clip.width, clip.height]) - size
    corner = np.where(room >= 0, np.clip(corner, 0, np.maximum(room, 0)), corner)
    return Box(x=int(corner[0]), y=int(corner[1]), width=int(size[0]), height=int(size[1]))


def crop_clip(clip: PoseClip, box: Box, *, width: int, height: int) -> PoseClip:
    """What the box shows, scaled to `width` x `height`; joints outside keep their places outside the canvas."""
    _check(box)
    points = clip.points.copy()
    points[..., :2] = (points[..., :2] - [box.x, box.y]) * [width / box.width, height / box.height]
    return PoseClip(points=points * (points[..., 2:] > 0), width=width, height=height)


def crop_images(images: Tensor, box: Box, *, width: int, height: int) -> Tensor:
    """`f h w c` to `f height width c`; beyond the picture its border goes on."""
    _check(box)
    rows = (torch.arange(box.y, box.y + box.height)).clamp(0, images.shape[1] - 1)
    columns = (torch.arange(box.x, box.x + box.width)).clamp(0, images.shape[2] - 1)
    cut = images.index_select(1, rows.to(images.device)).index_select(2, columns.to(images.device))
    if (width, height) == (box.width, box.height):
        return cut
    planes = rearrange(cut, "f h w c -> f c h w")
    scaled = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
    return rearrange(scaled, "f c h w -> f h w c").clamp(0, 1)


def _check(box: Box) -> None:
    if box.width < 1 or box.height < 1:
        raise InputError(f"The crop needs at least 1 x 1 pixel, got {box.width} x {box.height}.")


def crop_with_picture(
    clip: PoseClip,
    images: Tensor | None = None,
    *,
    box: Box | None = None,
    margin: float = 0.15,
    width: int = 0,
    height: int = 0,
) -> tuple[PoseClip, Tensor | None]:
    """Poses and pictures `f h w c` of the same box, by default around everybody; a `width` or `height` of 0 follows it.

    Pictures of another size than the canvas rule: the poses are scaled to them first. Raises InputError when there are not as many
    pictures as frames, and when nobody is seen.
    """
    if images is not None:
        if len(images) != len(clip.points):
            raise InputError(
                f"Every pose needs its picture: got {len(clip.points)} poses and {len(images)} pictures."
            )
        clip = on_canvas(clip, width=images.shape[2], height=images.shape[1])
    if box is None:
        box = box_around(clip, margin=margin, aspect=width / height if width and height else None)
    _check(box)
    width = width or max(1, round((height or box.height) * box.width / box.height))
    height = height or max(1, round(width * box.height / box.width))
    cropped = crop_clip(clip, box, width=width, height=height)
    return cropped, None if images is None else crop_images(images, box, width=width, height=height)


def on_canvas(clip: PoseClip, *, width: int, height: int) -> PoseClip:
    """The same poses in pixels of another canvas."""
    points = clip.points * np.array([width / clip.width, height / clip.height, 1.0])
    return PoseClip(points=points, width=width, height=height)
