"""From one float frame to the bytes that an encoder takes. Axes: h w c, values in [0, 1]."""

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError


def rgb(frame: Tensor, *, number: int = 1) -> Tensor:
    """`h w c`, or a clip `f h w c`, with 1, 3 or 4 channels as 3: grey is repeated, alpha is left out."""
    if frame.ndim not in (3, 4) or frame.shape[-1] not in (1, 3, 4) or 0 in frame.shape:
        raise InputError(
            f"Frame {number} has the shape {list(frame.shape)}; expected height, width and 1, 3 or 4 channels. "
            "Connect an IMAGE; convert a mask with Mask to Image first."
        )
    return frame.expand(*frame.shape[:-1], 3) if frame.shape[-1] == 1 else frame[..., :3]


def to_bytes(frame: Tensor, *, number: int) -> np.ndarray:
    """`h w c` in [0, 1], on any device -> `h w 3` uint8, rounded. `number` counts from 1 and is for the error."""
    scaled = rgb(frame, number=number).to(torch.float32) * 255.0
    if not torch.isfinite(scaled.sum()):  # one pass; any NaN or infinity stays in the sum
        raise InputError(
            f"Frame {number} holds values that are not numbers (NaN or infinite), so there is nothing to show. "
            "They come from the sampler or the VAE: try --fp32-vae or another VAE, a lower cfg, or another "
            "attention; if only one model does it, its file may be damaged."
        )
    return scaled.round_().clamp_(0, 255).to(torch.uint8).cpu().numpy()


def pad_to(pixels: np.ndarray, *, multiple: int) -> np.ndarray:
    """Repeats the last row and column until both sides are a multiple of `multiple`."""
    height, width = pixels.shape[:2]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return pixels
    return np.pad(pixels, ((0, bottom), (0, right), (0, 0)), mode="edge")
