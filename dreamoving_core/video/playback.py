"""In which order frames are shown: forwards, ping-pong, repeated, two clips side by side. Frames: h w c in [0, 1]."""

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

import numpy as np
from torch import Tensor

from .layout import beside, check_counts
from .pixels import to_bytes


class Clip(Protocol):
    """Frames that can be played as often as needed, in both directions."""

    @property
    def num_frames(self) -> int:
        """How many there are, or will be as far as known."""
        ...

    def forward(self) -> Iterator[Tensor]: ...

    def backward(self) -> Iterator[Tensor]: ...


class Pictures(Protocol):
    """Frames for networks that take bytes, `h w 3` uint8 RGB."""

    @property
    def num_frames(self) -> int: ...

    def pictures(self) -> Iterator[np.ndarray]: ...


class ImageClip:
    """An IMAGE, `f h w c`. Nothing is copied."""

    def __init__(self, images: Tensor):
        self.images = images

    @property
    def num_frames(self) -> int:
        return len(self.images)

    def forward(self) -> Iterator[Tensor]:
        yield from self.images

    def pictures(self) -> Iterator[np.ndarray]:
        """Each frame as `h w 3` uint8."""
        return (to_bytes(image, number=i) for i, image in enumerate(self.images, start=1))

    def backward(self) -> Iterator[Tensor]:
        return (self.images[i] for i in range(len(self.images) - 1, -1, -1))


class SideBySide:
    """`left` beside `right`, at the height of `right`; a clip of one frame stands still."""

    def __init__(self, left: Clip, right: Clip):
        self.left, self.right = left, right
        if isinstance(left, ImageClip) and isinstance(right, ImageClip):
            check_counts([left.num_frames, right.num_frames])

    @property
    def num_frames(self) -> int:
        return max(self.left.num_frames, self.right.num_frames)

    def forward(self) -> Iterator[Tensor]:
        return self._both(self.left.forward(), self.right.forward())

    def backward(self) -> Iterator[Tensor]:
        return self._both(self.left.backward(), self.right.backward())

    def _both(self, left: Iterator[Tensor], right: Iterator[Tensor]) -> Iterator[Tensor]:
        ended, counts, shown = object(), [0, 0], [None, None]
        while True:
            frames = [next(clip, ended) for clip in (left, right)]
            if all(frame is ended for frame in frames):
                return
            counts = [n + (frame is not ended) for n, frame in zip(counts, frames, strict=True)]
            if any(frame is ended and n != 1 for n, frame in zip(counts, frames, strict=True)):
                check_counts(
                    [n + sum(1 for _ in clip) for n, clip in zip(counts, (left, right), strict=True)]
                )
            shown = [old if frame is ended else frame for old, frame in zip(shown, frames, strict=True)]
            yield beside(shown, number=max(counts), height=shown[1].shape[0])


def played(clip: Clip, *, ping_pong: bool = False, repeats: int = 0) -> Iterator[Tensor]:
    """The frames of `clip` in the order shown; with `ping_pong` back again, without its two ends, so that it loops."""
    for _ in range(repeats + 1):
        shown = 0
        for frame in clip.forward():
            shown += 1
            yield frame
        if ping_pong:
            yield from islice(clip.backward(), 1, max(1, shown - 1))


def shown_frames(num_frames: int, *, ping_pong: bool = False, repeats: int = 0) -> int:
    """How many frames `played` yields of a clip of `num_frames`."""
    back = max(0, num_frames - 2) if ping_pong else 0
    return (num_frames + back) * (repeats + 1)
