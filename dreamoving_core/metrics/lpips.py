"""LPIPS where its weights are on this machine; nothing is ever downloaded. Frames: f h w c in [0, 1]."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ..errors import MissingPackageError, WeightsError

BACKBONE = "alexnet-owt-7be5be79.pth"  # what torchvision calls the network that LPIPS stands on [LPIPS]
SMALLEST = 64  # pixels; AlexNet sees nothing in less


def backbone_file() -> Path:
    """Where torchvision keeps, and looks for, the backbone."""
    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE


def why_not(height: int, width: int) -> str | None:
    """Why there is no LPIPS for frames of this size, in words; None when there is."""
    if not backbone_file().is_file():
        return f"LPIPS is left out: its network is not here. Put {BACKBONE} from torchvision into {backbone_file().parent}."
    if min(height, width) < SMALLEST:
        return (
            f"LPIPS is left out: it needs frames of at least {SMALLEST} pixels, these are {width} x {height}."
        )
    return None


def open_lpips() -> Any:
    """torchmetrics' metric with its network, read from the disk once. Only where `why_not` has nothing to say.

    Raises MissingPackageError without torchmetrics and torchvision, WeightsError for a damaged file.
    """
    try:
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
    except ImportError as error:
        raise MissingPackageError(
            "LPIPS needs torchmetrics and torchvision: pip install torchmetrics torchvision"
        ) from error
    except (RuntimeError, UnpicklingError, EOFError, OSError) as error:
        raise WeightsError(
            f"{backbone_file()} is damaged, or is no AlexNet of torchvision. Fetch it again, or delete it to go without LPIPS."
        ) from error


def lpips(metric: Any, frames: Tensor, truth: Tensor) -> Tensor:
    """The distance of every frame, `f`; 0 is the same. The network sees one frame at a time and keeps none."""
    return torch.stack([_one(metric, *pair) for pair in zip(frames, truth, strict=True)])


def _one(metric: Any, *pair: Tensor) -> Tensor:
    with torch.inference_mode():
        metric.update(*(frame.float().clamp(0, 1).movedim(-1, 0)[None] for frame in pair))
        distance = metric.compute()
    metric.reset()
    return distance
