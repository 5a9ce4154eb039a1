"""Poses as detectors give them: joints that wander, and limbs that are missing for a while. [ours]

True poses (ProcDance's) and tidy ones teach a ControlNet to trust every pixel of its lines; what people give it comes
off a video. Points are `f p 136 3` as in `preprocess/pose_clip.py`: x, y in pixels, seen or not.

Measured on eight held-out dancers through a real mp4, Tiny's detectors, after Clean Pose (docs/results.md): joints of
the body lie 1.6 % of the picture's height (RMS) beside their places on top of a constant offset, and neighbouring frames
agree: 0.83, 0.57 and 0.13 of that error is still there 1, 2 and 4 frames later. Noise that is smoothed over 1.32
frames agrees to 0.87, 0.56 and 0.10, and its second difference is the 0.7 % that was measured too.
"""

import torch
from torch import Tensor
from torch.nn import functional

from ..preprocess.draw_pose import draw_pose
from ..preprocess.pose_clip import (
    FACE,
    FEET,
    LEFT_ANKLE,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_HAND,
    LEFT_KNEE,
    LEFT_WRIST,
    NOSE,
    NUM_JOINTS,
    RIGHT_ANKLE,
    RIGHT_EAR,
    RIGHT_ELBOW,
    RIGHT_EYE,
    RIGHT_HAND,
    RIGHT_KNEE,
    RIGHT_WRIST,
    PoseClip,
    write_clip,
)  # fmt: skip

JITTER = 0.016  # measured: RMS over the body's joints, of the picture's height
DROPOUT = (
    0.02  # [ours] drawn dancers hide nothing from their detectors; real ones turn away and leave the picture
)
SMOOTHED = 1.32  # frames: what makes neighbouring frames agree as they do in extracted poses
OWN = (
    1 / 3
)  # of the jitter: what a point of face or hand wanders on its own; the rest it shares with nose or wrist
LASTS = 16  # frames that a drop-out lasts on average; Clean Pose closes gaps of up to 8 [ours]
LEADERS = ((FACE, NOSE), (LEFT_HAND, LEFT_WRIST), (RIGHT_HAND, RIGHT_WRIST))
# what goes missing together; feet are left big toe, small toe, heel, then right
GROUPS = (
    (*range(FACE.start, FACE.stop),),
    (*range(LEFT_HAND.start, LEFT_HAND.stop),),
    (*range(RIGHT_HAND.start, RIGHT_HAND.stop),),
    (LEFT_ELBOW, LEFT_WRIST, *range(LEFT_HAND.start, LEFT_HAND.stop)),
    (RIGHT_ELBOW, RIGHT_WRIST, *range(RIGHT_HAND.start, RIGHT_HAND.stop)),
    (LEFT_KNEE, LEFT_ANKLE, *range(FEET.start, FEET.start + 3)),
    (RIGHT_KNEE, RIGHT_ANKLE, *range(FEET.start + 3, FEET.stop)),
    (LEFT_EYE, LEFT_EAR),
    (RIGHT_EYE, RIGHT_EAR),
)


def noisy(
    points: Tensor, *, height: int, jitter: float, dropout: float, generator: torch.Generator
) -> Tensor:
    """`f p 136 3` with `jitter` (RMS, of `height` pixels) and drop-outs; both 0 give the points themselves.

    The frames are neighbours. What was not seen stays unseen.
    """
    frames, people = points.shape[:2]
    found = points
    if jitter:
        scale = jitter * height / 2**0.5  # of each coordinate
        shift = scale * wandering(frames, people, generator)
        seen = points[..., 2:] > 0
        found = torch.cat([points[..., :2] + shift * seen, points[..., 2:]], dim=-1)
    if dropout:
        found = found * ~missing(frames, people, dropout, generator)[..., None]
    return found


def wandering(frames: int, people: int, generator: torch.Generator) -> Tensor:
    """`f p 136 2` of standard deviation 1 that changes slowly; face and hands go with their leaders."""
    reach = round(3 * SMOOTHED)
    white = torch.randn(frames + 2 * reach, people, NUM_JOINTS, 2, generator=generator)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / SMOOTHED) ** 2)
    weights = weights / weights.square().sum().sqrt()
    lines = functional.conv1d(white.flatten(1).T[:, None], weights[None, None])[:, 0]
    smooth = lines.T.reshape(frames, people, NUM_JOINTS, 2)
    found = smooth.clone()
    for part, leader in LEADERS:
        found[:, :, part] = smooth[:, :, leader : leader + 1] + OWN * smooth[:, :, part]
    return found


def missing(frames: int, people: int, share: float, generator: torch.Generator) -> Tensor:
    """`f p 136` booleans: each group is gone in `share` of the frames, LASTS of them on end on average."""
    gone = torch.zeros(frames, people, NUM_JOINTS, dtype=torch.bool)
    draws = torch.rand(frames, people, len(GROUPS), generator=generator)
    begins, ends = share / (1 - share) / LASTS, 1 / LASTS  # chances per frame that keep the share as it is
    state = draws[0] < share
    for frame in range(frames):
        if frame:
            state = torch.where(state, draws[frame] >= ends, draws[frame] < begins)
        for person, number in state.nonzero().tolist():
            gone[frame, person, list(GROUPS[number])] = True
    return gone


def drawn(points: Tensor, *, width: int, height: int) -> Tensor:
    """Pose pictures `f h w c` in [0, 1] of `f p 136 3` on a canvas of this size."""
    clip = PoseClip(points=points.double().numpy(), width=width, height=height)
    return draw_pose(write_clip(clip), width=width, height=height)
