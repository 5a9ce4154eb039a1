"""Motion blocks for a ControlNet that has none: off, or started from a motion model's. [DM §2.4.3]

State dicts are the Video ControlNet's: LDM ControlNet keys, and AnimateDiff's under `motion.`.
"""

import re
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import WeightsError
from ..models.motion import MotionConfig, MotionModel
from .keymaps import StateDict, with_prefix

MotionBlocks = Literal["as the file says", "off", "from the motion model"]
MOTION_BLOCKS: tuple[MotionBlocks, ...] = get_args(MotionBlocks)

RESIDUAL = re.compile(r"^input_blocks\.(\d+)\.0\.out_layers\.3\.weight$")
MIDDLE = "middle_block.0.out_layers.3.weight"


def without_motion(state_dict: StateDict) -> StateDict:
    """The image ControlNet."""
    return {key: tensor for key, tensor in state_dict.items() if not key.startswith("motion.")}


def started_from_motion(
    state_dict: StateDict, motion: StateDict, config: MotionConfig, *, name: str = "The motion model"
) -> tuple[StateDict, MotionConfig]:
    """The ControlNet with copies of a motion model's blocks on its way down and in its middle, and their layout.

    A middle block that the motion model lacks (v1, v3) starts as a no-op. Blocks that the ControlNet had are replaced.
    Raises WeightsError, naming the motion model, when its widths are not the ControlNet's.
    """
    widths, middle = slot_widths(state_dict), state_dict[MIDDLE].shape[0]
    found = [width for level in config.down for width in level]
    if found != widths or config.mid not in (None, middle):
        raise WeightsError(
            f"'{name}' has motion blocks {found} wide, middle {config.mid}; the ControlNet has room for {widths}, "
            f"middle {middle}. Choose a motion model for the ControlNet's base model, or set motion_blocks to "
            "'as the file says'."
        )
    image = without_motion(state_dict)
    dtype = state_dict[MIDDLE].dtype
    below = {
        key: tensor.detach().to(dtype, copy=True)
        for key, tensor in motion.items()
        if key.startswith(("down_blocks.", "mid_block."))
    }
    config = replace(config, mid=middle, up=())
    return with_middle(image | with_prefix(below, "motion."), config), config


def slot_widths(state_dict: StateDict) -> list[int]:
    """Channels of the ControlNet's ResBlocks on the way down, each of which a motion block follows."""
    found = {
        int(m.group(1)): tensor.shape[0] for key, tensor in state_dict.items() if (m := RESIDUAL.match(key))
    }
    return [found[number] for number in sorted(found)]


def with_middle(state_dict: StateDict, config: MotionConfig) -> StateDict:
    """Adds the middle motion block where `config` asks for one and the file has none; it changes nothing yet."""
    if config.mid is None or any(key.startswith("motion.mid_block.") for key in state_dict):
        return state_dict
    middle = initial_motion(replace(config, down=(), up=()))
    return state_dict | with_prefix(middle, "motion.")


def initial_motion(config: MotionConfig, *, seed: int = 0) -> dict[str, Tensor]:
    """Weights to start training from: torch's usual ones, and zero output projections, so that nothing changes yet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MotionModel(config).state_dict()
