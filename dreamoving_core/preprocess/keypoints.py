"""Key points in their three shapes: COCO-WholeBody 133, OpenPose 18 + 6 + 70 + 21 + 21, and the POSE_KEYPOINT socket.

Axes: f frame, p person, j joint; a point is (x, y, score), pixels with the origin top left, score 0 for a missing
point. Left and right are the dancer's. POSE_KEYPOINT is ComfyUI's de-facto JSON: one dict per frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..errors import InputError

SEEN = 0.3  # [DWPose] a point with a lower score counts as missing

# 133 = 17 body, 6 feet, 68 face, 21 left hand, 21 right hand
FEET, FACE, LEFT_HAND, RIGHT_HAND = slice(17, 23), slice(23, 91), slice(91, 112), slice(112, 133)
LEFT_SHOULDER, RIGHT_SHOULDER = 5, 6
_FROM_COCO = (0, 0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)  # index 1, the neck, is made
# OpenPose's own BODY_25: a middle of the hips that we don't keep, and the feet behind the body
_FROM_BODY_25 = (*range(8), *range(9, 19))
_FEET_OF_BODY_25 = slice(19, 25)
_NECK, _RIGHT_EYE, _LEFT_EYE = 1, 14, 15
_RIGHT_WRIST, _LEFT_WRIST = 4, 7
_LISTS = {
    "body": ("pose_keypoints_2d", 18),
    "face": ("face_keypoints_2d", 70),
    "left_hand": ("hand_left_keypoints_2d", 21),
    "right_hand": ("hand_right_keypoints_2d", 21),
    "feet": ("foot_keypoints_2d", 6),
}


@dataclass(frozen=True, kw_only=True)
class OpenPose:
    """People in OpenPose's layout, `f p j 3` each; a frame with fewer people is filled up with zeros."""

    body: Tensor  # 18
    face: Tensor  # 70
    left_hand: Tensor  # 21
    right_hand: Tensor  # 21
    feet: Tensor  # 6: left big toe, small toe, heel, then the right foot


def to_openpose(keypoints: Tensor) -> OpenPose:
    """COCO-WholeBody `f 133 3` (one person) or `f p 133 3`: the neck is between the shoulders, the face gets the eyes as 69 and 70."""
    people = _people(keypoints)
    left, right = people[..., LEFT_SHOULDER, :], people[..., RIGHT_SHOULDER, :]
    neck = (left + right) / 2
    both = (left[..., 2] > SEEN) & (right[..., 2] > SEEN)
    body = people[..., _FROM_COCO, :].clone()
    body[..., _NECK, :] = torch.where(both[..., None], neck, torch.zeros_like(neck))
    face = people[..., FACE, :]
    return OpenPose(
        body=body,
        face=torch.cat([face, _pupils(face, body)], dim=-2),
        left_hand=people[..., LEFT_HAND, :],
        right_hand=people[..., RIGHT_HAND, :],
        feet=people[..., FEET, :],
    )


def encode_pose_keypoint(pose: OpenPose | Tensor, *, width: int, height: int) -> list[dict]:
    """POSE_KEYPOINT of `OpenPose` or COCO-WholeBody key points.

    Scores become 1.0 or 0.0 and missing points (0, 0, 0): readers that drop every score below 1 and readers that
    cannot take `None` both understand that. People without any visible point are left out.
    """
    pose = pose if isinstance(pose, OpenPose) else to_openpose(pose)
    lists = {key: _binary(getattr(pose, part)).flatten(-2).tolist() for part, (key, _) in _LISTS.items()}
    frames = []
    for frame in range(pose.body.shape[0]):
        people = [{key: values[frame][p] for key, values in lists.items()} for p in range(pose.body.shape[1])]
        people = [person for person in people if any(any(points[2::3]) for points in person.values())]
        frames.append({"canvas_width": width, "canvas_height": height, "people": people})
    return frames


def decode_pose_keypoint(
    frames: Sequence[Mapping], *, swap_hands: bool | Literal["auto"] = False
) -> OpenPose:
    """Read POSE_KEYPOINT of any known writer, in pixels of each frame's own canvas.

    Takes missing or `None` lists, 18 body points or OpenPose's 25, 68 or 70 face points, raw scores, and coordinates
    in [0, 1]. `swap_hands` is for core's SDPose, which writes the right hand under the left hand's key; "auto" looks
    to whose wrists the hands are nearer. Raises InputError for anything else.
    """
    if isinstance(frames, Mapping):
        frames = [frames]
    if not isinstance(frames, Sequence) or isinstance(frames, str):
        raise InputError(f"A POSE_KEYPOINT is a list with one entry per frame, got {type(frames).__name__}.")
    if not frames:
        raise InputError("A pose needs at least 1 frame, got an empty POSE_KEYPOINT list.")
    most = max(1, *(len(_people_of(frame, i)) for i, frame in enumerate(frames)))
    parts = {name: torch.zeros(len(frames), most, count, 3) for name, (_, count) in _LISTS.items()}
    for i, frame in enumerate(frames):
        for p, person in enumerate(_people_of(frame, i)):
            for name, (key, count) in _LISTS.items():
                points = _points(person.get(key), count, where=f"frame {i}, person {p}, {key}")
                if name == "body" and len(points) == 25:
                    parts["feet"][i, p] = points[_FEET_OF_BODY_25]
                    points = points[_FROM_BODY_25, :]
                if len(points):  # an absent list of feet leaves those of BODY_25
                    parts[name][i, p, : len(points)] = points
    _to_pixels(parts, frames)
    _fill_eyes(parts)
    if swap_hands == "auto":
        swap_hands = _hands_are_swapped(parts)
    if swap_hands:
        parts["left_hand"], parts["right_hand"] = parts["right_hand"], parts["left_hand"]
    return OpenPose(**parts)


def _people(keypoints: Tensor) -> Tensor:
    if keypoints.ndim not in (3, 4) or tuple(keypoints.shape[-2:]) != (133, 3):
        raise InputError(
            f"Whole-body key points are frames x 133 x 3, got {' x '.join(map(str, keypoints.shape))}."
        )
    return keypoints if keypoints.ndim == 4 else keypoints[:, None]


def _binary(points: Tensor) -> Tensor:
    seen = (points[..., 2:] > SEEN).to(points)
    return torch.cat([points[..., :2] * seen, seen], dim=-1)


def _people_of(frame: Mapping, index: int) -> list[Mapping]:
    missing = (
        [key for key in ("canvas_width", "canvas_height") if key not in frame]
        if isinstance(frame, Mapping)
        else ["people"]
    )
    if missing:
        raise InputError(
            f"Frame {index} of the POSE_KEYPOINT list lacks {' and '.join(missing)}; connect a pose node's output."
        )
    people = frame.get("people") or []
    if not all(isinstance(person, Mapping) for person in people):
        raise InputError(
            f"Frame {index} of the POSE_KEYPOINT list has people that are no dictionaries of points."
        )
    return people


def _points(values: Sequence[float] | None, count: int, *, where: str) -> Tensor:
    if not values:
        return torch.zeros(0, 3)
    accepted = {count * 3, *{70: (68 * 3,), 18: (25 * 3,)}.get(count, ())}
    if len(values) not in accepted:
        raise InputError(
            f"Expected {count} points ({count * 3} numbers) in {where}, got {len(values)} numbers."
        )
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 3).nan_to_num()


def _to_pixels(parts: dict[str, Tensor], frames: Sequence[Mapping]) -> None:
    """Scale a whole clip that uses fractions of the canvas; a clip in pixels has some coordinate above 2."""
    largest = max(float((points[..., :2] * (points[..., 2:] > 0)).max()) for points in parts.values())
    if largest > 2.0:  # joints outside the picture have fractions above 1
        return
    canvas = torch.tensor([[float(f["canvas_width"]), float(f["canvas_height"])] for f in frames])
    for points in parts.values():
        points[..., :2] *= canvas[:, None, None]


def _fill_eyes(parts: dict[str, Tensor]) -> None:
    """Writers with 68 face points leave the two pupils out; the body has them."""
    face = parts["face"]
    missing = (face[..., 68:, 2:] == 0).all(dim=-2, keepdim=True)
    face[..., 68:, :] = torch.where(missing, _pupils(face[..., :68, :], parts["body"]), face[..., 68:, :])


def _hands_are_swapped(parts: dict[str, Tensor]) -> bool:
    """Whether over the whole clip the hands begin nearer to the other side's wrist."""
    body, right, left = (parts[name] for name in ("body", "right_hand", "left_hand"))

    def apart(hand: Tensor, wrist: int) -> Tensor:
        both = (
            (hand[..., 0, 2] > SEEN)
            & (body[..., _RIGHT_WRIST, 2] > SEEN)
            & (body[..., _LEFT_WRIST, 2] > SEEN)
        )
        return ((hand[..., 0, :2] - body[..., wrist, :2]).norm(dim=-1) * both).sum()

    straight = apart(right, _RIGHT_WRIST) + apart(left, _LEFT_WRIST)
    crossed = apart(right, _LEFT_WRIST) + apart(left, _RIGHT_WRIST)
    return bool(crossed < straight)


def _pupils(face: Tensor, body: Tensor) -> Tensor:
    """Points 69 and 70 of a face: the body's eyes, where any point of the face is seen."""
    eyes = body[..., [_RIGHT_EYE, _LEFT_EYE], :]
    seen = (face[..., 2] > SEEN).any(dim=-1)[..., None, None]
    return torch.where(seen, eyes, torch.zeros_like(eyes))
