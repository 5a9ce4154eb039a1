"""What happens around every call of a U-Net that has motion: the settings of this step and these frames, and the insertion.

ComfyUI's batch axis is `(b f)`: one chunk of `f` frames for each conditioning that is computed together.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .block_strengths import EVEN, BlockStrengths
from .control_frames import at_frames, frames_in_view
from .curves import Strength, per_frame
from .insertion import open_insertion

KEY = "dreamoving_motion"  # of wrappers, additional models and attachments


@dataclass(frozen=True, kw_only=True)
class MotionCall:
    """Runs around every call of the U-Net and opens the insertion for it."""

    strength: Strength = 1.0
    scale: Strength = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    span: int | None = None  # positions that longer clips are squeezed into; None follows the formula
    blocks: BlockStrengths = EVEN
    norms_across_frames: bool = False

    def __call__(self, executor, x, t, c_concat=None, c_crossattn=None, control=None, options=None, **kwargs):
        args = (x, t, c_concat, c_crossattn, control, options)
        base = executor.class_obj
        if not self.active(t, base.model_sampling):
            return executor(*args, **kwargs)
        motion = base.current_patcher.get_additional_models_with_key(KEY)[0].model
        with open_insertion(
            base,
            motion,
            num_frames=frames_of(x, options),
            effect=self.now(self.strength, x, options, name="strength"),
            scale=self.now(self.scale, x, options, name="scale"),
            span=self.span,
            blocks=self.blocks,
            norms_across_frames=self.norms_across_frames,
        ):
            return executor(*args, **kwargs)

    def active(self, sigma: Tensor, model_sampling: Any) -> bool:
        """Whether this step lies in the range; the bounds are inside it, as in ComfyUI's ControlNets."""
        if self.start_percent <= 0.0 and self.end_percent >= 1.0:
            return True
        start = model_sampling.percent_to_sigma(self.start_percent)
        end = model_sampling.percent_to_sigma(self.end_percent)
        return end <= float(sigma[0]) <= start

    def now(self, value: Strength, x: Tensor, options: dict[str, Any], *, name: str) -> float | Tensor:
        """`value` at the frames of this call: a number, or `f` on the device of `x`."""
        total, indices = frames_in_view(options, frames_of(x, options))
        values = per_frame(value, total, name=name)
        if isinstance(values, float):
            return values
        return at_frames(torch.tensor(values), indices).to(x.device)


def frames_of(x: Tensor, options: dict[str, Any]) -> int:
    """Frames of one video; core may compute one, two or more conditionings together."""
    chunks = len(options.get("cond_or_uncond") or [0])
    num_frames, rest = divmod(x.shape[0], chunks)
    if num_frames < 1 or rest:
        raise InputError(
            f"Motion needs at least 1 frame for each of {chunks} conditionings, got a batch of {x.shape[0]}. "
            "Set the batch size of the empty latent to the number of frames."
        )
    return num_frames
