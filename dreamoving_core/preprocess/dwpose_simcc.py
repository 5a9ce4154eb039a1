"""One person of a picture to 133 points: the crop that a SimCC network wants, and what its answer means. [DWPose]

Boxes are (left, top, right, bottom), points (x, y), both in pixels of the picture; sizes are (width, height). Letters:
p person, j joint. Works for DWPose's and RTMW's files alike: the size comes from the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import WeightsError
from .onnx_session import OnnxModel
from .optional_packages import opencv

NUM_POINTS = 133  # COCO-WholeBody
PADDING = 1.25  # [DWPose] of the box on all sides
MEAN = (123.675, 116.28, 103.53)  # [DWPose] RGB, 0..255
STD = (58.395, 57.12, 57.375)
SPLIT = 2.0  # [DWPose] bins per pixel of the crop


def centre_and_scale(box: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Middle of the box, and width and height of what is cut out: padded, and as wide as the crop's proportions ask."""
    left, top, right, bottom = (float(value) for value in box)
    width, height = (right - left) * PADDING, (bottom - top) * PADDING
    aspect = size[0] / size[1]
    scale = (width, width / aspect) if width > height * aspect else (height * aspect, height)
    return np.array([(left + right) / 2, (top + bottom) / 2]), np.array(scale)


def crop_matrix(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The 2 x 3 matrix from the picture to the crop."""
    centre, scale = centre_and_scale(box, size)
    zoom = size[0] / scale[0]
    shift = np.array(size) / 2 - zoom * centre
    return np.array([[zoom, 0.0, shift[0]], [0.0, zoom, shift[1]]])


def crop_person(picture: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`h w 3` uint8 RGB to the network's `3 h w` float32; black beyond the picture."""
    cv2 = opencv()
    crop = cv2.warpAffine(picture, crop_matrix(box, size), size, flags=cv2.INTER_LINEAR)
    return normalised(crop).transpose(2, 0, 1)


def normalised(crop: np.ndarray) -> np.ndarray:
    """uint8 RGB, channel last, to what the network was trained on."""
    return (crop.astype(np.float32) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)


def decode_simcc(simcc_x: np.ndarray, simcc_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`p j bins` of both axes to points `p j 2` in the crop's pixels and scores `p j`: the lower of the two peaks.

    A point whose score is 0 or less lies at -0.5, as the authors have it.
    """
    scores = np.minimum(simcc_x.max(axis=-1), simcc_y.max(axis=-1))
    places = np.stack([simcc_x.argmax(axis=-1), simcc_y.argmax(axis=-1)], axis=-1).astype(np.float32)
    places[scores <= 0] = -1
    return places / SPLIT, scores


def to_picture(points: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Points `j 2` of a crop to the picture that it was cut from."""
    centre, scale = centre_and_scale(box, size)
    return points / np.array(size) * scale + centre - scale / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class PointDetector:
    """A SimCC file; `size` is (width, height) of its crops, `most` how many of them it takes at once (0: any number)."""

    model: OnnxModel
    size: tuple[int, int]
    most: int

    def points(self, people: Sequence[tuple[np.ndarray, np.ndarray]], *, batch: int = 16) -> np.ndarray:
        """Pairs of a picture (h w 3 uint8 RGB) and a box to `p 133 3` (x, y, score); at most `batch` in one call."""
        step = self.most or batch
        parts = [self._points(people[i : i + step]) for i in range(0, len(people), step)]
        return np.concatenate(parts) if parts else np.zeros((0, NUM_POINTS, 3))

    def _points(self, people: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        crops = np.stack([crop_person(picture, box, self.size) for picture, box in people])
        missing = max(0, self.most - len(crops))  # files with a fixed batch want it full
        padded = np.concatenate([crops, np.repeat(crops[:1], missing, axis=0)]) if missing else crops
        simcc_x, simcc_y = (output[: len(crops)] for output in self.model.run(padded)[:2])
        points, scores = decode_simcc(simcc_x, simcc_y)
        placed = [to_picture(p, box, self.size) for p, (_, box) in zip(points, people, strict=True)]
        return np.concatenate([np.stack(placed), scores[..., None]], axis=-1)


def point_detector(model: OnnxModel) -> PointDetector:
    """Judges the file. Raises WeightsError for one that does not give 133 points of a crop."""
    inputs, outputs = [port.shape for port in model.inputs], [port.shape for port in model.outputs]
    takes_crops = (
        len(inputs) == 1 and len(inputs[0]) == 4 and inputs[0][1] in (3, None) and all(inputs[0][2:])
    )
    wanted = [(NUM_POINTS, round(side * SPLIT)) for side in reversed(inputs[0][2:])] if takes_crops else []
    if not takes_crops or [shape[1:] for shape in outputs] != wanted:
        hint = " It looks like a person detector: choose it under detector." if len(outputs) == 1 else ""
        raise WeightsError(
            f"'{model.name}' does not give whole-body points: expected a DWPose or RTMW file that takes n x 3 x 384 x 288 and "
            f"gives n x 133 x 576 and n x 133 x 768, found one that {model.ports()}.{hint} Choose dw-ll_ucoco_384.onnx or "
            "another file with 133 points."
        )
    batch, _, height, width = inputs[0]
    return PointDetector(model=model, size=(width, height), most=batch or 0)
