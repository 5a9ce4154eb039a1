"""Heads: 68 face landmarks and a few more marks, with mouth, eyes and brows that act, placed in space.

Head space: head heights, origin in the middle, x right in the picture, y down (crown -0.5, chin 0.5), z to the nose.
The skull is a ball of radius SKULL_RADIUS, the chin a smaller one; the head is the hull of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .dance import Pose

SKULL = (0.0, -0.08, 0.0)
SKULL_RADIUS = 0.42
CHIN = (0.0, 0.20, 0.06)
CHIN_RADIUS = 0.28
EYE = (0.17, 0.07, 0.088, 0.082)  # x, y, half width, half height when open
BROW = (0.18, -0.10, 0.105)  # x, y, half width
MOUTH_Y = 0.305
# Half widths of the hull at 17 heights from ear over chin to ear, pulled in to lie on the face.
_JAW = (
    (0.40, 0.02),
    (0.37, 0.10),
    (0.335, 0.17),
    (0.29, 0.25),
    (0.25, 0.32),
    (0.205, 0.38),
    (0.15, 0.43),
    (0.08, 0.46),
    (0.0, 0.47),
)


@dataclass(frozen=True)
class HeadFrame:
    """Where the head is: `origin` f 3, `axes` f 3 3 (x, y, z as rows), `height` f."""

    origin: Tensor
    axes: Tensor
    height: Tensor

    def place(self, points: Tensor) -> Tensor:
        """Head space `f n 3` or `f 3` to space, same shape."""
        flat = points if points.ndim == 3 else points[:, None]
        x, y, z = (self.axes[:, None, i] for i in range(3))
        turned = flat[..., 0:1] * x + flat[..., 1:2] * y + flat[..., 2:3] * z
        placed = self.origin[:, None] + turned * self.height[:, None, None]
        return placed if points.ndim == 3 else placed[:, 0]


def head_frame(base: Tensor, height: Tensor, pose: Pose, shots: Sequence[str]) -> HeadFrame:
    """The head on its neck: `base` f 3 is the neck's upper end. Close shots keep the head calmer."""
    calm = torch.tensor(
        [0.75 if shot in ("face", "face_reference") else 1.0 for shot in shots], dtype=base.dtype
    )
    yaw, pitch, roll = (pose.head[:, i] * calm for i in range(3))
    (sy, cy), (sp, cp), (sr, cr) = ((_round(torch.sin(a)), _round(torch.cos(a))) for a in (yaw, pitch, roll))
    zero = torch.zeros_like(sy)
    x = torch.stack([cy, zero, -sy], dim=1)
    y = torch.stack([sy * sp, cp, cy * sp], dim=1)
    z = torch.stack([sy * cp, -sp, cy * cp], dim=1)
    x, y = x * cr[:, None] + y * sr[:, None], y * cr[:, None] - x * sr[:, None]
    origin = base - y * (height * 0.44)[:, None]
    return HeadFrame(origin, torch.stack([x, y, z], dim=1), height)


def landmarks(pose: Pose) -> Tensor:
    """`f 68 3` in head space: jaw, brows, nose, eyes, outer lips, inner lips; the picture's left first."""
    one = torch.ones_like(pose.mouth)
    points: list[tuple[Tensor, Tensor, float]] = []
    for x, y in [(-x, y) for x, y in _JAW] + [(x, y) for x, y in reversed(_JAW[:-1])]:
        points.append((x * one, y * one, -0.02))
    raise_ = -0.035 * pose.brow - 0.01
    for sign in (-1, 1):
        for step in (-2, -1, 0, 1, 2):
            arch = 0.028 * (4 - step * step) / 4
            slant = 0.011 * sign * step  # the inner end a little higher: friendly
            points.append(((sign * BROW[0] + BROW[2] * step / 2) * one, BROW[1] - arch + slant + raise_, 0.0))
    points += [(0 * one, (0.04 + 0.045 * i) * one, 0.02 * i) for i in range(4)]
    points += [(0.03 * i * one, (0.225 - 0.008 * abs(2 - abs(i))) * one, 0.03) for i in (-2, -1, 0, 1, 2)]
    for sign in (-1, 1):
        points += _eye(sign, pose.eyes)
    points += _lips(pose)
    x = torch.stack([p[0] for p in points], dim=1)
    y = torch.stack([p[1] for p in points], dim=1)
    bulge = torch.tensor([p[2] for p in points], dtype=x.dtype)
    z = surface(x, y) + bulge
    z[:, :17] = 0.1  # the jaw line is the head's outline, not its front
    return torch.stack([x, y, z], dim=2)


def marks(pose: Pose) -> dict[str, Tensor]:
    """Named points in head space, `f 3` each; left is the dancer's left."""
    fixed = {
        "skull": SKULL,
        "chin": CHIN,
        "nose": (0.0, 0.19, 0.45),
        "left_ear": (0.41, 0.06, -0.04),
        "right_ear": (-0.41, 0.06, -0.04),
        "left_eye": (EYE[0], EYE[1], _front(EYE[0], EYE[1])),
        "right_eye": (-EYE[0], EYE[1], _front(EYE[0], EYE[1])),
        "left_cheek": (0.245, 0.215, _front(0.245, 0.215)),
        "right_cheek": (-0.245, 0.215, _front(0.245, 0.215)),
        "hairline": (0.0, -0.20, 0.36),
        "crown": (0.0, -0.47, -0.1),
        "back": (0.0, -0.06, -0.14),
        "nape": (0.0, 0.36, -0.22),
        "left_temple": (0.39, -0.12, 0.0),
        "right_temple": (-0.39, -0.12, 0.0),
        "left_lock": (0.41, 0.42, -0.05),
        "right_lock": (-0.41, 0.42, -0.05),
        "bun": (0.0, -0.58, -0.14),
        "front": (0.0, 0.0, 0.38),
    }
    frames = pose.mouth.shape[0]
    return {name: torch.tensor(at, dtype=pose.mouth.dtype).expand(frames, 3) for name, at in fixed.items()}


def surface(x: Tensor, y: Tensor) -> Tensor:
    """z of the face's front at (x, y)."""
    inside = 1 - (x / 0.43) * (x / 0.43) - (y / 0.56) * (y / 0.56)
    return 0.41 * inside.clamp(min=0.02).sqrt()


def _front(x: float, y: float) -> float:
    return 0.41 * max(1 - (x / 0.43) ** 2 - (y / 0.56) ** 2, 0.02) ** 0.5


def _eye(sign: int, openness: Tensor) -> list[tuple[Tensor, Tensor, float]]:
    x, y, width, height = EYE
    one = torch.ones_like(openness)
    upper = y + height * (0.55 - 1.35 * openness)  # a shut eye rests on its lower lid
    lower = y + height * 0.55 * one + 0.3 * height * openness
    corner = y + height * (0.45 - 0.45 * openness)
    at = sign * x
    return [
        ((at - width) * one, corner, 0.0),
        ((at - width * 0.42) * one, upper, 0.0),
        ((at + width * 0.42) * one, upper, 0.0),
        ((at + width) * one, corner, 0.0),
        ((at + width * 0.42) * one, lower, 0.0),
        ((at - width * 0.42) * one, lower, 0.0),
    ]


def _lips(pose: Pose) -> list[tuple[Tensor, Tensor, float]]:
    half = 0.115 + 0.03 * pose.smile - 0.025 * pose.mouth
    lift = -0.035 * pose.smile
    gap = 0.085 * pose.mouth
    outer_x = (-1.0, -0.64, -0.26, 0.0, 0.26, 0.64, 1.0, 0.64, 0.26, 0.0, -0.26, -0.64)
    outer_y = (0.0, -0.7, -1.0, -0.86, -1.0, -0.7, 0.0, 0.75, 1.05, 1.1, 1.05, 0.75)
    inner_x = (-0.82, -0.3, 0.0, 0.3, 0.82, 0.3, 0.0, -0.3)
    inner_y = (0.0, -1.0, -1.0, -1.0, 0.0, 1.0, 1.0, 1.0)
    lips = [
        (half * x, MOUTH_Y + lift * x * x + 0.5 * gap + y * (0.035 + 0.75 * gap), 0.01)
        for x, y in zip(outer_x, outer_y, strict=True)
    ]
    lips += [
        (half * x, MOUTH_Y + lift * x * x + 0.5 * gap + y * 0.75 * gap, 0.01)
        for x, y in zip(inner_x, inner_y, strict=True)
    ]
    return lips


def _round(value: Tensor) -> Tensor:
    return torch.round(value * 2.0**30) * 2.0**-30
