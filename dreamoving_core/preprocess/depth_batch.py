"""Any depth of a clip, from whatever node, as pictures that a depth ControlNet knows: near is bright, no flicker."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .depth_range import CUT_FAR, CUT_NEAR, DepthSamples

BRIGHT = "near is bright"
DARK = "near is dark"
DISPARITY = "near is dark, as disparity"
KINDS = ("auto", BRIGHT, DARK, DISPARITY)


def depth_frames(source: Tensor | Mapping[str, Any]) -> tuple[Tensor, str]:
    """`f h w` of a depth IMAGE or of the geometry that ComfyUI's Depth Anything 3 and MoGe nodes give, and its kind.

    A picture's first channel counts: depth is grey. Raises InputError for anything else, colourful pictures included.
    """
    if isinstance(source, Mapping):
        depth = source.get("depth")
        if not isinstance(depth, Tensor) or depth.ndim != 3:
            raise InputError(
                f"This geometry has no depth (it has {', '.join(map(str, source)) or 'nothing'}). Connect the output of Run "
                "Depth Anything 3 or of MoGe's inference."
            )
        return depth, DARK
    if source.ndim != 4 or not len(source):
        raise InputError(
            f"Depth pictures are a batch of frames, got a tensor of shape {tuple(source.shape)}."
        )
    coloured = max((colour_of(frame) for frame in source[:: max(1, len(source) // 8)]), default=0.0)
    if coloured > 0.1:
        raise InputError(
            f"These pictures are coloured (channels differ by up to {coloured:.2f}), not depth. Choose a grey depth picture, "
            "without a colour map, in the node before this one."
        )
    return source[..., 0], BRIGHT


def colour_of(frame: Tensor) -> float:
    """How far the channels of `h w c` are apart."""
    three = frame[..., :3].nan_to_num()
    return (three.amax(-1) - three.amin(-1)).max().item()


def as_kind(depth: Tensor, kind: str) -> Tensor:
    """One frame in the numbers that are normalised: for disparity 1 / depth, no number where depth is none."""
    if kind != DISPARITY:
        return depth
    return torch.where(depth > 0, 1 / depth.clamp(min=1e-6), torch.nan)


def normalise_depth(
    source: Tensor | Mapping[str, Any],
    *,
    kind: str = "auto",
    cut_near: float = CUT_NEAR,
    cut_far: float = CUT_FAR,
) -> Tensor:
    """Depth pictures `f h w 3` of a clip, one range for all frames. Beside source and result one frame is in memory."""
    depth, found = depth_frames(source)
    kind = found if kind == "auto" else kind
    samples = DepthSamples()
    for frame in depth:
        samples.add(as_kind(frame, kind))
    span = samples.range(cut_near=cut_near, cut_far=cut_far, inverse=kind in (BRIGHT, DISPARITY))
    pictures = torch.empty(*depth.shape, 3)
    for frame, picture in zip(depth, pictures, strict=True):
        picture.copy_(span.picture(as_kind(frame.float(), kind))[..., None])
    return pictures
