"""Pose maps as control_v11p_sd15_openpose was trained on: coloured limbs, joints, hands and face dots on black.

From a canvas of 512 pixels on, the convention's own numbers and integer arithmetic are used. On smaller canvases
its sticks of half width 4 would swamp the figure, so they become thinner and antialiased at sub-pixel places [ours].
"""

import math
from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb
from types import ModuleType
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, MissingPackageError
from .keypoints import SEEN, OpenPose, decode_pose_keypoint, to_openpose

STICK_WIDTH = 4.0  # [CN] half width of a limb, radius of a joint and of a hand's dot
HAND_LINE = 2  # [CN] thickness
FACE_DOT = 3.0  # [CN] radius
LIMB_SHADE = 0.6  # [CN] limbs are darker than joints
CONVENTION_SIZE = 512  # [CN] its training pictures
Stick = float | Literal["auto", "grow", "xinsir"]

# Pairs of OpenPose-18 joints, from 0, in drawing order; limb and joint i share the i-th of 18 hues [CN].
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
HAND_LINES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1)
    for finger in range(5)
    for joint in range(4)
)
_SHIFT = 4  # OpenCV's fixed point: sixteenths of a pixel


def draw_pose(
    pose_keypoint: Sequence[Mapping],
    *,
    width: int,
    height: int,
    body: bool = True,
    hands: bool = True,
    face: bool = True,
    feet: bool = False,
    stick_width: Stick = "auto",
    swap_hands: bool = False,
) -> Tensor:
    """Draw POSE_KEYPOINT, scaled from each frame's canvas to `width` x `height`; `f h w c` in [0, 1].

    `stick_width` is the half width of a limb in pixels; "auto" is the convention's 4 when the shorter side has 512
    pixels or more and proportionally less below, at least 1 [ours]; "grow" is proportional above 512 too. Hands and
    face scale with it. "xinsir" is that SDXL ControlNet's way: broader limbs, joints and hands as ever.
    `feet` are dots, as ComfyUI's SDPose draws them; SD1.5's ControlNet has not seen any.
    """
    pose = decode_pose_keypoint(pose_keypoint, swap_hands=swap_hands)
    frames = [pose_keypoint] if isinstance(pose_keypoint, Mapping) else pose_keypoint
    factor = torch.tensor(
        [[width / float(f["canvas_width"]), height / float(f["canvas_height"]), 1.0] for f in frames]
    )
    scaled = OpenPose(**{name: points * factor[:, None, None] for name, points in vars(pose).items()})
    return draw_openpose(
        scaled,
        width=width,
        height=height,
        body=body,
        hands=hands,
        face=face,
        feet=feet,
        stick_width=stick_width,
    )


def draw_keypoints(
    keypoints: Tensor,
    *,
    width: int,
    height: int,
    body: bool = True,
    hands: bool = True,
    face: bool = True,
    feet: bool = False,
    stick_width: Stick = "auto",
) -> Tensor:
    """Draw COCO-WholeBody key points `f 133 3` or `f p 133 3` in pixels of this canvas; else as `draw_pose`."""
    pose = to_openpose(keypoints)
    return draw_openpose(
        pose,
        width=width,
        height=height,
        body=body,
        hands=hands,
        face=face,
        feet=feet,
        stick_width=stick_width,
    )


def draw_openpose(
    pose: OpenPose,
    *,
    width: int,
    height: int,
    body: bool = True,
    hands: bool = True,
    face: bool = True,
    feet: bool = False,
    stick_width: Stick = "auto",
) -> Tensor:
    """Draw people in OpenPose's layout, pixels of this canvas; else as `draw_pose`."""
    if width < 1 or height < 1:
        raise InputError(f"The pose picture needs a positive size, got {width} x {height}.")
    pen = _pen(stick_width, width=width, height=height)
    frames, people = pose.body.shape[:2]
    canvas = torch.zeros(frames, height, width, 3, dtype=torch.uint8)
    pictures = canvas.numpy()
    parts = {name: points.double().tolist() for name, points in vars(pose).items()}
    for i in range(frames):
        for p in range(people):
            if body:
                _draw_body(pen, pictures[i], parts["body"][i][p])
            for hand in ("left_hand", "right_hand") if hands else ():
                _draw_hand(pen, pictures[i], parts[hand][i][p])
            if face:
                for x, y, score in parts["face"][i][p]:
                    if score > SEEN and pen.reaches(x, y):
                        pen.dot(pictures[i], x, y, FACE_DOT, (255, 255, 255))
            for (x, y, score), hue in zip(parts["feet"][i][p] if feet else (), _HUES, strict=False):
                if score > SEEN:
                    pen.dot(pictures[i], x, y, STICK_WIDTH, hue)
    return canvas.float() / 255


def _pen(stick_width: Stick, *, width: int, height: int) -> "_ExactPen | _FinePen":
    relative = STICK_WIDTH * min(width, height) / CONVENTION_SIZE
    if stick_width == "xinsir":
        longer = max(width, height)
        return _ExactPen(_cv2(), limb=STICK_WIDTH * (1 if longer < 500 else min(2 + longer // 1000, 7)))
    if stick_width == "auto":
        stick = min(max(relative, 1.0), STICK_WIDTH)
    else:
        stick = max(relative, 1.0) if stick_width == "grow" else float(stick_width)
    if not stick > 0:
        raise InputError(f"stick_width must be above 0 pixels or 'auto', got {stick_width}.")
    return _ExactPen(_cv2()) if stick == STICK_WIDTH else _FinePen(_cv2(), stick)


def _draw_body(pen, picture, joints: list[list[float]]) -> None:
    for (first, last), hue in zip(LIMBS, _HUES, strict=False):
        (ax, ay, a), (bx, by, b) = joints[first], joints[last]
        if a > SEEN and b > SEEN:
            pen.limb(picture, (ax, ay), (bx, by), tuple(int(c * LIMB_SHADE) for c in hue))
    for (x, y, score), hue in zip(joints, _HUES, strict=True):
        if score > SEEN:
            pen.dot(picture, x, y, STICK_WIDTH, hue)


def _draw_hand(pen, picture, joints: list[list[float]]) -> None:
    for (first, last), hue in zip(HAND_LINES, _HAND_HUES, strict=True):
        (ax, ay, a), (bx, by, b) = joints[first], joints[last]
        if a > SEEN and b > SEEN and pen.reaches(ax, ay) and pen.reaches(bx, by):
            pen.line(picture, (ax, ay), (bx, by), hue)
    for x, y, score in joints:
        if score > SEEN and pen.reaches(x, y):
            pen.dot(picture, x, y, STICK_WIDTH, (0, 0, 255))


class _ExactPen:
    """The convention to the pixel: whole-pixel places, no antialiasing."""

    def __init__(self, cv2: ModuleType, *, limb: float = STICK_WIDTH):
        self.cv2, self.half_width = cv2, int(limb)

    def reaches(self, x: float, y: float) -> bool:
        """Hands and faces lose what lies left of or above the second pixel: so the convention has it."""
        return int(x) > 0 and int(y) > 0

    def limb(self, picture, start, end, colour) -> None:
        (ax, ay), (bx, by) = start, end
        length = math.hypot(ax - bx, ay - by)
        angle = int(math.degrees(math.atan2(ay - by, ax - bx)))
        middle = (int((ax + bx) / 2), int((ay + by) / 2))
        outline = self.cv2.ellipse2Poly(middle, (int(length / 2), self.half_width), angle, 0, 360, 1)
        self.cv2.fillConvexPoly(picture, np.asarray(outline), colour)

    def line(self, picture, start, end, colour) -> None:
        a, b = (tuple(int(v) for v in point) for point in (start, end))
        self.cv2.line(picture, a, b, colour, thickness=HAND_LINE)

    def dot(self, picture, x, y, radius, colour) -> None:
        self.cv2.circle(picture, (int(x), int(y)), int(radius), colour, thickness=-1)


class _FinePen:
    """Everything scaled by stick_width / 4, antialiased, placed to a sixteenth of a pixel."""

    def __init__(self, cv2: ModuleType, stick: float):
        self.cv2, self.stick = cv2, stick
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        self.cos, self.sin = np.cos(turn), np.sin(turn)
        self.thickness = max(1, round(HAND_LINE * stick / STICK_WIDTH))

    def reaches(self, x: float, y: float) -> bool:
        return True

    def limb(self, picture, start, end, colour) -> None:
        unit = 1 << _SHIFT
        (ax, ay), (bx, by) = start, end
        dx, dy = (bx - ax) / 2, (by - ay) / 2
        half = max((dx * dx + dy * dy) ** 0.5, 1e-6)
        wide = max(self.stick - 0.5, 0.25) / half  # OpenCV's soft border adds half a pixel
        # OpenCV's pixel centres are whole numbers, ours lie half a pixel further
        x = (ax + dx - 0.5 + dx * self.cos - dy * wide * self.sin) * unit
        y = (ay + dy - 0.5 + dy * self.cos + dx * wide * self.sin) * unit
        outline = np.stack([x, y], axis=1).round().astype(np.int32)
        self.cv2.fillConvexPoly(picture, outline, colour, self.cv2.LINE_AA, _SHIFT)

    def line(self, picture, start, end, colour) -> None:
        self.cv2.line(
            picture, self._place(*start), self._place(*end), colour, self.thickness, self.cv2.LINE_AA, _SHIFT
        )

    def dot(self, picture, x, y, radius, colour) -> None:
        size = round(radius * self.stick / STICK_WIDTH * (1 << _SHIFT))
        self.cv2.circle(picture, self._place(x, y), size, colour, -1, self.cv2.LINE_AA, _SHIFT)

    def _place(self, x: float, y: float) -> tuple[int, int]:
        unit = 1 << _SHIFT
        return round((x - 0.5) * unit), round((y - 0.5) * unit)


def _hue(degrees: float) -> tuple[int, int, int]:
    """RGB of a pure hue."""
    return tuple(round(c * 255) for c in hsv_to_rgb(degrees / 360, 1.0, 1.0))


_HUES = tuple(_hue(20.0 * i) for i in range(18))  # [CN] (255, 0, 0) to (255, 0, 85)
_HAND_HUES = tuple(_hue(18.0 * i) for i in range(20))


def _cv2() -> ModuleType:
    try:
        import cv2
    except ImportError as error:
        raise MissingPackageError(
            "Drawing poses needs OpenCV, which is not installed here. Install it with: pip install opencv-python"
        ) from error
    return cv2
