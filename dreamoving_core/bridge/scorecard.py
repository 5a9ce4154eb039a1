"""Scorecard: a clip from a socket, judges of identity, poses from other nodes; with progress and cancel."""

import math
from collections.abc import Callable, Sequence

import torch
from comfy.clip_vision import ClipVisionModel, clip_preprocess
from comfy_api.latest import Input
from torch import Tensor

from ..errors import InputError
from ..metrics.scorecard import Likeness, Scorecard, Scorer, ScoreSettings
from ..preprocess.face_identity import FaceRecogniser
from ..preprocess.pose_clip import PoseClip, read_clip
from ..video.playback import Clip
from .output import watched
from .reference_images import checked_images, image_features, squared
from .scorecard_pictures import scorecard_plot, worst_pictures
from .video_clip import open_clip

Keypoints = Sequence[dict]


def score_video(
    images: Tensor | Input.Video,
    settings: ScoreSettings,
    *,
    reference: Tensor | None = None,
    keypoints: Keypoints | None = None,
    result_keypoints: Keypoints | None = None,
    face_recogniser: FaceRecogniser | None = None,
    clip_vision: ClipVisionModel | None = None,
) -> tuple[Scorecard, Tensor, Tensor]:
    """The scorecard, its plot `1 h w 3` and the worst frames `n h w 3`. Of a VIDEO one frame is in memory at a time."""
    clip = open_clip(images)
    likeness = likeness_to(reference, face_recogniser=face_recogniser, clip_vision=clip_vision)
    poses = {"wanted": keypoints, "found": result_keypoints}
    read = {name: None if frames is None else read_clip(frames) for name, frames in poses.items()}
    card = score_clip(clip, settings, likeness=likeness, **read)
    return card, scorecard_plot(card), worst_pictures(clip, card)


def score_clip(
    clip: Clip,
    settings: ScoreSettings,
    *,
    likeness: Likeness | str,
    wanted: PoseClip | None = None,
    found: PoseClip | None = None,
) -> Scorecard:
    """Every frame once, in its order."""
    scorer = Scorer(settings, likeness=likeness, wanted=wanted, found=found)
    for frame in watched(clip.forward(), total=clip.num_frames):
        scorer.add(frame)
    return scorer.card()


def likeness_to(
    reference: Tensor | None, *, face_recogniser: FaceRecogniser | None, clip_vision: ClipVisionModel | None
) -> Likeness | str:
    """Who judges, the face recogniser before the image encoder; or why nobody can."""
    if reference is None:
        return "connect a picture of the person to reference"
    pictures = checked_images(reference, name="reference")
    if face_recogniser is not None:
        return Likeness(name=f"faces by {face_recogniser.name}", judge=face_judge(pictures, face_recogniser))
    if clip_vision is not None:
        return Likeness(name="whole pictures by CLIP", judge=picture_judge(pictures, clip_vision))
    return "connect Load Face Recogniser, or Load CLIP Vision for whole pictures"


def face_judge(pictures: Tensor, recogniser: FaceRecogniser) -> Callable[[Tensor], float]:
    """Mean cosine of the largest face in a frame to the largest faces of the references. InputError for one without a face."""
    faces = [recogniser.largest_face(picture) for picture in pictures]
    missing = [str(i) for i, face in enumerate(faces, start=1) if face is None]
    if missing:
        raise InputError(
            f"No face was found in reference picture {', '.join(missing)} of {len(faces)}. Use a picture in which the face is "
            "sharp and looks at the camera, or disconnect the face recogniser."
        )
    known = torch.stack([face.identity for face in faces if face is not None])

    def judge(frame: Tensor) -> float:
        face = recogniser.largest_face(frame)
        return math.nan if face is None else float((known @ face.identity).mean())

    return judge


def picture_judge(pictures: Tensor, clip_vision: ClipVisionModel) -> Callable[[Tensor], float]:
    """Mean cosine of a frame's embedding to the references', each seen whole on a square."""
    known = embedded(pictures, clip_vision)

    def judge(frame: Tensor) -> float:
        return float((known @ embedded(frame[None], clip_vision)[0]).mean())

    return judge


def embedded(pictures: Tensor, clip_vision: ClipVisionModel) -> Tensor:
    """`f d` of length 1. InputError for an encoder that gives no embedding."""
    mean, std, size = clip_vision.image_mean, clip_vision.image_std, clip_vision.image_size
    if clip_vision.model_type != "clip_vision_model":
        raise InputError(
            f"clip_vision is {clip_vision.model_type}, whose vectors are not made for comparing pictures. Load a CLIP model in "
            "Load CLIP Vision, for instance CLIP ViT-H/14."
        )
    pixels = clip_preprocess(
        squared(pictures, crop="pad", colour=torch.tensor(mean)), size=size, mean=mean, std=std
    )
    return torch.nn.functional.normalize(
        image_features(clip_vision, pixels, feature="image_embeds").cpu(), dim=-1
    )
