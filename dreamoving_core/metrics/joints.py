"""How far a dancer's joints and face are from where they should be. Points: f p 2 (x, y) in pixels; visible: f p."""

import torch
from torch import Tensor

from ..errors import InputError
from .point_network import BROWS, EYES, MOUTH, POINTS, find_points


def point_error(found: Tensor, truth: Tensor, visible: Tensor, *, height: float) -> float:
    """Mean distance of the visible points, a share of the picture's `height`."""
    _check(found, truth, visible)
    return float(((found - truth).to(torch.float64).norm(dim=-1)[visible.bool()]).mean() / height)


def joint_error(clip: Tensor, keypoints: Tensor) -> float:
    """Mean distance of 17 body joints, which a regressor finds in the clip (f h w c), from the true ones.

    `keypoints`: f 133 3 of COCO-WholeBody (x, y, visible). In shares of the picture's height.
    """
    truth = keypoints[:, POINTS["joints"]]
    return point_error(find_points(clip, "joints"), truth[..., :2], truth[..., 2], height=clip.shape[1])


def expression_parts(points: Tensor) -> dict[str, Tensor]:
    """Mouth, eyes and brows with place and size of the face taken out; `points` f 42 2: brows, eyes, mouth.

    Mouth and each eye around their own middle, each brow around the middle of its eye, in distances between the eyes.
    """
    brows, eyes, mouth = points.split([len(BROWS), len(EYES), len(MOUTH)], dim=1)
    first, second = eyes.chunk(2, dim=1)
    centres = [eye.mean(dim=1, keepdim=True) for eye in (first, second)]
    size = (centres[1] - centres[0]).norm(dim=-1, keepdim=True).clamp(min=1)
    parts = {
        "mouth": mouth - mouth.mean(dim=1, keepdim=True),
        "eyes": torch.cat([first - centres[0], second - centres[1]], dim=1),
        "brows": torch.cat([b - c for b, c in zip(brows.chunk(2, dim=1), centres, strict=True)], dim=1),
    }
    return {name: part / size for name, part in parts.items()}


def expression_difference(found: Tensor, truth: Tensor, visible: Tensor) -> dict[str, float]:
    """Mean distance of the points of mouth, eyes and brows, and of the three together, in distances between the eyes.

    Only frames in which all 42 points are visible count.
    """
    _check(found, truth, visible)
    whole = visible.bool().all(dim=1)
    if not whole.any():
        raise InputError("No frame shows mouth, eyes and brows whole, so there is no expression to compare.")
    ours, theirs = expression_parts(found[whole]), expression_parts(truth[whole])
    errors = {name: float((ours[name] - theirs[name]).norm(dim=-1).mean()) for name in ours}
    return {**errors, "expression": sum(errors.values()) / len(errors)}


def expression_error(clip: Tensor, keypoints: Tensor) -> dict[str, float]:
    """`expression_difference` of what a regressor finds in a close-up (f h w c) from the truth (f 133 3)."""
    truth = keypoints[:, POINTS["expression"]]
    return expression_difference(find_points(clip, "expression"), truth[..., :2], truth[..., 2])


def _check(found: Tensor, truth: Tensor, visible: Tensor) -> None:
    if found.shape != truth.shape or visible.shape != truth.shape[:2]:
        raise InputError(
            f"The points are {list(found.shape)}, the truth {list(truth.shape)} and what is visible "
            f"{list(visible.shape)}: frames and points must be the same."
        )
    if not visible.bool().any():
        raise InputError("No joint is visible in any frame, so there is nothing to compare.")
