"""The forward of a Video ControlNet: an LDM ControlNet's own blocks, with a motion module in each of AnimateDiff's slots.

Axes: `(b f) c h w`, videos outermost. The network is taken by its attributes (`input_blocks`, `zero_convs`,
`middle_block`, `middle_block_out`, `input_hint_block`), so nothing of the host is imported. [DM §2.4.3, Fig. 1] [CN] [AD]
"""

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .motion import MotionModel

RunBlock = Callable[..., Tensor]

HINT_CHUNK = 8  # frames whose full-size features the hint encoder holds at once; the result does not depend on it [ours]


def run_directly(block: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Run a block and keep what its backward needs."""
    return block(*inputs)


def run_checkpointed(block: Callable[..., Tensor], *inputs: Any) -> Tensor:
    """Run a block and compute it again in backward. Non-reentrant: the reentrant kind gives wrong gradients silently."""
    return checkpoint(block, *inputs, use_reentrant=False)


def is_residual(layer: nn.Module) -> bool:
    """Whether `layer` is an LDM ResBlock that keeps the resolution."""
    return (
        hasattr(layer, "in_layers") and hasattr(layer, "out_layers") and not getattr(layer, "updown", False)
    )


def motion_slots(input_blocks: nn.ModuleList) -> list[int]:
    """Numbers of the input blocks that a motion module follows: a ResBlock, and no resampler. SD1.5: 1 2 4 5 7 8 10 11."""
    return [i for i, block in enumerate(input_blocks) if any(is_residual(layer) for layer in block)]


def split_middle(middle_block: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """The middle block before and after its motion module: ResBlock and attention, then the last ResBlock. [AD]"""
    residual = [i for i, layer in enumerate(middle_block) if is_residual(layer)]
    cut = residual[-1] if len(residual) > 1 else len(middle_block)
    return middle_block[:cut], middle_block[cut:]


def encode_control_frames(
    hint_block: nn.Module, control_frames: Tensor, *, chunk: int = HINT_CHUNK
) -> Tensor:
    """Features `f c h/8 w/8` of control pictures `f c h w` in [0, 1]. They depend on neither noise, time nor text."""
    return torch.cat([hint_block(frames, None, None) for frames in control_frames.split(chunk)])


def add_hint(hidden: Tensor, hint_features: Tensor) -> Tensor:
    """Add features `n c h w` to `(k n) c h w`: one pass of the hint encoder serves all noise levels and conditionings."""
    if hint_features.shape[0] in (1, hidden.shape[0]):
        return hidden + hint_features
    levels = rearrange(hidden, "(k n) c h w -> k n c h w", n=hint_features.shape[0]) + hint_features
    return rearrange(levels, "k n c h w -> (k n) c h w")


def control_residuals(
    network: nn.Module,
    latents: Tensor,
    *,
    motion: MotionModel | None,
    time_embedding: Tensor,
    context: Tensor,
    hint_features: Tensor,
    num_frames: int,
    run_block: RunBlock = run_directly,
    options: dict[str, Any] | None = None,
) -> dict[str, list[Tensor]]:
    """What the U-Net adds to its skips and to its middle.

    Shapes: latents `(b f) c h w`; time_embedding `(b f) d`; context `(b f) n d`; hint_features `n c h w`
    with n = 1, f, or any other period of the batch. Each motion module stands after its block's attention and before the zero convolution; the middle one before the
    last ResBlock, as in AnimateDiff's U-Net. Without `motion` this is the image ControlNet. `options` are the blocks'
    transformer options.
    """

    conditions = (time_embedding, context) if options is None else (time_embedding, context, options)

    def with_motion(block: nn.Module, module: nn.Module | None) -> Callable[[Tensor], Tensor]:
        def run(hidden: Tensor) -> Tensor:
            hidden = block(hidden, *conditions)
            return hidden if module is None else module(hidden, num_frames=num_frames)

        return run

    modules = {}
    if motion is not None:
        modules = {index: motion.down(slot) for slot, index in enumerate(motion_slots(network.input_blocks))}
    skips = []
    hidden = latents
    for index, (block, zero_conv) in enumerate(zip(network.input_blocks, network.zero_convs, strict=True)):
        hidden = run_block(with_motion(block, modules.get(index)), hidden)
        if index == 0:
            hidden = add_hint(hidden, hint_features)
        skips.append(zero_conv(hidden, time_embedding, context))

    before, after = split_middle(network.middle_block)
    hidden = run_block(with_motion(before, None if motion is None else motion.mid()), hidden)
    hidden = run_block(with_motion(after, None), hidden)
    return {"middle": [network.middle_block_out(hidden, time_embedding, context)], "output": skips}
