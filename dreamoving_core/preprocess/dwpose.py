"""DWPose over a clip: pictures stream through, only the poses stay. [DWPose]

Pictures are `h w 3` uint8 RGB; every frame of the clip gives one entry of the POSE_KEYPOINT, people or none.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ..errors import InputError
from .dwpose_detect import THRESHOLD, PersonDetector, person_detector
from .dwpose_people import given_boxes, next_boxes, pose_frame
from .dwpose_simcc import PointDetector, point_detector
from .onnx_session import AUTO, CPU, open_model

BATCH_BYTES = 64 * 2**20  # [ours] of pictures in memory at once
BATCH = 16  # crops in one call of the network
EVERY_ON_CPU = 5  # [ours] frames from one search for people to the next; a YOLOX-L takes seconds there


@dataclass(frozen=True, kw_only=True)
class ExtractSettings:
    """`every`: people are looked for in each n-th frame and followed by their points in between; 0 chooses by the
    device. `threshold`: of a person, 0 to 1. `people`: the largest so many of a frame, 0 for everybody."""

    every: int = 0
    threshold: float = THRESHOLD
    people: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseExtractor:
    """Both networks. `detector` is None where boxes come from elsewhere."""

    points: PointDetector
    detector: PersonDetector | None
    settings: ExtractSettings

    @property
    def every(self) -> int:
        if self.settings.every or self.detector is None:
            return max(1, self.settings.every)
        return EVERY_ON_CPU if self.detector.model.device == CPU else 1

    def devices(self) -> str:
        """Where the networks run and why, in words."""
        models = [model.model for model in (self.detector, self.points) if model is not None]
        told = [f"{model.name} on {model.device} ({model.why})" for model in models]
        return "; ".join(told)

    def extract(
        self,
        pictures: Iterable[np.ndarray],
        *,
        boxes: object = None,
        on_frame: Callable[[int], None] = lambda _: None,
    ) -> list[dict]:
        """POSE_KEYPOINT of the clip. `boxes`: core's BOUNDING_BOX instead of the detector.

        `on_frame` hears how many frames are done; what it raises stops the run.
        """
        frames: list[dict] = []
        for some in self._found(pictures, boxes):
            for picture, people in some:
                height, width = picture.shape[:2]
                frames.append(pose_frame(people, width=width, height=height))
                on_frame(len(frames))
        if not frames:
            raise InputError("There is not one picture to read poses off. Choose a longer clip.")
        return frames

    def _found(
        self, pictures: Iterable[np.ndarray], boxes: object
    ) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        """Pictures with their people, batch by batch."""
        first = 0
        if boxes is None and self.every > 1:
            yield from self._followed(pictures)
            return
        for batch in batches(pictures):
            if boxes is None:
                found = [self._detected(picture) for picture in batch]
            else:
                found = [self._chosen(given_boxes(boxes, frame=first + i)) for i in range(len(batch))]
            yield list(zip(batch, self._points(batch, found), strict=True))
            first += len(batch)

    def _followed(self, pictures: Iterable[np.ndarray]) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        """A search in every n-th frame, and at once where somebody was lost."""
        tracked = np.zeros((0, 4))
        for number, picture in enumerate(pictures):
            people = self._points([picture], [tracked])[0]
            somebody_lost = len(people) and next_boxes(people) is None
            if number % self.every == 0 or somebody_lost:
                people = self._points([picture], [self._detected(picture)])[0]
            tracked = next_boxes(people)
            if tracked is None:
                tracked = np.zeros((0, 4))
            yield [(picture, people)]

    def _detected(self, picture: np.ndarray) -> np.ndarray:
        if self.detector is None:
            raise InputError("Without boxes a person detector is needed. Choose a file under detector.")
        return self._chosen(self.detector.boxes(picture, threshold=self.settings.threshold))

    def _chosen(self, boxes: np.ndarray) -> np.ndarray:
        """The largest people, in the order in which they came."""
        if not self.settings.people or len(boxes) <= self.settings.people:
            return boxes
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return boxes[np.sort(np.argsort(-areas, kind="stable")[: self.settings.people])]

    def _points(self, pictures: list[np.ndarray], boxes: list[np.ndarray]) -> list[np.ndarray]:
        """The people of each picture: all crops of all pictures go through the network together."""
        jobs = [(picture, box) for picture, some in zip(pictures, boxes, strict=True) for box in some]
        found = self.points.points(jobs, batch=BATCH)
        return np.split(found, np.cumsum([len(some) for some in boxes])[:-1])


def batches(pictures: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """As many pictures at once as fit into BATCH_BYTES, at most BATCH."""
    stream = iter(pictures)
    for first in stream:
        count = max(1, min(BATCH, BATCH_BYTES // max(1, first.nbytes)))
        yield [first, *islice(stream, count - 1)]


def open_extractor(
    detector: Path | None, points: Path, settings: ExtractSettings, *, device: str = AUTO
) -> PoseExtractor:
    """Both files on `device`. Raises WeightsError for files of another kind."""
    found = None if detector is None else person_detector(open_model(detector, device=device))
    return PoseExtractor(
        points=point_detector(open_model(points, device=device)), detector=found, settings=settings
    )
