"""Shots of a video: where its picture jumps or fades, by PySceneDetect's detectors on the pack's own frames.

The detectors are handed the frames one by one, so that their numbers are the numbers of every other step here.
"""

from collections.abc import Iterable
from fractions import Fraction
from types import ModuleType

import numpy as np

from ...errors import MissingPackageError
from ...preprocess.optional_packages import opencv

SIDE = 256  # [PySceneDetect] pixels of the shorter side are enough to see a cut
SHORTEST = 0.5  # [ours] seconds between two cuts: a flash is none


def scenedetect() -> ModuleType:
    """PySceneDetect, or MissingPackageError."""
    try:
        import scenedetect.detectors
    except ImportError as error:
        raise MissingPackageError(
            f"Finding shots needs PySceneDetect, which cannot be imported here ({error}). Install it into ComfyUI's Python "
            "with: python -m pip install 'scenedetect>=0.7'"
        ) from error
    return scenedetect


def find_cuts(pictures: Iterable[np.ndarray], rate: Fraction) -> tuple[list[int], int]:
    """First frames of all shots but the first, and how many frames there are, of `h w 3` uint8 RGB pictures.

    AdaptiveDetector sees jumps and lets quick dances and pans pass; ThresholdDetector sees fades through black.
    """
    package = scenedetect()
    shortest = max(1, round(SHORTEST * rate))
    detectors = [
        package.detectors.AdaptiveDetector(min_scene_len=shortest),
        package.detectors.ThresholdDetector(min_scene_len=shortest),
    ]
    cuts: set[int] = set()
    stamp, frames = package.FrameTimecode(0, rate), 0
    for picture in pictures:
        stamp = package.FrameTimecode(frames, rate)
        small = shrunk(picture)[..., ::-1]  # BGR, as OpenCV has it
        for detector in detectors:
            cuts.update(cut.frame_num for cut in detector.process_frame(stamp, small))
        frames += 1
    for detector in detectors:
        cuts.update(cut.frame_num for cut in detector.post_process(stamp))
    return sorted(cut for cut in cuts if 0 < cut < frames), frames


def shrunk(picture: np.ndarray, *, side: int = SIDE) -> np.ndarray:
    """`h w 3` uint8 with a shorter side of at most `side` pixels."""
    cv2 = opencv()
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
