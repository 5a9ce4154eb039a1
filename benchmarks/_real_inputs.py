"""What `bench real` judges by: the artist's own detectors and recognisers, or DreaMoving-Tiny's."""

import argparse
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import comfy.clip_vision
import folder_paths
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..dreamoving_core.bridge.face_recogniser import load_face_pack
from ..dreamoving_core.bridge.loading import register_model_folders
from ..dreamoving_core.bridge.pose_extract import TINY, detector_files, detector_path, point_files
from ..dreamoving_core.bridge.scorecard import likeness_to
from ..dreamoving_core.bridge.tiny_files import load_tiny
from ..dreamoving_core.errors import InputError
from ..dreamoving_core.metrics.scorecard import Likeness
from ..dreamoving_core.preprocess.dwpose import ExtractSettings, PoseExtractor, open_extractor
from ..dreamoving_core.preprocess.pose_clean import CleanSettings, clean_clip
from ..dreamoving_core.preprocess.pose_clip import PoseClip, read_clip
from ..dreamoving_core.preprocess.pose_edit import resample_clip
from ..dreamoving_core.tiny import files
from ..dreamoving_core.video.clip_file import FileClip


@dataclass(kw_only=True)
class PoseReader:
    """Reads the dance once, and each result; brings the dance to the result's frame rate."""

    extractor: PoseExtractor
    driving: Path
    _dance: tuple[PoseClip, Fraction] | None = field(default=None, init=False)

    def both(self, video: Path, clip: FileClip) -> tuple[dict[str, PoseClip], str]:
        """Poses wanted and found, one entry per frame of the video, and what was cut, in words."""
        if self._dance is None:
            dance = FileClip(str(self.driving))
            poses = clean_clip(read_clip(self.extractor.extract(dance.pictures())), CleanSettings())
            self._dance = poses, dance.frame_rate
        poses, rate = self._dance
        found = read_clip(self.extractor.extract(clip.pictures()))
        wanted = resample_clip(poses, rate=rate, new_rate=clip.frame_rate)
        wanted, remark = as_long(wanted, len(found.points))
        return {"wanted": wanted, "found": found}, remark


def as_long(wanted: PoseClip, count: int) -> tuple[PoseClip, str]:
    """The dance's first `count` frames; where it ends earlier nobody is wanted."""
    poses = len(wanted.points)
    points = np.zeros((count, *wanted.points.shape[1:]))
    both = min(count, poses)
    points[:both] = wanted.points[:both]
    told = (
        ""
        if poses == count
        else f"the dance has {poses} frames at this rate, the video {count}: the first {both} count"
    )
    return wanted.with_points(points), told


def pose_reader(options: argparse.Namespace) -> PoseReader | str:
    """The networks that read poses, or why there are none."""
    if options.driving is None:
        return "say --driving, the clip that was danced after"
    register_model_folders()
    detector, points = (
        TINY if options.tiny else chosen or offered[0]
        for chosen, offered in ((options.detector, detector_files()), (options.pose_model, point_files()))
    )
    if not options.tiny and TINY in (detector, points):
        return "no detectors in models/dwpose: put yolox_l.onnx and dw-ll_ucoco_384.onnx there, or name files"
    people = detector_file(detector, tiny=files.PERSON_DETECTOR)
    extractor = open_extractor(people, detector_file(points, tiny=files.POINT_DETECTOR), ExtractSettings())
    return PoseReader(extractor=extractor, driving=options.driving)


def detector_file(name: str, *, tiny: str) -> Path:
    """A file, or a name of Pose Extract's lists."""
    return Path(name) if Path(name).is_file() else detector_path(name, tiny=tiny)


def judge_of(options: argparse.Namespace, reference: Tensor | None) -> Likeness | str:
    """Who judges identity, or why nobody does."""
    if reference is None:
        return "say --reference, a picture of the person"
    register_model_folders()
    if options.face_pack:
        return likeness_to(reference, face_recogniser=load_face_pack(options.face_pack), clip_vision=None)
    if options.tiny:
        return likeness_to(reference, face_recogniser=None, clip_vision=load_tiny().clip_vision)
    if options.clip_vision:
        return likeness_to(reference, face_recogniser=None, clip_vision=image_encoder(options.clip_vision))
    return "say --face-pack or --clip-vision, who compares the pictures"


def image_encoder(name: str) -> comfy.clip_vision.ClipVisionModel:
    """A file, or a name in models/clip_vision."""
    path = name if Path(name).is_file() else folder_paths.get_full_path("clip_vision", name)
    encoder = comfy.clip_vision.load(path) if path else None
    if encoder is None:
        there = ", ".join(folder_paths.get_filename_list("clip_vision")) or "nothing"
        raise InputError(
            f"There is no image encoder '{name}' (in models/clip_vision: {there}). Give the name of a file."
        )
    return encoder


def reference_picture(path: Path | None) -> Tensor | None:
    """`1 h w 3` in [0, 1], upright as a camera meant it."""
    if path is None:
        return None
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{path} cannot be read as a picture ({error}). Give a PNG or JPEG file.") from error
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)[None]
