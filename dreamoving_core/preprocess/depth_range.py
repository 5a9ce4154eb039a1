"""One range of depth for a whole clip, so that depth pictures do not flicker.

The authors of ZoeDepth and most nodes normalise each picture by itself: an arm that comes near then changes the
brightness of the wall behind it. Here white and black stand for the same distances in every frame. [ours]
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError

SIDE = 96  # values along a side of a frame that are looked at
FRAMES = 256  # of a clip: beyond that every second one, every fourth one and so on [ours]
CUT_NEAR, CUT_FAR = 2.0, 15.0  # [Zoe] percent of the pixels that become white and black


@dataclass(frozen=True)
class DepthRange:
    """What white (near) and black (far) stand for. `near` is the smaller number in metres, the larger one in inverse depth."""

    near: float
    far: float

    def picture(self, depth: Tensor) -> Tensor:
        """`... h w` in [0, 1], near is bright; what is not finite (a sky) is far. A range of one value gives grey."""
        if self.near == self.far:
            return torch.where(depth.isfinite(), 0.5, 0.0).to(depth.dtype)
        picture = (depth - self.far) / (self.near - self.far)
        return picture.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).clamp(0, 1)


class DepthSamples:
    """A sample of a clip's depth that stays small however long the clip is: at most 256 frames of 96 x 96 values."""

    def __init__(self) -> None:
        self.seen = 0
        self.every = 1
        self._kept: list[Tensor] = []

    def add(self, depth: Tensor) -> None:
        """One frame, `h w`."""
        if self.seen % self.every == 0:
            down, across = (max(1, -(-side // SIDE)) for side in depth.shape)
            values = depth[down // 2 :: down, across // 2 :: across]
            self._kept.append(values[values.isfinite()].float().cpu())
        self.seen += 1
        if len(self._kept) > FRAMES:
            self._kept = self._kept[::2]
            self.every *= 2

    def range(
        self, *, cut_near: float = CUT_NEAR, cut_far: float = CUT_FAR, inverse: bool = False
    ) -> DepthRange:
        """White and black by percentiles over the clip; `inverse` where near is the larger number.

        Raises InputError for cuts that leave nothing and for clips without a finite value.
        """
        if min(cut_near, cut_far) < 0 or cut_near + cut_far >= 100:
            raise InputError(
                f"cut_near {cut_near:g} and cut_far {cut_far:g} leave no depth between them. They are percent of the "
                "pixels: together less than 100."
            )
        values = torch.cat(self._kept).numpy() if self._kept else np.empty(0)
        if not len(values):
            raise InputError(
                f"None of the {self.seen} frames has a finite depth (all NaN or infinite). Check the node before this one."
            )
        cuts = (100 - cut_near, cut_far) if inverse else (cut_near, 100 - cut_far)
        near, far = np.percentile(values, cuts)
        return DepthRange(float(near), float(far))
