"""Pictures to judge poses by: a short preview of a clip, and a fit over its reference.

Pictures are `f h w c` in [0, 1]. Red means: here a joint leaves the picture.
"""

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from .draw_pose import draw_pose
from .pose_clip import BODY, PoseClip, write_clip
from .pose_fit import Fit
from .pose_report import outside

PREVIEW_FRAMES = 48  # [ours] enough to see a dance, quick to draw
PREVIEW_SIZE = 256  # [ours] pixels of the longer side
RED = (1.0, 0.1, 0.1)
_DIMMED = 0.45  # the reference picture behind the poses
_GREY = 0.75  # the reference's own pose


def preview_clip(clip: PoseClip) -> Tensor:
    """At most 48 frames, evenly spread, small, with a red dot on the border for every joint that is outside."""
    count = len(clip.points)
    chosen = np.unique(np.linspace(0, count - 1, min(count, PREVIEW_FRAMES)).round().astype(int))
    scale = min(1.0, PREVIEW_SIZE / max(clip.width, clip.height))
    width, height = (max(16, round(side * scale)) for side in (clip.width, clip.height))
    part = clip.with_points(clip.points[chosen])
    pictures = draw_pose(write_clip(part), width=width, height=height)
    for picture, points, out in zip(pictures, part.points, outside(part), strict=True):
        _mark(picture, points[out][:, :2] * [width / clip.width, height / clip.height])
    return pictures


def overlay_fit(fit: Fit, image: Tensor | None = None, *, frame: int = 0) -> Tensor:
    """One picture `1 h w c` on the reference's canvas: its image dimmed, its pose in grey, the fitted pose of `frame`.

    A red dot stands on the border wherever a body joint leaves the picture, in any frame of the clip.
    """
    clip = fit.clip
    size = {"width": clip.width, "height": clip.height}
    ground = torch.zeros(1, clip.height, clip.width, 3)
    if image is not None:
        planes = rearrange(image[:1, ..., :3].float(), "f h w c -> f c h w")
        planes = torch.nn.functional.interpolate(
            planes, (clip.height, clip.width), mode="bilinear", antialias=True
        )
        ground = rearrange(planes, "f c h w -> f h w c").clamp(0, 1) * _DIMMED
    model = draw_pose(write_clip(fit.reference), **size)[:1].amax(dim=-1, keepdim=True) * _GREY
    fitted = draw_pose(write_clip(clip.with_points(clip.points[[frame]])), **size, hands=True, face=True)
    picture = torch.maximum(ground, model)
    drawn = fitted.amax(dim=-1, keepdim=True) > 0
    picture = torch.where(drawn, fitted, picture)
    out = outside(clip).copy()
    out[:, :, BODY.stop :] = False
    _mark(picture[0], clip.points[out][:, :2])
    return picture


def _mark(picture: Tensor, places: np.ndarray) -> None:
    """Red dots on the border of `h w c`, nearest to `places` `n 2` outside."""
    height, width = picture.shape[:2]
    radius = max(2, round(min(width, height) / 80))
    inside = places.clip([0, 0], [width - 1, height - 1])
    for x, y in np.unique(inside.round().astype(int), axis=0):
        rows = slice(max(y - radius, 0), y + radius + 1)
        columns = slice(max(x - radius, 0), x + radius + 1)
        ys, xs = torch.arange(height)[rows, None] - int(y), torch.arange(width)[None, columns] - int(x)
        disc = ys**2 + xs**2 <= radius**2
        picture[rows, columns][disc] = torch.tensor(RED, dtype=picture.dtype)
