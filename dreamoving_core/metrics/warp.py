"""Whether a clip's surfaces keep their look while they move along the true flow. Clips: f h w c in [0, 1]."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ..errors import InputError

SAME_COLOUR = 0.1  # [ours] a truth that changes more along its own flow shows another surface there


def warped_back(clip: Tensor, flow: Tensor) -> Tensor:
    """Every frame but the first, seen from the frame before: `f-1 h w c`, bilinear.

    `flow`: `f h w 2` (x, y), pixels to where a pixel's surface is one frame later; its last frame is not used.
    """
    if flow.shape != (*clip.shape[:3], 2):
        raise InputError(
            f"The flow is {list(flow.shape)} for a clip of {list(clip.shape)}: it must be frames, height, width and 2."
        )
    _frames, height, width, _channels = clip.shape
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    place = torch.stack([columns, rows], dim=-1) + flow[:-1].float()
    grid = place * 2 / torch.tensor([width, height]) - 1
    later = rearrange(clip[1:].float(), "f h w c -> f c h w")
    moved = functional.grid_sample(later, grid, padding_mode="border", align_corners=False)
    return rearrange(moved, "f c h w -> f h w c")


def visible_along(truth: Tensor, flow: Tensor, labels: Tensor) -> Tensor:
    """Pixels whose surface is still seen one frame later, `f-1 h w` bool.

    By the truth alone: the flow stays inside the picture, the part (`labels`, f h w) is the same where it leads to, and
    so is the colour. What is covered, uncovered or turned away has no error.
    """
    height, width = truth.shape[1:3]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    x, y = columns + flow[:-1, ..., 0], rows + flow[:-1, ..., 1]
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    column, row = x.round().long().clamp(0, width - 1), y.round().long().clamp(0, height - 1)
    frame = torch.arange(1, len(labels))[:, None, None].expand_as(row)
    same_part = labels[frame, row, column] == labels[:-1]
    same_colour = (warped_back(truth, flow) - truth[:-1]).abs().amax(-1) <= SAME_COLOUR
    return inside & same_part & same_colour


def warp_error(clip: Tensor, flow: Tensor, visible: Tensor, *, mask: Tensor | None = None) -> float:
    """Root mean square difference between a frame and the next one brought back along the flow.

    Over the pixels `visible` (see `visible_along`), if `mask` (f h w) is given only where it is set too.
    """
    if len(clip) < 2:
        raise InputError(f"The warp error needs at least 2 frames, got {len(clip)}.")
    counted = visible if mask is None else visible & mask[:-1].bool()
    if not counted.any():
        raise InputError("No pixel can be followed from a frame to the next, so there is no warp error.")
    change = (warped_back(clip, flow) - clip[:-1]).to(torch.float64).square().mean(-1)
    return float(change[counted].mean().sqrt())
