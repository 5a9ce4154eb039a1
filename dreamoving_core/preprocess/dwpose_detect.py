"""People in a picture: YOLOX's letterbox, decoding and non-maximum suppression, as DWPose has them. [DWPose]

Boxes are `p 4` (left, top, right, bottom) in pixels of the picture. Files of the authors (raw cells, 85 columns) and
those with the suppression inside (`1 n 5`) are both read.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import WeightsError
from .onnx_session import OnnxModel
from .optional_packages import opencv

GREY = 114  # [YOLOX] beyond the picture
STRIDES = (8, 16, 32)  # [YOLOX]
CLASS_COLUMNS = 85  # [YOLOX] x, y, width, height, score, 80 classes
SUPPRESSED = 5  # columns of a file that did the rest by itself: the box and its score
PERSON = 0  # [YOLOX] COCO's first class
THRESHOLD = 0.3  # [DWPose] a box with a lower score is nobody
FIRST_THRESHOLD = 0.1  # [DWPose] before the suppression
OVERLAP = 0.45  # [DWPose] intersection over union above which the weaker box goes
OPEN_SIZE = 640  # for files that leave their size open


@dataclass(frozen=True, kw_only=True, eq=False)
class PersonDetector:
    """A YOLOX file; `size` is (width, height) of the picture that it sees."""

    model: OnnxModel
    size: tuple[int, int]

    def boxes(self, picture: np.ndarray, *, threshold: float = THRESHOLD) -> np.ndarray:
        """`p 4`, the surest first, of the people in `h w 3` uint8 RGB."""
        letter, ratio = letterbox(picture, self.size)
        rows = self.model.run(letter[None])[0][0]
        if rows.shape[-1] == SUPPRESSED:
            boxes, scores = rows[:, :4], rows[:, 4]
        else:
            boxes, scores = best_boxes(*decode_cells(rows, self.size))
        order = np.argsort(-scores, kind="stable")
        return boxes[order][scores[order] > threshold] / ratio


def person_detector(model: OnnxModel) -> PersonDetector:
    """Judges the file. Raises WeightsError for one that is no person detector."""
    inputs, outputs = [port.shape for port in model.inputs], [port.shape for port in model.outputs]
    takes_pictures = len(inputs) == 1 and len(inputs[0]) == 4 and inputs[0][1] in (3, None)
    columns = outputs[0][-1] if outputs and len(outputs[0]) == 3 else None
    if not takes_pictures or columns not in (CLASS_COLUMNS, SUPPRESSED):
        hint = (
            " It looks like a file for the points: choose it under pose_model." if len(outputs) == 2 else ""
        )
        raise WeightsError(
            f"'{model.name}' is no person detector: expected a YOLOX file that takes 1 x 3 x 640 x 640 and gives "
            f"1 x 8400 x 85 (or 1 x n x 5), found one that {model.ports()}.{hint} Choose yolox_l.onnx or another YOLOX file."
        )
    height, width = (side or OPEN_SIZE for side in inputs[0][2:])
    return PersonDetector(model=model, size=(width, height))


def letterbox(picture: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """`h w 3` uint8 RGB to the detector's `3 h w` float32, and how much smaller it became.

    BGR, 0..255; the picture lies at the top left, grey beyond it.
    """
    cv2 = opencv()
    width, height = size
    ratio = min(width / picture.shape[1], height / picture.shape[0])
    inner = max(1, int(picture.shape[1] * ratio)), max(1, int(picture.shape[0] * ratio))
    padded = np.full((height, width, 3), GREY, np.uint8)
    padded[: inner[1], : inner[0]] = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)[..., ::-1]
    return padded.transpose(2, 0, 1).astype(np.float32), ratio


def decode_cells(rows: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The raw cells `n 85` of all grids, finest first, to boxes `n 4` in the detector's pixels and scores `n`."""
    grids, strides = [], []
    for stride in STRIDES:
        columns, lines = np.meshgrid(np.arange(size[0] // stride), np.arange(size[1] // stride))
        grids.append(np.stack([columns, lines], axis=-1).reshape(-1, 2))
        strides.append(np.full((len(grids[-1]), 1), stride))
    grid, stride = np.concatenate(grids), np.concatenate(strides)
    if len(grid) != len(rows):
        raise WeightsError(
            f"Expected {len(grid)} cells from a detector for pictures of {size[0]} x {size[1]} pixels, got {len(rows)}. "
            "Choose yolox_l.onnx or another YOLOX file."
        )
    centre, half = (rows[:, :2] + grid) * stride, np.exp(rows[:, 2:4]) * stride / 2
    return np.concatenate([centre - half, centre + half], axis=1), rows[:, 4] * rows[:, 5 + PERSON]


def best_boxes(boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Non-maximum suppression: of boxes that overlap only the surest stays. Sides count both their end pixels. [DWPose]"""
    candidates = np.flatnonzero(scores > FIRST_THRESHOLD)
    order = candidates[np.argsort(-scores[candidates], kind="stable")]
    left, top, right, bottom = boxes.T
    areas = (right - left + 1) * (bottom - top + 1)
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest]) + 1
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest]) + 1
        shared = width.clip(min=0) * height.clip(min=0)
        order = rest[shared / (areas[best] + areas[rest] - shared) <= OVERLAP]
    return boxes[kept], scores[kept]
