"""Faces cut out of pictures: which one, how much around it, and a square of it. Pictures are f h w c in [0, 1]."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import InputError
from .face_align import LocatedFace, align_face

WHO = ("best", "all", "number")
MISSING = ("stop", "leave out", "nearest")
GROUNDS = {"grey": 0.5, "white": 1.0, "black": 0.0}


@dataclass(frozen=True, kw_only=True)
class FaceCropSettings:
    """Which faces, and how they are cut. `number` counts from 1, from the left; `margin` in shares of the box."""

    who: str = "best"
    number: int = 1
    size: int = 224  # [CLIP] what the image encoders of IP-Adapters see
    margin: float = 0.3  # [ours] hair and chin are in, the face still fills most of the square
    background: str = "grey"
    missing: str = "stop"


@dataclass(frozen=True, kw_only=True)
class FaceCrops:
    """`crops` and `aligned` are `n size size 3`, one per chosen face; `boxes` has one list per picture, as core's BOUNDING_BOX."""

    crops: Tensor
    aligned: Tensor
    boxes: list[list[dict]]


def crop_faces(
    images: Tensor, found: Sequence[Sequence[LocatedFace]], settings: FaceCropSettings
) -> FaceCrops:
    """Cut the chosen faces out of every picture; `found` has the faces of each.

    Raises InputError for pictures without a face, unless `missing` knows what to do and another picture has one.
    """
    chosen = [choose_faces(faces, settings) for faces in found]
    refuse_faceless(images, found, chosen, settings)
    if settings.missing == "nearest":
        chosen = nearest_faces(chosen)
    pairs = [(picture, face) for picture, faces in zip(images, chosen, strict=True) for face in faces]
    return FaceCrops(
        crops=torch.stack([square_crop(picture, face, settings) for picture, face in pairs]),
        aligned=torch.stack(
            [align_face(picture, face.points, size=settings.size) for picture, face in pairs]
        ),
        boxes=[[as_box(face) for face in faces] for faces in chosen],
    )


def choose_faces(faces: Sequence[LocatedFace], settings: FaceCropSettings) -> list[LocatedFace]:
    """The largest, all of them from left to right, or the one with the number; [] when there is none such."""
    if settings.who not in WHO:
        raise InputError(f"A face is chosen by one of {', '.join(WHO)}, got {settings.who!r}.")
    in_order = sorted(faces, key=lambda face: face.box[0] + face.box[2])
    if settings.who == "best":
        return [max(in_order, key=lambda face: face.area)] if in_order else []
    return in_order if settings.who == "all" else in_order[settings.number - 1 : settings.number]


def nearest_faces(chosen: Sequence[list[LocatedFace]]) -> list[list[LocatedFace]]:
    """Pictures without a face get the place where the nearest picture has its own; of two as near, the earlier one's.

    [ours] With one face each, there are as many crops as pictures: what drives a model frame by frame needs that.
    """
    known = [i for i, faces in enumerate(chosen) if faces]
    return [chosen[min(known, key=lambda other: abs(other - i))] for i in range(len(chosen))]


def refuse_faceless(
    images: Tensor,
    found: Sequence[Sequence[LocatedFace]],
    chosen: Sequence[Sequence[LocatedFace]],
    settings: FaceCropSettings,
) -> None:
    """InputError that names the pictures without a face, their size, and what to try."""
    without = [i for i, faces in enumerate(chosen) if not faces]
    if not without or (settings.missing in MISSING[1:] and len(without) < len(chosen)):
        return
    which = f"picture {_numbers(without)} of {len(chosen)}"
    height, width = images.shape[1:3]
    if any(found[i] for i in without):
        most = max(len(faces) for faces in found)
        raise InputError(
            f"There is no face number {settings.number} in {which}: at most {most} {'face was' if most == 1 else 'faces were'} "
            "found in one picture. Choose a smaller number, or set missing to 'leave out'."
        )
    raise InputError(
        f"No face was found in {which} ({width} x {height} pixels). Use a picture in which the face looks at the camera, is "
        "sharp and at least 40 pixels wide; enlarge a small one, or cut nearer to it; connect poses or face landmarks as "
        "well; for single frames of a clip set missing to 'leave out'."
    )


def _numbers(indices: Sequence[int]) -> str:
    """People count from 1; a long list is cut."""
    shown = ", ".join(str(i + 1) for i in indices[:8])
    return shown + (f" and {len(indices) - 8} more" if len(indices) > 8 else "")


def square_crop(picture: Tensor, face: LocatedFace, settings: FaceCropSettings) -> Tensor:
    """`h w c` to `size size 3`: an upright square around the face; beyond the picture its ground is plain."""
    left, top, right, bottom = face.box
    side = max(round(max(right - left, bottom - top) * (1 + 2 * settings.margin)), 1)
    x, y = floor((left + right - side) / 2 + 0.5), floor((top + bottom - side) / 2 + 0.5)
    square = padded_square(picture, x, y, side=side, ground=ground_level(settings.background))
    planes = rearrange(square, "h w c -> 1 c h w")
    planes = interpolate(planes, (settings.size, settings.size), mode="bilinear", antialias=True)
    return rearrange(planes, "1 c h w -> h w c").clamp(0, 1)


def ground_level(background: str) -> float:
    if background not in GROUNDS:
        raise InputError(f"The background is one of {', '.join(GROUNDS)}, got {background!r}.")
    return GROUNDS[background]


def padded_square(picture: Tensor, x: int, y: int, *, side: int, ground: float) -> Tensor:
    """`side side 3` of a picture (h w c) whose upper left corner lies at (x, y), inside the picture or not."""
    height, width = picture.shape[:2]
    square = torch.full((side, side, 3), ground)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + side, width), min(y + side, height)
    if right > left and bottom > top:
        square[top - y : bottom - y, left - x : right - x] = picture[top:bottom, left:right, :3].float().cpu()
    return square


def as_box(face: LocatedFace) -> dict:
    """Core's BOUNDING_BOX of a face, as its MediaPipe node writes it."""
    left, top, right, bottom = face.box
    return {
        "x": left,
        "y": top,
        "width": right - left,
        "height": bottom - top,
        "label": "face",
        "score": face.score,
    }
