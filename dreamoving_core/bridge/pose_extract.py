"""Pose Extract: detectors in ComfyUI's model folders, a clip from a socket, poses with progress and cancel."""

import os
from collections.abc import Iterator
from pathlib import Path

import comfy.model_management
import folder_paths
from comfy_api.latest import Input
from torch import Tensor

from ..errors import InputError
from ..preprocess.dwpose import ExtractSettings, open_extractor
from ..preprocess.dwpose_people import told_people
from ..tiny import files
from ..video.clip_file import FileClip
from .progress import Progress
from .video_clip import open_clip, own_frame_rate

FOLDER = "dwpose"
TINY = "DreaMoving-Tiny (drawn dancers only)"
DETECTORS, POINTS = ("yolox", "yolo", "det"), ("dw-ll", "dwpose", "rtmw", "rtmpose", "ucoco", "wholebody")
FIRST = ("yolox_l.onnx", "dw-ll_ucoco_384.onnx")  # what DWPose itself uses


def detector_files() -> list[str]:
    """Names for the list of person detectors, DWPose's own first, Tiny's last."""
    return offered(not_called=POINTS)


def point_files() -> list[str]:
    """Names for the list of point networks, DWPose's own first, Tiny's last."""
    return offered(not_called=DETECTORS)


def offered(*, not_called: tuple[str, ...]) -> list[str]:
    """Every .onnx file whose name does not say that it is the other kind."""
    names = {
        name for name, _ in onnx_files() if not any(word in Path(name).name.lower() for word in not_called)
    }
    return [*sorted(names, key=lambda name: (Path(name).name.lower() not in FIRST, name)), TINY]


def onnx_files() -> Iterator[tuple[str, Path]]:
    """Name and path of the files in `models/dwpose`, and, without registering anything there, where others put theirs."""
    for place, root in roots():
        for folder, _, names in os.walk(root, followlinks=True):
            for name in sorted(names):
                if name.lower().endswith(".onnx"):
                    path = Path(folder) / name
                    shown = path.relative_to(root).as_posix()
                    yield (f"{place}/{shown}" if place else shown), path


def roots() -> Iterator[tuple[str, Path]]:
    """A prefix for the names, and the folder. ComfyUI's own `detection` lists no .onnx files, so it is looked through."""
    known = folder_paths.folder_names_and_paths
    for prefix, name, below in (
        ("", FOLDER, ()),
        ("detection", "detection", ()),
        ("controlnet_aux", "custom_nodes", ("comfyui_controlnet_aux", "ckpts")),
    ):
        for folder in folder_paths.get_folder_paths(name) if name in known else ():
            yield prefix, Path(folder, *below)


def detector_path(name: str, *, tiny: str) -> Path:
    """The file behind a name of a list; `tiny` is the file that TINY stands for. InputError for any other name."""
    if name == TINY:
        return tiny_detector(tiny)
    for found, path in onnx_files():
        if found == name:
            return path
    place = (
        Path(*folder_paths.get_folder_paths(FOLDER)[:1])
        if FOLDER in folder_paths.folder_names_and_paths
        else FOLDER
    )
    raise InputError(
        f"There is no detector '{name or ''}'. Put yolox_l.onnx and dw-ll_ucoco_384.onnx into {place} and press R to reload "
        f"the list, or choose {TINY}. Nothing is downloaded for you."
    )


def tiny_detector(name: str) -> Path:
    """Tiny's file: one that was trained here goes before the one of the pack."""
    paths, _ = folder_paths.folder_names_and_paths.get("dreamoving", ([], set()))
    found = [Path(folder, "tiny", name) for folder in paths if Path(folder, "tiny", name).is_file()]
    return next(iter(found), files.FOLDER / name)


def unusable_detectors(detector: str, pose_model: str) -> str | None:
    """Why names of the lists cannot be used, for a node's `validate_inputs`."""
    try:
        detector_path(detector, tiny=files.PERSON_DETECTOR)
        detector_path(pose_model, tiny=files.POINT_DETECTOR)
    except InputError as error:
        return str(error)
    return None


def detectors_fingerprint(detector: str, pose_model: str) -> str:
    """Changes when one of the files does."""
    paths = (
        detector_path(detector, tiny=files.PERSON_DETECTOR),
        detector_path(pose_model, tiny=files.POINT_DETECTOR),
    )
    return "/".join(f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in paths)


def extract_poses(
    video: Input.Video | Tensor,
    settings: ExtractSettings,
    *,
    detector: str,
    pose_model: str,
    device: str,
    boxes: object = None,
) -> tuple[list[dict], float, str]:
    """POSE_KEYPOINT, frames per second (0 for an IMAGE), and what happened, in words.

    A file is read as it is needed. Moves the node's progress bar; cancelling stops it at the next frame.
    """
    people = None if boxes is not None else detector_path(detector, tiny=files.PERSON_DETECTOR)
    points = detector_path(pose_model, tiny=files.POINT_DETECTOR)
    extractor = open_extractor(people, points, settings, device=device)
    clip = open_clip(video)
    bar = Progress(clip.num_frames, unit="frames")

    def on_frame(done: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, max(done, clip.num_frames))

    frames = extractor.extract(clip.pictures(), boxes=boxes, on_frame=on_frame)
    damage = clip.damage if isinstance(clip, FileClip) else ""
    told = [told_people(frames), damage, f"{extractor.devices()}."]
    return frames, float(own_frame_rate(video) or 0), " ".join(line for line in told if line)
