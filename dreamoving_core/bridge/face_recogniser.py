"""Packs of insightface in ComfyUI's model folders, and the identities of faces for a Content Guider."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import folder_paths
import torch
from torch import Tensor

from ..errors import InputError
from ..models.content_guider import BranchConfig
from ..preprocess.face_identity import Face, FaceRecogniser, load_face_recogniser

log = logging.getLogger(__name__)

FOLDER = "insightface"
SPACES = ("auto", "buffalo_l", "antelopev2", "other")


def face_packs() -> list[str]:
    """Folders with .onnx files below `models/insightface`, relative to it: `models/buffalo_l`."""
    found = set()
    for root in roots():
        for folder, _, files in os.walk(root, followlinks=True):
            if Path(folder) != root and any(name.endswith(".onnx") for name in files):
                found.add(Path(folder).relative_to(root).as_posix())
    return sorted(found)


def face_pack_path(name: str) -> Path:
    """The folder of a pack of the list. InputError for any other name."""
    for root in roots():
        if name in face_packs() and (root / name).is_dir():
            return root / name
    place = Path(*roots()[:1], "models", "buffalo_l")
    raise InputError(
        f"There is no face pack '{name or ''}'. Unpack buffalo_l.zip, from insightface's model zoo, into {place} and "
        "press R to reload the list. Nothing is downloaded for you."
    )


def roots() -> list[Path]:
    """`models/insightface`, and what extra_model_paths.yaml and other packs add to it."""
    if FOLDER not in folder_paths.folder_names_and_paths:
        return []
    return [Path(root) for root in folder_paths.get_folder_paths(FOLDER)]


def unusable_pack(name: str) -> str | None:
    """Why a name of the list cannot be loaded, for a node's `validate_inputs`."""
    try:
        face_pack_path(name)
    except InputError as error:
        return str(error)
    return None


def pack_fingerprint(name: str) -> str:
    """Changes when a file of the pack does."""
    files = sorted(face_pack_path(name).glob("*.onnx"))
    return ":".join(f"{file.name}-{file.stat().st_size}-{file.stat().st_mtime_ns}" for file in files)


def load_face_pack(name: str, *, space: str = "auto") -> FaceRecogniser:
    """A face recogniser for Encode Face; what could not be told is logged."""
    chosen = "" if space == "auto" else space
    recogniser = load_face_recogniser(face_pack_path(name), name=name, space=chosen)
    if not recogniser.space:
        log.warning(
            "DreaMoving: '%s' holds a face recogniser that is not known; FaceID needs buffalo_l's. Set its space if you "
            "know it.",
            name,
        )
    return recogniser


def faces_in(recogniser: FaceRecogniser, pictures: Tensor) -> list[Face | None]:
    """The largest face of each picture (f h w c); None for a picture without one."""
    return [recogniser.largest_face(picture) for picture in pictures]


def identities(faces: Sequence[Face | None], *, width: int | None) -> Tensor:
    """`f d` vectors of length 1, zeros where there is no face. InputError when they are not `width` long."""
    found = [face.identity for face in faces if face is not None]
    length = found[0].shape[0] if found else width or 0
    if width and length != width:
        raise InputError(
            f"This Content Guider needs identities of {width} numbers, the face recogniser gives {length}. "
            "Load buffalo_l in Load Face Recogniser."
        )
    return torch.stack([torch.zeros(length) if face is None else face.identity for face in faces])


def refuse_missing_faces(
    config: BranchConfig,
    *,
    crop: str,
    faces: Sequence[Face | None] | None,
    identity: Tensor | None,
    part: str,
) -> None:
    """InputError for pictures without a face where the branch or the crop cannot do without."""
    if config.needs_identity and identity is None:
        raise InputError(
            "This Content Guider reads who a face is (FaceID). Connect Load Face Recogniser with the pack "
            f"{config.recogniser} to face_recogniser."
        )
    if crop == "face" and faces is None:
        raise InputError(
            f"The crop around the face in the {part} picture needs a face recogniser. Connect Load Face Recogniser, or "
            "choose another crop."
        )
    if faces is None or not (config.needs_identity or crop == "face"):
        return
    without = [str(i + 1) for i, face in enumerate(faces) if face is None]
    if without:
        raise InputError(
            f"No face was found in {part} picture {', '.join(without)} of {len(faces)}. Use a picture in which the face "
            "is sharp and looks at the camera, or leave that picture out."
        )


def refuse_other_space(config: BranchConfig, recogniser: FaceRecogniser) -> None:
    """InputError when the weights learned the vectors of another recogniser; a warning when nobody knows."""
    if not config.recogniser or config.recogniser == recogniser.space:
        return
    if recogniser.space:
        raise InputError(
            f"This Content Guider learned faces as {config.recogniser} sees them, but '{recogniser.name}' is "
            f"{recogniser.space}, whose vectors mean something else. Load {config.recogniser} in Load Face Recogniser."
        )
    log.warning(
        "DreaMoving: '%s' is taken for %s, which this Content Guider needs; if the face is not the person's, it is not.",
        recogniser.name,
        config.recogniser,
    )
