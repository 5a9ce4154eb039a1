"""LPIPS where its weights are on this machine; nothing is ever downloaded. Frames: f h w c in [0, 1]."""

from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ..errors import MissingPackageError

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


def lpips(frames: Tensor, truth: Tensor) -> Tensor:
    """The distance of every frame, `f`; 0 is the same. Only where `why_not` has nothing to say."""
    try:
        from torchmetrics.functional.image import learned_perceptual_image_patch_similarity
    except ImportError as error:
        raise MissingPackageError(
            "LPIPS needs torchmetrics and torchvision: pip install torchmetrics"
        ) from error
    planes = [rearrange(clip.float().clamp(0, 1), "f h w c -> f c h w") for clip in (frames, truth)]
    with torch.inference_mode():
        each = [
            learned_perceptual_image_patch_similarity(
                a[None], b[None], net_type="alex", reduction="sum", normalize=True
            )
            for a, b in zip(*planes, strict=True)
        ]
    return torch.stack(each)
