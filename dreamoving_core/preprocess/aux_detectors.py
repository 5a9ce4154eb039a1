"""controlnet_aux's detectors, where that package is installed and their files are on this computer: a second backend.

Nothing is ever downloaded: a detector gets the folder in which all its files were found. Their files are opened once with the
weights-only loader before that package opens them, and depth comes as the network's own numbers, so that a whole clip
can share one range.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError, MissingPackageError, WeightsError
from ..weights.io import first_line, read_weights
from .depth_zoe_keys import authors_config, is_authors_file, unwrapped
from .pose_clip import PARTS, PoseClip

FILES = {  # as they are called in lllyasviel/Annotators on Hugging Face
    "OpenPose": ("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"),
    "MiDaS": ("dpt_hybrid-midas-501f0c75.pt",),
    "ZoeDepth": ("ZoeD_M12_N.pt",),
}
DETECTORS = tuple(FILES)
PAGE = "https://huggingface.co/lllyasviel/Annotators"
STEP = 64  # pixels; sizes that their networks can halve often enough


@dataclass(frozen=True, kw_only=True)
class AuxDetector:
    """`modules` is what a GPU needs. `kind` is one of DETECTORS; the detector is that package's object."""

    kind: str
    detector: Any
    modules: nn.ModuleList

    @property
    def inverse(self) -> bool:
        """Whether larger numbers of its depth are nearer."""
        return self.kind == "MiDaS"


def aux_folder(kind: str, roots: Sequence[Path]) -> Path:
    """The first folder below `roots` in which all files of a detector lie. InputError when there is none."""
    first, *others = FILES[kind]
    for root in roots:
        for path in sorted(root.rglob(first)):
            if all((path.parent / name).is_file() for name in others):
                return path.parent
    raise InputError(
        f"{kind} of controlnet_aux needs {' and '.join(FILES[kind])} in one folder. Download them from {PAGE} into "
        f"{roots[0] if roots else 'models/controlnet_aux'}. Nothing is downloaded for you."
    )


def load_aux(kind: str, folder: Path) -> AuxDetector:
    """The detector from local files. MissingPackageError without controlnet_aux; WeightsError for other files."""
    try:
        import controlnet_aux
    except ImportError as error:
        raise MissingPackageError(
            f"This needs the package controlnet_aux, which cannot be imported here ({error}). Install it into ComfyUI's "
            "Python with: pip install controlnet_aux. Pose Extract and Depth Extract work without it."
        ) from error
    for name in FILES[kind]:
        refuse_other_file(kind, folder / name)
    classes: dict[str, Callable] = {
        "OpenPose": controlnet_aux.OpenposeDetector.from_pretrained,
        "MiDaS": controlnet_aux.MidasDetector.from_pretrained,
        "ZoeDepth": controlnet_aux.ZoeDetector.from_pretrained,
    }
    try:
        detector = classes[kind](str(folder), local_files_only=True)
    except (RuntimeError, KeyError) as error:
        raise WeightsError(
            f"{' or '.join(FILES[kind])} in {folder} does not fit controlnet_aux's {kind} ({first_line(error)}). "
            f"Download it again from {PAGE}."
        ) from error
    parts = (
        [detector.body_estimation, detector.hand_estimation, detector.face_estimation]
        if kind == "OpenPose"
        else [detector]
    )
    modules = nn.ModuleList([part.model for part in parts]).eval()
    return AuxDetector(kind=kind, detector=detector, modules=modules)


def refuse_other_file(kind: str, path: Path) -> None:
    """WeightsError for files that would run code, are damaged, or are no ZoeDepth, of which that package loads nothing and says so to nobody."""
    state_dict = unwrapped(read_weights(path, values=False).state_dict)
    if kind != "ZoeDepth":
        return
    if not is_authors_file(state_dict):
        raise WeightsError(f"'{path.name}' is no ZoeDepth file. Download it again from {PAGE}.")
    authors_config({key: tuple(tensor.shape) for key, tensor in state_dict.items()}, name=path.name)


def detection_size(height: int, width: int, resolution: int) -> tuple[int, int]:
    """Shorter side `resolution`, whole steps of 64 pixels, as that package does it."""
    scale = resolution / min(height, width)
    return tuple(max(1, round(side * scale / STEP)) * STEP for side in (height, width))


def shrunk(frame: Tensor, resolution: int) -> Tensor:
    """`h w 3` in [0, 1] as `1 c h w` at the size of detection."""
    picture = rearrange(frame, "h w c -> 1 c h w")
    height, width = frame.shape[:2]
    size = detection_size(height, width, resolution)
    return functional.interpolate(picture, size, mode="bicubic", antialias=True).clamp(0, 1)


@torch.no_grad()
def aux_depth(detector: AuxDetector, frame: Tensor, *, resolution: int) -> Tensor:
    """The network's own depth of `h w 3`, at the frame's size: metres, or inverse depth for MiDaS."""
    small = shrunk(frame, resolution).to(next(detector.modules.parameters()).device)
    if detector.kind == "MiDaS":
        depth = detector.detector.model(small * 2 - 1)[None]
    else:
        depth = detector.detector.model.infer(small)
    return functional.interpolate(depth, frame.shape[:2], mode="bilinear")[0, 0].float().cpu()


@torch.no_grad()
def aux_people(detector: AuxDetector, frame: Tensor, *, resolution: int) -> list[np.ndarray]:
    """OpenPose's people in `h w 3`: each `136 3` in pixels of the frame; points that are not seen are zeros."""
    pixels = (rearrange(shrunk(frame, resolution), "1 c h w -> h w c") * 255).round().byte().cpu().numpy()
    poses = detector.detector.detect_poses(pixels, True, True)
    return [person_points(pose, width=frame.shape[1], height=frame.shape[0]) for pose in poses]


def person_points(pose: Any, *, width: int, height: int) -> np.ndarray:
    """A PoseResult of controlnet_aux, in fractions of the picture, as `136 3` in pixels."""
    given = {
        "body": pose.body.keypoints,
        "face": pose.face,
        "left_hand": pose.left_hand,
        "right_hand": pose.right_hand,
    }
    parts = []
    for name, count in PARTS.items():
        points = np.zeros((count, 3))
        for i, point in enumerate((given.get(name) or [])[:count]):
            if point is not None and (point.x, point.y) != (0, 0):
                points[i] = point.x * width, point.y * height, 1
        parts.append(points)
    return np.concatenate(parts)


def clip_of(people: Sequence[Sequence[np.ndarray]], *, width: int, height: int) -> PoseClip:
    """Frames with as many people each as they have."""
    most = max((len(frame) for frame in people), default=0)
    points = np.zeros((len(people), most, sum(PARTS.values()), 3))
    for f, frame in enumerate(people):
        for p, person in enumerate(frame):
            points[f, p] = person
    return PoseClip(points=points, width=width, height=height)
