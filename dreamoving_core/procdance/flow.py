"""True optical flow: each part moves as one flat piece, given by a point and two picture vectors at both times."""

import torch
from torch import Tensor

from .parts import NUM_BONES
from .skeleton import Body


def bone_frames(body: Body) -> Tensor:
    """`f bone 3 2`: origin and two vectors of every bone's plane, pixels, float64. Bone 0 is the background."""
    spine = body.neck[:, :2] - body.pelvis[:, :2]
    across = body.shoulders[:, 0, :2] - body.shoulders[:, 1, :2]
    frames = [_still(body), _frame(body.pelvis, across, spine)]
    frames += [_frame(body.pelvis, body.hip_axis * 2, spine)]
    frames += [torch.cat([body.head_points["front"][:, None, :2], body.head_axes], dim=1)]
    for start, end in (
        (body.shoulders, body.elbows),
        (body.elbows, body.wrists),
        (body.wrists, body.hands[:, :, 9]),
        (body.hips, body.knees),
        (body.knees, body.ankles),
        (body.heels, body.toes),
    ):
        frames += [_limb(start[:, side], end[:, side], body.unit) for side in (0, 1)]
    return torch.stack(frames, dim=1)


def flow_between(now: Tensor, later: Tensor, bones: Tensor, mask: Tensor) -> Tensor:
    """Where each pixel's surface goes: `now`, `later` f bone 3 2, `bones` f h w (index), `mask` f h w; returns f h w 2."""
    origin, first, second = now.unbind(dim=2)
    determinant = first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]
    determinant = torch.where(determinant.abs() < 1e-3, torch.full_like(determinant, 1e-3), determinant)
    change = later - now
    # displacement = change of origin + u * change of first + v * change of second, (u, v) linear in the pixel
    u_row = torch.stack([second[..., 1], -second[..., 0]], dim=-1) / determinant[..., None]
    v_row = torch.stack([-first[..., 1], first[..., 0]], dim=-1) / determinant[..., None]
    matrix = change[:, :, 1, :, None] * u_row[..., None, :] + change[:, :, 2, :, None] * v_row[..., None, :]
    shift = change[:, :, 0] - (matrix * origin[..., None, :]).sum(dim=-1)
    table = torch.cat([matrix.flatten(2), shift], dim=-1).float()  # f bone 6
    frames, height, width = bones.shape
    flow = torch.zeros(frames * height * width, 2)
    person = mask.flatten().nonzero()[:, 0]
    pixel = person % (height * width)
    x, y = (pixel % width).float() + 0.5, (pixel // width).float() + 0.5
    index = (person // (height * width)) * NUM_BONES + bones.flatten()[person].long()
    xx, xy, yx, yy, sx, sy = table.flatten(0, 1).t().index_select(1, index)
    flow[person] = torch.stack([xx * x + xy * y + sx, yx * x + yy * y + sy], dim=-1)
    return flow.reshape(frames, height, width, 2)


def _still(body: Body) -> Tensor:
    zero = torch.zeros_like(body.hip_axis)
    one = torch.ones_like(body.unit)
    return torch.stack([zero, torch.stack([one, one * 0], -1), torch.stack([one * 0, one], -1)], dim=1)


def _frame(origin: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.stack([origin[:, :2], first, second], dim=1)


def _limb(start: Tensor, end: Tensor, unit: Tensor) -> Tensor:
    """A limb keeps its thickness while its picture shortens; one that points at the viewer only travels."""
    way = end[:, :2] - start[:, :2]
    length = (way * way).sum(dim=-1, keepdim=True).sqrt()
    direction = way / length.clamp(min=1e-6)
    least = 0.03 * unit[:, None]
    along = direction * torch.maximum(length, least)
    across = torch.stack([-direction[:, 1], direction[:, 0]], dim=-1) * least
    return torch.stack([start[:, :2], along, across], dim=1)
