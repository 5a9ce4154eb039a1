"""Clothes cut out of pictures, on a plain ground: by a mask, by the pose of the person who wears them, or by both.

Pictures are f h w c in [0, 1], masks f h w, keypoints in pixels. Where a mask is at hand it says what belongs to the
person, and the pose tells clothes from head and hands, top from bottom. Without one the clothes are what lies near the
bones that clothes hang on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, floor

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import InputError
from .cloth_region import PARTS, Outfit, cloth_shares
from .face_crop import ground_level, padded_square
from .pose_clip import PoseClip

MIN_PIXELS = 16  # [ours] of a picture that belong to the clothes; less is a mistake of the mask


@dataclass(frozen=True, kw_only=True)
class ClothCutSettings:
    """`part` is one of PARTS; `margin` in shares of the outfit's longer side; `size` 0 keeps every pixel as it is."""

    part: str = "all"
    background: str = "grey"
    margin: float = 0.05
    size: int = 0
    outfit: Outfit = field(default_factory=Outfit)


@dataclass(frozen=True, kw_only=True)
class ClothCut:
    """`pictures` are squares `f s s 3`; `masks` `f h w` is what was kept, on the canvas of the picture that came in."""

    pictures: Tensor
    masks: Tensor


def cut_cloth(
    images: Tensor,
    settings: ClothCutSettings,
    *,
    mask: Tensor | None = None,
    poses: PoseClip | None = None,
    on_picture: Callable[[], None] = lambda: None,
) -> ClothCut:
    """Clothes of every picture on a plain ground. Raises InputError for pictures without any, and for what doesn't fit.

    `poses` holds one person at most per frame, on a canvas of any size. `on_picture` is called after each picture.
    """
    if mask is None and poses is None:
        raise InputError(
            "Cut Cloth has to be told where the clothes are. Connect a mask (core's SAM3 or Remove Background), poses, or both."
        )
    if settings.part not in PARTS:
        raise InputError(f"The part is one of {', '.join(PARTS)}, got {settings.part!r}.")
    if poses is None and settings.part != "all":
        raise InputError(
            f"A mask alone does not tell the {settings.part} part from the rest. Connect keypoints as well, or choose all."
        )
    frames, height, width = images.shape[:3]
    masks = torch.ones(frames, height, width) if mask is None else fitted_mask(mask, images)
    if poses is not None:
        refuse_other_count(poses, frames)
        size = {"width": width, "height": height}
        masks = masks * cloth_shares(
            poses, settings.outfit, **size, part=settings.part, bounded=mask is None, on_frame=on_picture
        )
    refuse_empty(masks, settings, by_mask=mask is not None)
    return ClothCut(pictures=on_ground(images, masks, settings), masks=masks)


def fitted_mask(mask: Tensor, images: Tensor) -> Tensor:
    """`f h w` in [0, 1] of a mask (h w, or f h w with one for all), scaled to the pictures."""
    frames, height, width = images.shape[:3]
    mask = mask.reshape(-1, *mask.shape[-2:]).float().cpu()
    if mask.shape[0] not in (1, frames):
        raise InputError(
            f"The mask has {mask.shape[0]} frames for {frames} pictures. Give one mask for all, or one for each."
        )
    if mask.shape[1:] != (height, width):
        planes = interpolate(mask[:, None], (height, width), mode="bilinear", antialias=True)
        mask = rearrange(planes, "f 1 h w -> f h w")
    return mask.nan_to_num().clamp(0, 1).expand(frames, height, width)


def refuse_other_count(poses: PoseClip, frames: int) -> None:
    if len(poses.points) != frames:
        raise InputError(
            f"keypoints tell of {len(poses.points)} pictures, image has {frames}. Connect both to the same pictures."
        )


def refuse_empty(masks: Tensor, settings: ClothCutSettings, *, by_mask: bool) -> None:
    """InputError that names the pictures in which nothing is left to cut out."""
    sizes = (masks > 0.5).sum(dim=(1, 2)).tolist()
    without = [str(i + 1) for i, size in enumerate(sizes) if size < MIN_PIXELS]
    if not without:
        return
    frames, height, width = masks.shape
    advice = (
        "The mask must be white where the person is; core's Invert Mask turns one round"
        if by_mask
        else "The pose must show shoulders and hips for a top, hips and knees for the rest; a mask needs no pose"
    )
    part = "clothes were" if settings.part == "all" else f"{settings.part} clothes were"
    raise InputError(
        f"No {part} found in picture {', '.join(without[:8])} of {frames} ({width} x {height} pixels). {advice}."
    )


def on_ground(images: Tensor, masks: Tensor, settings: ClothCutSettings) -> Tensor:
    """Squares `f s s 3` around the outfits, everything else plain; one size for all of them."""
    ground = ground_level(settings.background)
    boxes = [square_around(mask, settings.margin) for mask in masks]
    side = settings.size or max(side for *_, side in boxes)
    squares = []
    for picture, mask, (x, y, own) in zip(images, masks, boxes, strict=True):
        cut = picture[..., :3].float().cpu() * mask[..., None] + ground * (1 - mask[..., None])
        if settings.size:
            planes = rearrange(padded_square(cut, x, y, side=own, ground=ground), "h w c -> 1 c h w")
            planes = interpolate(planes, (side, side), mode="bilinear", antialias=True).clamp(0, 1)
            squares.append(rearrange(planes, "1 c h w -> h w c"))
        else:  # a smaller outfit stands in the middle of the common square, pixel by pixel
            more = (side - own) // 2
            squares.append(padded_square(cut, x - more, y - more, side=side, ground=ground))
    return torch.stack(squares)


def square_around(mask: Tensor, margin: float) -> tuple[int, int, int]:
    """Left, top and side of the square around what a mask (h w) keeps."""
    rows = torch.nonzero(mask.amax(dim=1) > 0.5).flatten()
    columns = torch.nonzero(mask.amax(dim=0) > 0.5).flatten()
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    side = ceil(max(bottom - top, right - left) * (1 + 2 * margin))
    return floor((left + right - side) / 2), floor((top + bottom - side) / 2), side
