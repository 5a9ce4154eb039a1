"""Frames on their way into a file: counted, of one size, padded to what the format needs."""

import numpy as np
from torch import Tensor

from ..errors import InputError
from .formats import VideoFormat
from .pixels import pad_to, to_bytes

LAYOUTS = {(8, False): "rgb24", (8, True): "rgba", (16, False): "rgb48le", (16, True): "rgba64le"}
NO_FRAMES = "There is no frame to write: got 0. Check the node that images comes from."


class FrameBytes:
    """`take` turns `h w c` in [0, 1] into the pixels for `form`. The first frame decides on size and alpha."""

    def __init__(self, form: VideoFormat):
        self.form = form
        self.count = 0
        self.width = self.height = 0  # of the file; the frames may be smaller
        self.alpha = False
        self._source_size = (0, 0)  # height, width of the frames

    @property
    def layout(self) -> str:
        """The pixels' name in FFmpeg."""
        return LAYOUTS[self.form.depth, self.alpha]

    def take(self, frame: Tensor) -> np.ndarray:
        if self.count == 0:
            self.alpha = self.form.alpha_format is not None and frame.shape[-1] == 4
        pixels = to_bytes(frame, number=self.count + 1, alpha=self.alpha, depth=self.form.depth)
        pixels = pad_to(pixels, multiple=self.form.alignment)
        if self.count == 0:
            self._check_size(*pixels.shape[:2])
            self.height, self.width = pixels.shape[:2]
            self._source_size = tuple(frame.shape[:2])
        elif tuple(frame.shape[:2]) != self._source_size:
            raise InputError(
                f"Frame {self.count + 1} is {frame.shape[1]} x {frame.shape[0]} pixels, the ones before are "
                f"{self._source_size[1]} x {self._source_size[0]}. Resize them to one size first."
            )
        self.count += 1
        return pixels

    def _check_size(self, height: int, width: int) -> None:
        if max(height, width) > self.form.max_side:
            raise InputError(
                f"{self.form.name} holds pictures of at most {self.form.max_side} pixels a side, got {width} x {height}. "
                "Make the frames smaller, or choose another format."
            )
        if min(height, width) < self.form.min_side:
            raise InputError(
                f"{self.form.name} needs pictures of at least {self.form.min_side} pixels a side, got {width} x {height}. "
                "Make the frames larger, or choose mp4."
            )
