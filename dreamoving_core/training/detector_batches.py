"""What one step of the detectors sees: people cut out as the runner cuts them, pictures made up of several.

Everything that a camera, a phone and an encoder do on top is added here: light, colour, noise, blur, JPEG blocks.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..preprocess.dwpose_simcc import crop_matrix, normalised
from ..preprocess.optional_packages import opencv
from .detector_networks import PERSON_SIZE, POSE_SIZE
from .detector_pictures import DrawnDancers

NOBODY = 0.04  # share of crops that show no person: a wrong box must not become a pose
GREY = 114  # [YOLOX] beyond the picture


@dataclass(frozen=True, kw_only=True)
class Crops:
    """`pictures` n 3 h w, normalised; `points` n 133 3 (x, y, visible) in the crop's pixels."""

    pictures: Tensor
    points: Tensor


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """`pictures` n 3 s s, BGR 0..255; `boxes` n p 4, filled up with empty ones."""

    pictures: Tensor
    boxes: Tensor


def numbers(generator: torch.Generator) -> np.random.Generator:
    """All of a sample's choices, from its own generator."""
    return np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))


def draw_crops(pool: list[DrawnDancers], generators: list[torch.Generator]) -> Crops:
    """People of any size and place in their crop, a little turned, as boxes are never exact; one per generator."""
    pictures, points = [], []
    for generator in generators:
        draw = numbers(generator)
        group = pool[int(draw.integers(len(pool)))]
        if draw.random() < NOBODY:
            picture = group.backgrounds[int(draw.integers(len(group.backgrounds)))].numpy()
            truth = np.zeros((133, 3))
            box = np.sort(draw.uniform(0, len(picture), (2, 2)), axis=0).flatten()
            box = box + np.array([0, 0, 8, 8])
        else:
            row = int(draw.integers(len(group.images)))
            picture, truth = group.images[row].numpy(), group.points[row].numpy()
            box = shaken(group.boxes[row].numpy(), draw)
        crop, moved = cut_out(picture, truth, crop_matrix(box, POSE_SIZE), draw)
        pictures.append(normalised(seen_by_a_camera(crop, draw)).transpose(2, 0, 1))
        points.append(moved)
    stacked = torch.from_numpy(np.stack(pictures)).contiguous(memory_format=torch.channels_last)
    return Crops(pictures=stacked, points=torch.from_numpy(np.stack(points)).float())


def shaken(box: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """A box as a detector or last frame's points would have it."""
    size = np.array([box[2] - box[0], box[3] - box[1]])
    centre = (box[:2] + box[2:]) / 2 + draw.normal(0, 0.04, 2) * size
    half = size / 2 * np.exp(draw.uniform(-0.16, 0.22) + draw.normal(0, 0.05, 2))
    return np.concatenate([centre - half, centre + half])


def cut_out(
    picture: np.ndarray, points: np.ndarray, matrix: np.ndarray, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The crop and the points in it; points outside of it count as not visible."""
    cv2 = opencv()
    width, height = POSE_SIZE
    angle = np.radians(draw.normal(0, 8)) if draw.random() < 0.4 else 0.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([width / 2, height / 2])
    matrix = np.column_stack([turn @ matrix[:, :2], turn @ (matrix[:, 2] - middle) + middle])
    crop = cv2.warpAffine(picture, matrix, POSE_SIZE, flags=cv2.INTER_LINEAR)
    moved = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    inside = ((moved >= 0) & (moved <= (width - 1, height - 1))).all(axis=1)
    return crop, np.column_stack([moved, points[:, 2] * inside])


def seen_by_a_camera(picture: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Other light and colours, and often noise, blur or blocks: `h w 3` uint8."""
    cv2 = opencv()
    gain, shift = np.exp(draw.normal(0, 0.12) + draw.normal(0, 0.05, 3)), draw.normal(0, 8)
    changed = picture.astype(np.float32) * gain + shift
    kind = draw.random()
    if kind < 0.3:
        changed += draw.normal(0, draw.uniform(2, 12), picture.shape)
    elif kind < 0.5:
        changed = cv2.GaussianBlur(changed, (0, 0), draw.uniform(0.4, 1.3))
    changed = changed.clip(0, 255).astype(np.uint8)
    if draw.random() < 0.2:
        _, packed = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, int(draw.integers(25, 90))])
        changed = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return changed


def draw_scenes(pool: list[DrawnDancers], generators: list[torch.Generator], *, people: int) -> Scenes:
    """Pictures of any proportions with nobody to `people` dancers; one per generator."""
    count = len(generators)
    pictures, boxes = np.zeros((count, PERSON_SIZE, PERSON_SIZE, 3), np.uint8), np.zeros((count, people, 4))
    for i, generator in enumerate(generators):
        draw = numbers(generator)
        canvas, found = one_scene(pool, draw, people=people)
        height, width = canvas.shape[:2]
        pictures[i] = GREY
        pictures[i, :height, :width] = seen_by_a_camera(canvas, draw)
        boxes[i, : len(found)] = np.reshape(found, (-1, 4))
    flipped = torch.from_numpy(np.ascontiguousarray(pictures[..., ::-1].transpose(0, 3, 1, 2))).float()
    return Scenes(
        pictures=flipped.contiguous(memory_format=torch.channels_last), boxes=torch.from_numpy(boxes).float()
    )


def one_scene(
    pool: list[DrawnDancers], draw: np.random.Generator, *, people: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A canvas whose longer side is the detector's: one whole picture, or several pasted into an empty scene."""
    cv2 = opencv()
    if draw.random() < 0.45:
        picture, box = one_dancer(pool, draw)
        return cv2.resize(picture, (PERSON_SIZE, PERSON_SIZE)), [box * PERSON_SIZE]
    shape = np.array([PERSON_SIZE, PERSON_SIZE])
    shape[int(draw.integers(2))] = round(PERSON_SIZE * draw.uniform(0.45, 1.0))
    width, height = (int(side) for side in shape)
    group = pool[int(draw.integers(len(pool)))]
    scene = group.backgrounds[int(draw.integers(len(group.backgrounds)))].numpy()
    canvas, boxes = cv2.resize(scene, (width, height)), []
    slots = int(draw.integers(people + 1))
    for slot in range(slots):
        picture, box = one_dancer(pool, draw)
        along = max(width, height) / slots
        side = int(min(width, height, along) * draw.uniform(0.55, 1.0))
        place = np.array([draw.uniform(0, width - side), draw.uniform(0, height - side)])
        axis = int(height > width)
        place[axis] = slot * along + draw.uniform(0, along - side)
        x, y = place.astype(int)
        canvas[y : y + side, x : x + side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        boxes.append(box * side + (x, y, x, y))
    return canvas, boxes


def one_dancer(pool: list[DrawnDancers], draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture, and the dancer's box in shares of its side."""
    group = pool[int(draw.integers(len(pool)))]
    row = int(draw.integers(len(group.images)))
    return group.images[row].numpy(), group.boxes[row].numpy() / group.images.shape[1]
