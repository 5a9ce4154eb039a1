"""From a pose to a body in space and on the picture: joints, face and hand points, camera, COCO-WholeBody 133.

Space: body heights, x right, y down (ground 0), z towards the viewer. Picture: pixels, origin top left. A projected
point is (x, y, depth); depth is in [0, 1], near is bright. Side 0 is the dancer's left, side 1 the right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import face, hand
from .dance import Pose, column
from .identity import Person

NUM_KEYPOINTS = 133


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A camera: `scale` frame heights per body height, and which height of the body is at which place."""

    scale: float
    anchor: str  # "ground" or "head", placed at `place` of the frame's height
    place: float
    follow: float  # how much of the dancer's sideways travel the camera follows
    text: str


SHOTS: dict[str, Shot] = {
    "whole": Shot(scale=0.86, anchor="ground", place=0.94, follow=0.0, text="whole body"),
    "half": Shot(scale=1.58, anchor="head", place=0.13, follow=0.5, text="waist up"),
    "face": Shot(scale=2.7, anchor="head", place=0.20, follow=0.85, text="close-up"),
    "face_reference": Shot(scale=3.1, anchor="head", place=0.17, follow=1.0, text="face"),
    "cloth_reference": Shot(scale=1.14, anchor="ground", place=0.96, follow=1.0, text="clothes"),
}
LOOK_DOWN = 0.2  # picture rows per unit of z: the camera stands a little above


@dataclass(frozen=True)
class Body:
    """Everything that can be drawn or asked about: projected points `f ... 3` (x, y, depth), and pixels per unit."""

    unit: Tensor  # f, pixels per body height
    head_unit: Tensor  # f, pixels per head height
    pelvis: Tensor
    waist: Tensor
    chest: Tensor
    neck: Tensor
    hip_axis: Tensor  # f 2, from the pelvis to the left hip, pixels
    shoulders: Tensor  # f side 3
    elbows: Tensor
    wrists: Tensor
    hips: Tensor
    knees: Tensor
    ankles: Tensor
    toes: Tensor
    small_toes: Tensor
    heels: Tensor
    hands: Tensor  # f side 21 3
    arm_front: Tensor  # f side, True where the arm passes before the trunk
    leg_depth: Tensor  # f side
    face: Tensor  # f 68 3
    head_points: dict[str, Tensor]
    head_axes: Tensor  # f 2 2, pixels per head height: picture vectors of the head's x and y


def build_body(people: Sequence[Person], pose: Pose, shots: Sequence[str], *, size: int) -> Body:
    """Solve the limbs in space and project them, one person and shot per frame. float64 in, float64 out."""
    get = {n: column(people, n) for n in ("height", "head", "shoulder", "hip", "leg", "arm")}
    height = get["height"]
    rise = get["leg"] + 0.05
    spine_length = 1.0 - rise - get["head"] - 0.02
    spine = _lean(pose.lean, pose.bow)
    hip_side = _turn(pose.yaw)
    pelvis = _sink(pose, rise, get["leg"], get["hip"][:, None] * hip_side)
    neck = pelvis + spine * spine_length[:, None]
    shoulder_side = _turn(pose.yaw + pose.twist)
    # shoulders tilt with the trunk
    shoulder_side = _unit(shoulder_side - spine * (shoulder_side * spine).sum(-1, keepdim=True))
    sides = torch.tensor([1.0, -1.0], dtype=torch.float64)[None, :, None]
    feet = pose.feet * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    ankles = feet + torch.tensor([0.0, -0.05, 0.0], dtype=torch.float64)
    hips = pelvis[:, None] + sides * hip_side[:, None] * get["hip"][:, None, None]
    shoulders = (neck - spine * 0.038)[:, None] + sides * shoulder_side[:, None] * get["shoulder"][
        :, None, None
    ]
    forward = _forward(hip_side)
    thigh, shin = get["leg"] * 0.51, get["leg"] * 0.49
    outward = forward[:, None] + 0.5 * sides * hip_side[:, None]
    knees, ankles = _bend(hips, ankles, thigh, shin, outward)
    heel, toe, small_toe = _foot(ankles, pose.feet[..., 1], forward, hip_side, sides)

    frame = (shoulder_side, spine, _forward(shoulder_side))
    elbows = (
        shoulders
        + _arm_direction(pose.arms[..., 0], pose.arms[..., 1], frame) * (get["arm"] * 0.5)[:, None, None]
    )
    fore = _arm_direction(pose.arms[..., 2], pose.arms[..., 3], frame)
    wrists = elbows + fore * (get["arm"] * 0.5)[:, None, None]
    hands = hand.points(wrists, fore, pose.hands)

    head = face.head_frame(neck + spine * 0.02, get["head"], pose, shots)
    face_points = head.place(face.landmarks(pose))
    marks = {name: head.place(point) for name, point in face.marks(pose).items()}

    camera = _camera(shots, pelvis[:, 0], height, size)
    trunk = shoulders.mean(dim=1)[..., 2]
    return Body(
        unit=camera.unit,
        head_unit=camera.unit * get["head"],
        pelvis=camera.project(pelvis),
        waist=camera.project(pelvis + spine * (spine_length * 0.42)[:, None]),
        chest=camera.project(neck - spine * 0.05),
        neck=camera.project(neck),
        hip_axis=camera.project(hips)[:, 0, :2] - camera.project(pelvis)[:, :2],
        shoulders=camera.project(shoulders),
        elbows=camera.project(elbows),
        wrists=camera.project(wrists),
        hips=camera.project(hips),
        knees=camera.project(knees),
        ankles=camera.project(ankles),
        toes=camera.project(toe),
        small_toes=camera.project(small_toe),
        heels=camera.project(heel),
        hands=camera.project(hands),
        arm_front=(elbows[..., 2] + wrists[..., 2]) / 2 > trunk[:, None] - 0.01,
        leg_depth=knees[..., 2] + ankles[..., 2],
        face=camera.project(face_points),
        head_points={name: camera.project(point) for name, point in marks.items()},
        head_axes=torch.stack([camera.direct(head.axes[:, 0]), camera.direct(head.axes[:, 1])], dim=1)
        * get["head"][:, None, None],
    )


def keypoints_133(body: Body, *, size: int) -> Tensor:
    """COCO-WholeBody: 17 body, 6 feet, 68 face, 21 left hand, 21 right hand; `f 133 (x y visible)`.

    Visible is 1 inside the picture, else 0; a joint behind another part of the body counts as visible.
    """
    marks = body.head_points
    order = [marks[n] for n in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
    for pair in (body.shoulders, body.elbows, body.wrists, body.hips, body.knees, body.ankles):
        order += [pair[:, 0], pair[:, 1]]
    for side in (0, 1):
        order += [body.toes[:, side], body.small_toes[:, side], body.heels[:, side]]
    points = torch.cat([torch.stack(order, dim=1), body.face, body.hands[:, 0], body.hands[:, 1]], dim=1)[
        ..., :2
    ]
    inside = ((points >= 0) & (points < size)).all(dim=-1, keepdim=True)
    return torch.cat([points, inside.to(points)], dim=-1).float()


@dataclass(frozen=True)
class _Camera:
    unit: Tensor
    offset: Tensor  # f 2, pixels

    def project(self, points: Tensor) -> Tensor:
        unit, offset = self.unit, self.offset
        for _ in range(points.ndim - 2):
            unit, offset = unit.unsqueeze(-1), offset.unsqueeze(1)
        x = points[..., 0] * unit + offset[..., 0]
        y = (points[..., 1] + LOOK_DOWN * points[..., 2]) * unit + offset[..., 1]
        return torch.stack([x, y, (0.58 + 1.2 * points[..., 2]).clamp(0.15, 0.95)], dim=-1)

    def direct(self, vectors: Tensor) -> Tensor:
        x, y = vectors[:, 0], vectors[:, 1] + LOOK_DOWN * vectors[:, 2]
        return torch.stack([x, y], dim=-1) * self.unit[:, None]


def _camera(shots: Sequence[str], pelvis_x: Tensor, height: Tensor, size: int) -> _Camera:
    chosen = [SHOTS[name] for name in shots]
    scale, place, follow = (column(chosen, n) for n in ("scale", "place", "follow"))
    at_head = torch.tensor([shot.anchor == "head" for shot in chosen])
    unit = scale * height * size
    y = place * size + torch.where(at_head, unit, torch.zeros_like(unit))
    x = 0.5 * size - follow * pelvis_x * unit
    return _Camera(unit=unit, offset=torch.stack([x, y], dim=1))


def _sink(pose: Pose, rise: Tensor, leg: Tensor, to_hip: Tensor) -> Tensor:
    """The pelvis, no higher than both feet can reach."""
    heights = [rise - pose.pelvis[:, 1]]
    for side, sign in ((0, 1.0), (1, -1.0)):
        x = pose.feet[:, side, 0] - pose.pelvis[:, 0] - sign * to_hip[:, 0]
        z = pose.feet[:, side, 2] - sign * to_hip[:, 2]
        reach = (0.99 * leg * leg - x * x - z * z).clamp(min=0.01).sqrt()
        heights.append(reach + 0.05 + pose.feet[:, side, 1])
    height = torch.stack(heights).amin(dim=0)
    return torch.stack([pose.pelvis[:, 0], -height, torch.zeros_like(height)], dim=1)


def _bend(start: Tensor, end: Tensor, first: Tensor, second: Tensor, pole: Tensor) -> tuple[Tensor, Tensor]:
    """Middle joint of a two-bone chain that bends towards `pole`; an end out of reach comes closer."""
    first, second = first[:, None, None], second[:, None, None]
    way = end - start
    length = _norm(way)
    direction = way / length
    length = torch.minimum(length, 0.999 * (first + second))
    along = (first * first - second * second + length * length) / (2 * length)
    out = (first * first - along * along).clamp(min=0).sqrt()
    pole = _unit(pole - direction * (pole * direction).sum(-1, keepdim=True))
    return start + direction * along + pole * out, start + direction * length


def _foot(
    ankles: Tensor, lift: Tensor, forward: Tensor, side: Tensor, sides: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    ahead = _unit(forward[:, None] + 0.75 * sides * side[:, None])
    across = _unit(sides * side[:, None] - 0.6 * forward[:, None])
    down = torch.zeros_like(ahead)
    down[..., 1] = 1.0
    point_down = (lift * 4).clamp(0, 0.7)[..., None]
    ahead = _unit(ahead + down * point_down)
    heel = ankles - ahead * 0.02 + down * 0.03
    toe = ankles + ahead * 0.075 + down * 0.034
    return heel, toe, toe - ahead * 0.014 + across * 0.026


def _arm_direction(angle: Tensor, tilt: Tensor, frame: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """`f side 3`: `angle` from hanging (0) over sideways to up, `tilt` forward, in the chest's own frame."""
    side, up, ahead = (axis[:, None] for axis in frame)
    sides = torch.tensor([1.0, -1.0], dtype=torch.float64)[None, :]
    cos_tilt = cosine(tilt)
    out = (sides * sine(angle) * cos_tilt)[..., None]
    down = (cosine(angle) * cos_tilt)[..., None]
    return side * out - up * down + ahead * sine(tilt)[..., None]


def _lean(lean: Tensor, bow: Tensor) -> Tensor:
    return torch.stack([sine(lean) * cosine(bow), -cosine(lean) * cosine(bow), sine(bow)], dim=1)


def _turn(yaw: Tensor) -> Tensor:
    return torch.stack([cosine(yaw), torch.zeros_like(yaw), sine(yaw)], dim=1)


def _forward(side: Tensor) -> Tensor:
    flat = torch.stack([-side[:, 2], torch.zeros_like(side[:, 0]), side[:, 0]], dim=1)
    return _unit(flat)


def sine(angle: Tensor) -> Tensor:
    """sin rounded to 2**-30: the same bits whatever vector width computes it."""
    return torch.round(torch.sin(angle) * 2.0**30) * 2.0**-30


def cosine(angle: Tensor) -> Tensor:
    """cos rounded to 2**-30."""
    return torch.round(torch.cos(angle) * 2.0**30) * 2.0**-30


def _norm(vectors: Tensor) -> Tensor:
    x, y, z = vectors.unbind(-1)
    return (x * x + y * y + z * z).sqrt().clamp(min=1e-9).unsqueeze(-1)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / _norm(vectors)
