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


def rgba(frame: Tensor, *, number: int = 1) -> Tensor:
    """`h w c` with 1, 3 or 4 channels as 4; what has no alpha is opaque."""
    colours = rgb(frame, number=number)
    alpha = frame[..., 3:] if frame.shape[-1] == 4 else torch.ones_like(colours[..., :1])
    return torch.cat([colours, alpha], dim=-1)


def to_bytes(frame: Tensor, *, number: int, alpha: bool = False, depth: int = 8) -> np.ndarray:
    """`h w c` in [0, 1], on any device -> `h w 3` (`alpha`: 4) uint8, rounded; uint16 at a `depth` of 16.

    `number` counts from 1 and is for the error.
    """
    channels = rgba(frame, number=number) if alpha else rgb(frame, number=number)
    highest = float(2**depth - 1)
    scaled = channels.to(torch.float32) * highest
    if not torch.isfinite(scaled.sum()):  # one pass; any NaN or infinity stays in the sum
        raise InputError(
            f"Frame {number} holds values that are not numbers (NaN or infinite), so there is nothing to show. "
            "They come from the sampler or the VAE: try --fp32-vae or another VAE, a lower cfg, or another "
            "attention; if only one model does it, its file may be damaged."
        )
    rounded = scaled.round_().clamp_(0, highest)
    if depth == 8:
        return rounded.to(torch.uint8).cpu().numpy()
    return rounded.to(torch.int32).cpu().numpy().astype(np.uint16)


def to_floats(pixels: np.ndarray) -> Tensor:
    """`h w c` uint8 or uint16 -> float32 in [0, 1]."""
    highest = float(np.iinfo(pixels.dtype).max)
    numbers = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    return torch.from_numpy(numbers).to(torch.float32).div_(highest)


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """`h w c` uint8 or uint16 -> `h w 3` uint8; alpha is left out."""
    colours = pixels[..., :3]
    return np.ascontiguousarray(colours if pixels.dtype == np.uint8 else (colours >> 8).astype(np.uint8))


def pad_to(pixels: np.ndarray, *, multiple: int) -> np.ndarray:
    """Repeats the last row and column until both sides are a multiple of `multiple`."""
    height, width = pixels.shape[:2]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return pixels
    return np.pad(pixels, ((0, bottom), (0, right), (0, 0)), mode="edge")
