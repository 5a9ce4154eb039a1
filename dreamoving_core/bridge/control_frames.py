"""Control pictures and the frames of the clip they belong to: counts, channels, context windows. Axes: `f c h w`."""

from typing import Any

import torch
from einops import repeat
from torch import Tensor

from ..errors import InputError


def frames_in_view(transformer_options: dict[str, Any], num_frames: int) -> tuple[int, list[int] | None]:
    """Frames of the whole clip, and which of them this call computes (None: all), anchor frame included.

    Knows ComfyUI's context windows and AnimateDiff-Evolved's. Raises InputError where windows cut another axis.
    """
    window = transformer_options.get("context_window")
    evolved = transformer_options.get("ad_params") or {}
    total, indices = num_frames, None
    if window is not None:
        if window.dim != 0:
            raise InputError(
                f"ControlNets need context windows over frames, dim 0, got dim {window.dim}. "
                "Set dim to 0 in the Context Windows node."
            )
        total = window.total_frames
        indices = window.get_tensor(torch.arange(total), dim=0).tolist() if total > 1 else None
    elif evolved.get("sub_idxs") is not None:
        indices = list(evolved["sub_idxs"])
        total = evolved.get("full_length") or max(indices) + 1
    if indices is not None and len(indices) != num_frames:
        raise InputError(
            f"The context window names {len(indices)} frames, but {num_frames} are computed. "
            "Use ComfyUI's Context Windows node or the DreaMoving Sampler."
        )
    return total, indices


def at_frames(values: Tensor, indices: list[int] | None) -> Tensor:
    """`values` at these positions of the first axis: a view where they follow each other; one value serves all."""
    if indices is None or values.shape[0] == 1:
        return values
    first, count = indices[0], len(indices)
    if indices == list(range(first, first + count)):
        return values[first : first + count]
    return values[indices]


def refuse_unfit_count(control_frames: Tensor, num_frames: int) -> None:
    """Raise InputError unless there is one picture, or one for each frame."""
    count = control_frames.shape[0]
    if count not in (1, num_frames):
        raise InputError(
            f"A ControlNet got {count} control images for a video of {num_frames} frames. "
            f"Give one image for each frame ({num_frames}), or a single image that holds for all."
        )


def refuse_unsound(control_frames: Tensor) -> None:
    """Raise InputError unless all numbers are finite."""
    if not torch.isfinite(control_frames).all():
        raise InputError("The control images contain NaN or infinity. Check the node that draws them.")


def in_channels(control_frames: Tensor, channels: int) -> Tensor:
    """Pictures `f c h w` with as many channels as the network reads: masks become grey, alpha is laid over black."""
    found = control_frames.shape[1]
    if found == channels:
        return control_frames
    if found == 1:
        return repeat(control_frames, "f 1 h w -> f c h w", c=channels)
    if (found, channels) == (4, 3):
        return control_frames[:, :3] * control_frames[:, 3:]
    raise InputError(
        f"The Video ControlNet reads pictures of {channels} channels, got {found}. Connect an ordinary RGB image."
    )
