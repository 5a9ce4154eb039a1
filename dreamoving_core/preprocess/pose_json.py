"""Poses from JSON text: OpenPose's own files (one per frame), and the list of frames that pose nodes save."""

import json
from collections.abc import Mapping, Sequence

from ..errors import InputError
from .pose_clip import read_clip, write_clip


def read_pose_json(texts: Sequence[str], *, width: int = 0, height: int = 0) -> list[dict]:
    """POSE_KEYPOINT, written as the other tools write it, of one text or of one per frame.

    A frame is a dictionary with `people`. OpenPose's files don't say how large the picture was: `width` and `height`
    in pixels stand in. Raises InputError for text that is no JSON or no pose.
    """
    frames: list[dict] = []
    for number, text in enumerate(texts):
        frames.extend(
            _frames(text, where=f"text {number + 1} of {len(texts)}" if len(texts) > 1 else "the text")
        )
    if not frames:
        raise InputError(
            "The JSON holds no frames. Expected a list of frames, or OpenPose's file with 'people'."
        )
    return write_clip(read_clip([_with_canvas(frame, i, width, height) for i, frame in enumerate(frames)]))


def _frames(text: str, *, where: str) -> list[dict]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"Expected JSON in {where}, found something else at line {error.lineno}, column {error.colno}: {error.msg}. "
            "Give OpenPose's JSON, or what a pose node saved."
        ) from error
    found = found if isinstance(found, list) else [found]
    # some savers wrap every frame in a list of its own
    found = [frame[0] if isinstance(frame, list) and len(frame) == 1 else frame for frame in found]
    for i, frame in enumerate(found):
        if not isinstance(frame, Mapping) or "people" not in frame:
            raise InputError(
                f"Frame {i} in {where} is no pose: expected a dictionary with 'people', got {type(frame).__name__}."
            )
    return [dict(frame) for frame in found]


def _with_canvas(frame: dict, index: int, width: int, height: int) -> dict:
    if frame.get("canvas_width") and frame.get("canvas_height"):
        return frame
    if width < 1 or height < 1:
        raise InputError(
            f"Frame {index} doesn't say how large its picture was: write the video's width and height, got {width} x {height}."
        )
    return {**frame, "canvas_width": width, "canvas_height": height}
