"""Who a face is, as a vector: insightface's detector and recogniser, run on files that are already there.

Pictures are h w 3 RGB in [0, 1]; keypoints are 5 x 2 in pixels, x before y. insightface's own front door
(`FaceAnalysis`) downloads what it does not find, so its two networks are opened here by path. They run on the CPU:
a clip needs a few faces once, and the same picture gives the same vector everywhere.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, MissingPackageError, WeightsError
from ..file_digest import sha256_of

INSTALL = "python -m pip install insightface onnxruntime"

# Where both eyes, the nose and the corners of the mouth lie in a recogniser's 112 x 112 picture. ArcFace, arXiv 1801.07698
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
TEMPLATE_SIZE = 112
DETECTOR_SIZE = 640  # insightface's default; faces of 16 pixels and more in a picture of this size
DETECTOR_THRESHOLD = 0.5
BORDERS = (
    0.0,
    0.25,
    0.5,
    1.0,
)  # of the picture's longer side; detectors miss faces that fill the picture [ours]

# Vectors of two recognisers have nothing in common. SHA-256 as public lists pin the files of the mirrors
# deepghs/insightface and DIAMONIK7777/antelopev2.
SPACES = {
    "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43": "buffalo_l",  # w600k_r50.onnx
    "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf": "antelopev2",  # glintr100.onnx
}


@dataclass(frozen=True, kw_only=True)
class Face:
    """One face: its five points in the picture, and the recogniser's vector (d), of length 1."""

    keypoints: np.ndarray
    identity: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Detected:
    """Faces in BGR `pixels` that have a border of `margin`: boxes `n 5` (left, top, right, bottom, score), points `n 5 2`."""

    pixels: np.ndarray
    margin: int
    boxes: np.ndarray
    points: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        return (self.boxes[:, 2] - self.boxes[:, 0]) * (self.boxes[:, 3] - self.boxes[:, 1])


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceRecogniser:
    """A detector and a recogniser. `space` is the pack whose vectors it makes, "" when that is not known.

    `content`: the SHA-256 of both files, "" for networks that are no files.
    """

    name: str
    space: str
    detector: Any
    recogniser: Any
    content: str = ""

    def largest_face(self, picture: Tensor) -> Face | None:
        """The face with the largest box, or None."""
        found = self.detect(picture)
        if not len(found.boxes):
            return None
        points = found.points[int(found.areas.argmax())]
        return Face(keypoints=points - found.margin, identity=self.identity(found.pixels, points))

    def detect(self, picture: Tensor) -> "Detected":
        """Every face of a picture, which is tried with wider and wider borders until there is one."""
        pixels = bgr(picture)
        *narrower, widest = BORDERS
        for border in narrower:
            found = self.detect_within(pixels, border)
            if len(found.boxes):
                return found
        return self.detect_within(pixels, widest)

    def detect_within(self, pixels: np.ndarray, border: float) -> "Detected":
        """Every face of BGR pixels with a black border, a share of their longer side."""
        margin = round(border * max(pixels.shape[:2]))
        padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)))
        boxes, points = self.detector.detect(padded, input_size=(DETECTOR_SIZE, DETECTOR_SIZE))
        return Detected(pixels=padded, margin=margin, boxes=boxes, points=points)

    def identity(self, pixels: np.ndarray, keypoints: np.ndarray) -> Tensor:
        """The vector of one face in BGR pixels, of length 1: FaceID was trained on such. [IPA]"""
        feature = self.recogniser.get_feat(aligned(pixels, keypoints, size=TEMPLATE_SIZE))
        return torch.nn.functional.normalize(torch.from_numpy(feature.flatten()).float(), dim=0)


def face_crop(picture: Tensor, keypoints: np.ndarray, *, size: int) -> Tensor:
    """The face upright and centred, `size` pixels square: what FaceID-Plus shows its image encoder. [IPA]"""
    crop = aligned(bgr(picture), keypoints, size=size)
    return torch.from_numpy(np.ascontiguousarray(crop[..., ::-1])).float() / 255


def bgr(picture: Tensor) -> np.ndarray:
    """Eight bits, blue first, as insightface takes pictures."""
    pixels = (picture[..., :3].clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return np.ascontiguousarray(pixels[..., ::-1])


def aligned(pixels: np.ndarray, keypoints: np.ndarray, *, size: int) -> np.ndarray:
    """`pixels` turned, scaled and moved so that `keypoints` lie on the template; black beyond the picture."""
    cv2 = package("cv2", "python -m pip install opencv-python")
    matrix = similarity(keypoints, TEMPLATE * (size / TEMPLATE_SIZE))
    return cv2.warpAffine(pixels, matrix, (size, size), borderValue=0.0)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The 2 x 3 matrix of the rotation, scale and shift that brings `source` nearest to `target` (both n x 2).

    Umeyama's least squares, PAMI 1991, eq. 38 to 42. In float32 and by singular values, as insightface has it done: a
    matrix that differs in its sixth digit gives crops that differ by grey levels.
    """
    source, target = source.astype(np.float32), target.astype(np.float32)
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    spread = (source - centre).var(axis=0).sum()
    if spread == 0:
        raise InputError("The five points of a face lie on one spot. Use a sharper picture of the face.")
    left, values, right = np.linalg.svd((target - goal).T @ (source - centre) / len(source))
    mirror = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left @ np.diag(mirror) @ right
    scale = 1.0 / spread * (values @ mirror)
    return np.column_stack([scale * rotation, goal - scale * (rotation @ centre)])


def load_face_recogniser(folder: Path, *, name: str, space: str = "") -> FaceRecogniser:
    """The detector and the recogniser among a folder's .onnx files, told by what they take and give.

    `space` overrides what the recogniser's SHA-256 says. Raises WeightsError for a folder without both of them, and
    MissingPackageError without insightface.
    """
    runtime = package("onnxruntime", INSTALL)
    onnx = package("onnx", INSTALL)
    networks = package("insightface.model_zoo", INSTALL)
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*.onnx")):
        task = task_of(onnx, path)
        if task:
            found.setdefault(task, path)
    missing = [task for task in ("detector", "recogniser") if task not in found]
    if missing:
        files = ", ".join(sorted(path.name for path in folder.glob("*"))[:8]) or "nothing"
        raise WeightsError(
            f"'{name}' has no face {' and no face '.join(missing)} (in {folder}: {files}). A pack is a folder with a "
            "detector and a recogniser, as buffalo_l's det_10g.onnx and w600k_r50.onnx. Unpack it again."
        )
    detector = networks.SCRFD(model_file=str(found["detector"]), session=session(runtime, found["detector"]))
    detector.prepare(0, input_size=(DETECTOR_SIZE, DETECTOR_SIZE), det_thresh=DETECTOR_THRESHOLD)
    recogniser = networks.ArcFaceONNX(
        model_file=str(found["recogniser"]), session=session(runtime, found["recogniser"])
    )
    digests = [sha256_of(found[task]) for task in ("recogniser", "detector")]
    return FaceRecogniser(
        name=name,
        space=space or SPACES.get(digests[0], ""),
        detector=detector,
        recogniser=recogniser,
        content=" ".join(digests),
    )


def task_of(onnx: Any, path: Path) -> str:
    """`detector`, `recogniser`, or "" for the other networks of a pack (landmarks, age)."""
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's own errors have no common class that we could name without it
        raise WeightsError(f"'{path.name}' is damaged: it is no ONNX file. Unpack the pack again.") from error
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    shapes = [[axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in inputs]
    if len(graph.output) == 9 and len(inputs) == 1:
        return "detector"  # scores, boxes and five points, at three sizes
    if len(graph.output) == 1 and len(shapes) == 1 and shapes[0][1:] == [3, TEMPLATE_SIZE, TEMPLATE_SIZE]:
        return "recogniser"
    return ""


def session(runtime: Any, path: Path) -> Any:
    """A network ready to run, on the CPU."""
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def package(name: str, install: str) -> Any:
    """An optional package, or MissingPackageError with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"Recognising faces needs {name.split('.')[0]}, which is not installed ({error}). Install it into ComfyUI's "
            f"Python with: {install}. Everything but FaceID works without it."
        ) from error
