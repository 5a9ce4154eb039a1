"""Who is in a clip: the single-person filter, the key frame, and pictures of face and clothes off other frames.

Pictures are `h w 3` uint8 RGB, poses POSE_KEYPOINT.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...errors import InputError
from ...preprocess.cloth_cut import ClothCutSettings, cut_cloth
from ...preprocess.dwpose import PoseExtractor
from ...preprocess.face_align import LocatedFace, faces_of_poses
from ...preprocess.face_crop import FaceCropSettings, crop_faces
from ...preprocess.pose_clip import BODY, LEFT_EYE, NECK, NOSE, RIGHT_EYE, PoseClip, read_clip
from ...preprocess.pose_track import main_person
from ...video.pixels import to_floats

LEAST = 4  # [ours] joints of a body in sight; less is half an arm at the edge, or a mistake
KEY_FRAMES = 9  # [ours] of a clip, evenly spread, of which one is captioned
TURNED = 0.05  # [ours] what a face seen from the side counts, of one that looks this way
CROP = 224  # [CLIP] pixels of both crops


@dataclass(frozen=True, kw_only=True)
class PeopleBars:
    """Shares of the frames that may show nobody, and more than one. `face_side` in pixels of the video. [ours]"""

    nobody: float = 0.1
    several: float = 0.05
    face_side: int = 40


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A picture of face or clothes, `h w 3` in [0, 1], and the frame of the video that it was cut out of."""

    picture: Tensor
    frame: int


def people_counts(clip: PoseClip) -> np.ndarray:
    """People with enough of a body in sight, in each frame: `f`."""
    return ((clip.points[:, :, BODY, 2] > 0).sum(axis=2) >= LEAST).sum(axis=1)


def company(clip: PoseClip) -> dict[str, float]:
    """Shares of the frames with nobody, and with more than one person."""
    counts = people_counts(clip)
    return {"nobody": round(float((counts == 0).mean()), 4), "several": round(float((counts > 1).mean()), 4)}


def unfit_company(figures: dict[str, float], bars: PeopleBars) -> str:
    """Why a clip with these shares is left out; "" when it is not."""
    if figures["nobody"] == 1:
        return "no person was found"
    if figures["nobody"] > bars.nobody:
        return f"nobody in {figures['nobody']:.0%} of the frames, the bar is {bars.nobody:.0%}"
    if figures["several"] > bars.several:
        return f"several people in {figures['several']:.0%} of the frames, the bar is {bars.several:.0%}"
    return ""


def key_frame(clip: PoseClip | None, frames: int) -> int:
    """The key frame in which the person stands nearest to the middle of the picture; the middle one without poses.

    [DM §2.1] "the centered frame in keyframes"; read as both centred: of equal ones the nearest to the clip's middle.
    """
    numbers = sorted({round((i + 0.5) * frames / KEY_FRAMES - 0.5) for i in range(KEY_FRAMES)})
    middle = (frames - 1) / 2
    if clip is None:
        return min(numbers, key=lambda n: abs(n - middle))
    size, points = np.array([clip.width, clip.height]), main_person(clip).points[:, 0]

    def away(n: int) -> tuple[float, float]:
        seen = points[n, BODY, 2] > 0
        if seen.sum() < LEAST:
            return np.inf, abs(n - middle)
        place = (points[n, BODY, :2][seen].min(axis=0) + points[n, BODY, :2][seen].max(axis=0)) / 2
        return round(float(np.hypot(*(place / size - 0.5))), 2), abs(n - middle)

    return min(numbers, key=away)


def references(
    pictures: dict[int, np.ndarray], extractor: PoseExtractor, bars: PeopleBars
) -> dict[str, Reference]:
    """`face` and `cloth` from the best of these frames (number -> picture); what none of them shows is missing."""
    numbers, found = sorted(pictures), {}
    if not numbers:
        return {}
    clips = [main_person_or_none(extractor.extract([pictures[n]])) for n in numbers]
    floats = [to_floats(pictures[n])[None] for n in numbers]
    faces = [largest_face(clip, bars) for clip in clips]
    best = max(range(len(numbers)), key=lambda i: faces[i][0])
    if faces[best][1] is not None:
        crop = crop_faces(floats[best], [[faces[best][1]]], FaceCropSettings(size=CROP)).crops[0]
        found["face"] = Reference(picture=crop, frame=numbers[best])
    order = sorted(range(len(numbers)), key=lambda i: -body_in_sight(clips[i]))
    for i in order:
        if body_in_sight(clips[i]) and (cloth := cut_or_none(floats[i], clips[i])) is not None:
            found["cloth"] = Reference(picture=cloth, frame=numbers[i])
            break
    return found


def main_person_or_none(frames: Sequence[dict]) -> PoseClip | None:
    """The only person of these poses; None for nobody and for company, whose clothes those may be."""
    clip = read_clip(frames)
    return main_person(clip) if people_counts(clip).max() == 1 else None


def largest_face(clip: PoseClip | None, bars: PeopleBars) -> tuple[float, LocatedFace | None]:
    """A score, larger for large faces that look this way, and the face; 0 and None for small and hidden ones."""
    if clip is None:
        return 0.0, None
    faces = faces_of_poses(clip, width=clip.width, height=clip.height)[0]
    head = clip.points[0, 0, [NOSE, RIGHT_EYE, LEFT_EYE]]
    if not faces or not (head[:, 2] > 0).all() or np.sqrt(faces[0].area) < bars.face_side:
        return 0.0, None
    across = head[2, :2] - head[1, :2]
    beside = float(
        (head[0, :2] - head[1:, :2].mean(axis=0)) @ across
    )  # of a nose that is not between the eyes
    turned = abs(beside) / max(float(across @ across), 1e-6)
    return faces[0].area * max(TURNED, 1 - 2 * turned), faces[0]


def body_in_sight(clip: PoseClip | None) -> int:
    """Joints of the body below the neck."""
    return 0 if clip is None else int((clip.points[0, 0, NECK:14, 2] > 0).sum())


def cut_or_none(picture: Tensor, clip: PoseClip | None) -> Tensor | None:
    """The clothes of `1 h w 3`; None where the pose doesn't show enough of them."""
    try:
        return cut_cloth(picture, ClothCutSettings(size=CROP), poses=clip).pictures[0]
    except InputError:
        return None
