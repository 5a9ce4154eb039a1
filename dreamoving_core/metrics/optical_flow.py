"""Where surfaces move in a true video, estimated off its pictures where nobody knows it. Frames: h w 3 in [0, 1]."""

import torch
from torch import Tensor

from ..preprocess.optional_packages import opencv
from .warp import visible_along, warped_back

SMALLEST = 12  # pixels of the longer side; OpenCV's flow refuses less
CONSISTENT = (0.01, 0.5)  # of the squared ways, and square pixels beside it [Sundaram]


def estimated_flow(before: Tensor, now: Tensor) -> Tensor:
    """`h w 2` (x, y): pixels to where each pixel of `before` is in `now`, by OpenCV's DIS at its medium preset [DIS].

    Raises MissingPackageError without OpenCV.
    """
    cv2 = opencv(needed_for="The warp error")
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [
        cv2.cvtColor((frame * 255).round().byte().numpy(), cv2.COLOR_RGB2GRAY) for frame in (before, now)
    ]
    return torch.from_numpy(estimator.calc(*greys, None))


def followed(before: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
    """The flow `2 h w 2`, as `warp_error` takes it, and the pixels `1 h w` whose surface is still seen in `now`.

    What is covered, leaves, or changes its colour is not seen; and where the way there and the way back don't meet,
    the estimate is not believed.
    """
    there, back = estimated_flow(before, now), estimated_flow(now, before)
    flow, truth = torch.stack([there, torch.zeros_like(there)]), torch.stack([before, now])
    returned = warped_back(torch.stack([back, back]), flow)[0]
    length = there.square().sum(-1) + returned.square().sum(-1)
    share, beside = CONSISTENT
    meets = (there + returned).square().sum(-1) <= share * length + beside
    return flow, visible_along(truth, flow, torch.zeros(truth.shape[:3])) & meets
