"""How much a control may do where and when: per frame, and by a mask over the picture. Chunks are `(b f)`."""

import comfy.utils
import torch
from einops import rearrange, repeat
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..errors import InputError
from .control_frames import at_frames
from .curves import Strength, per_frame


def checked_mask(mask: Tensor | None) -> Tensor | None:
    """`f h w`, or None for no mask and for one that is 1 everywhere. Raises InputError for what is no mask."""
    if mask is None:
        return None
    if mask.ndim not in (2, 3, 4) or (mask.ndim == 4 and mask.shape[1] != 1) or 0 in mask.shape:
        raise InputError(
            f"A control mask has the shape frames, height, width; got {list(mask.shape)}. Connect a MASK."
        )
    mask = mask.reshape(-1, *mask.shape[-2:])
    if not torch.isfinite(mask).all():
        raise InputError("The control mask contains NaN or infinity. Check the node that draws it.")
    return None if bool((mask == 1).all()) else mask


def refuse_unfit_mask(mask: Tensor | None, num_frames: int) -> None:
    """Raise InputError unless there is no mask, one, or one for each frame."""
    if mask is not None and mask.shape[0] not in (1, num_frames):
        raise InputError(
            f"The control mask has {mask.shape[0]} frames for a video of {num_frames}. "
            f"Give one mask for each frame ({num_frames}), or a single mask that holds for all."
        )


class MaskSizes:
    """One run's mask at the sizes of the latents' levels, each made once."""

    def __init__(self, mask: Tensor) -> None:
        self.mask = rearrange(mask.float(), "f h w -> f 1 h w")
        self.sizes: dict[tuple[int, ...], Tensor] = {}

    def at(self, residual: Tensor, latent_size: tuple[int, int]) -> Tensor:
        """`f 1 h w` for a residual: cut to the video's proportions as a control picture is, then averaged per cell. [ours]"""
        size = (*latent_size, *residual.shape[-2:])
        if size not in self.sizes:
            height, width = latent_size
            cells = comfy.utils.common_upscale(self.mask, width, height, "area", "center")
            self.sizes[size] = adaptive_avg_pool2d(cells, residual.shape[-2:]).to(residual)
        return self.sizes[size]


def scale_residuals(
    residuals: dict[str, list[Tensor]],
    *,
    strength: Strength,
    masks: MaskSizes | None,
    latent_size: tuple[int, int],
    total: int,
    indices: list[int] | None,
) -> None:
    """Multiply by the strength of each frame and by the mask, in place; the shared strength is core's to apply.

    Residuals are `(b f) c h w`; `indices` are the frames of the window (None: all) of `total` in the clip.
    """
    numbers = per_frame(strength, total)
    if numbers == 1 and masks is None:
        return
    first = residuals["middle"][0]
    factors = torch.tensor(numbers, device=first.device, dtype=first.dtype)
    if factors.ndim:
        factors = rearrange(at_frames(factors, indices), "f -> f 1 1 1")
    for tensor in (t for tensors in residuals.values() for t in tensors):
        scale = factors
        if masks is not None:
            scale = factors * at_frames(masks.at(tensor, latent_size), indices)
        if scale.ndim and scale.shape[0] > 1:
            scale = repeat(scale, "f 1 h w -> (b f) 1 h w", b=tensor.shape[0] // scale.shape[0])
        tensor *= scale
