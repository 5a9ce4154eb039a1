"""Crop Face inside ComfyUI: whoever can tell where faces are is asked in turn, with progress and a way to stop."""

from collections.abc import Callable, Mapping, Sequence

import comfy.model_management
from torch import Tensor

from ..errors import InputError
from ..preprocess.face_align import LocatedFace, faces_of_landmarks, faces_of_poses
from ..preprocess.face_crop import FaceCrops, FaceCropSettings, crop_faces
from ..preprocess.face_identity import FaceRecogniser
from ..preprocess.pose_clip import read_clip
from .progress import Progress
from .reference_images import checked_images


def crop_faces_of(
    images: Tensor,
    settings: FaceCropSettings,
    *,
    recogniser: FaceRecogniser | None = None,
    landmarks: Mapping | None = None,
    poses: Sequence[Mapping] | None = None,
) -> FaceCrops:
    """Faces of every picture (f h w c): from the recogniser's detector, where it finds none from landmarks, then from poses.

    Raises InputError when nothing is connected that could tell, or when the counts don't agree.
    """
    pictures = checked_images(images, name="face")
    frames, height, width = pictures.shape[:3]
    if recogniser is None and landmarks is None and poses is None:
        raise InputError(
            "Crop Face has to be told where faces are. Connect Load Face Recogniser to face_recogniser, Detect Face Landmarks "
            "(MediaPipe) to face_landmarks, or poses to keypoints."
        )
    size = {"width": width, "height": height}
    sources: list[Callable[[int], Sequence[LocatedFace]]] = []
    if recogniser is not None:
        sources.append(lambda i: detected_faces(recogniser, pictures[i]))
    if landmarks is not None:
        by_landmarks = faces_of_landmarks(landmarks, **size)
        refuse_other_count(by_landmarks, frames, name="face_landmarks")
        sources.append(by_landmarks.__getitem__)
    if poses is not None:
        by_poses = faces_of_poses(read_clip(poses), **size)
        refuse_other_count(by_poses, frames, name="keypoints")
        sources.append(by_poses.__getitem__)
    bar, found = Progress(frames, unit="pictures"), []
    for i in range(frames):
        comfy.model_management.throw_exception_if_processing_interrupted()
        found.append(next((faces for source in sources if (faces := source(i))), []))
        bar.update(1)
    return crop_faces(pictures, found, settings)


def detected_faces(recogniser: FaceRecogniser, picture: Tensor) -> list[LocatedFace]:
    """Every face that insightface's detector finds, in the picture's own pixels."""
    found = recogniser.detect(picture)
    return [
        LocatedFace(
            box=tuple((box[:4] - found.margin).tolist()),
            points=points - found.margin,
            score=float(box[4]),
            source="detector",
        )
        for box, points in zip(found.boxes, found.points, strict=True)
    ]


def refuse_other_count(faces: Sequence[object], frames: int, *, name: str) -> None:
    if len(faces) != frames:
        raise InputError(
            f"{name} tell of {len(faces)} pictures, image has {frames}. Connect both to the same pictures."
        )
