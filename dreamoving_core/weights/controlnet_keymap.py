"""The names of a ControlNet in diffusers' layout and in LDM's, which is ours. Renaming only: no number is touched.

SparseCtrl files are diffusers ControlNets with motion blocks among the down blocks, under AnimateDiff's names in the
authors' files and under the MotionAdapter's where diffusers saved them. Both directions exist, and are inverse.
"""

import re
from collections.abc import Mapping
from typing import Any

from ..errors import WeightsError
from .keymaps import StateDict, from_motion_adapter, is_motion_adapter, to_motion_adapter, with_prefix

MOTION = ".motion_modules."
LAST_HINT = 14  # [CN] the hint encoder's last convolution; diffusers calls it conv_out

RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
FIXED = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "controlnet_cond_embedding": "input_hint_block.0",  # SparseCtrl's single convolution
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": f"input_hint_block.{LAST_HINT}",
    "controlnet_mid_block": "middle_block_out.0",
}
MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}

DIFFUSERS_PART = re.compile(
    r"^(?:down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)|mid_block\.((?:resnets|attentions)\.[01]))\.(.+)$"
)
LDM_PART = re.compile(r"^(?:input_blocks\.(\d+)\.([01])|middle_block\.([012]))\.(.+)$")


def is_diffusers_controlnet(keys: Mapping[str, Any]) -> bool:
    """Whether a ControlNet's outputs are named as diffusers names them."""
    return any(key.startswith("controlnet_down_blocks.") for key in keys)


def from_diffusers_controlnet(state_dict: StateDict) -> StateDict:
    """diffusers' names to LDM's; motion blocks go under `motion.`, in AnimateDiff's names.

    Raises WeightsError for a name that has no place in an SD1.5 ControlNet.
    """
    levels = blocks_per_level(state_dict)
    motion = {key: tensor for key, tensor in state_dict.items() if MOTION in key}
    renamed = {ldm_name(key, levels): tensor for key, tensor in state_dict.items() if key not in motion}
    if is_motion_adapter(motion):
        motion = from_motion_adapter(motion)
    return renamed | with_prefix(motion, "motion.")


def to_diffusers_controlnet(state_dict: StateDict, *, motion_adapter: bool = False) -> StateDict:
    """LDM's names to diffusers'; with `motion_adapter` the motion blocks are named as diffusers saves them."""
    downsamplers = sorted(int(key.split(".")[1]) for key in state_dict if key.endswith(".0.op.weight"))
    per_level = (downsamplers[0] if downsamplers else 1 + last_block(state_dict)) - 1
    simple = f"input_hint_block.{LAST_HINT}.weight" not in state_dict
    motion = {k.removeprefix("motion."): v for k, v in state_dict.items() if k.startswith("motion.")}
    renamed = {
        diffusers_name(key, per_level, simple=simple): tensor
        for key, tensor in state_dict.items()
        if not key.startswith("motion.")
    }
    return renamed | (to_motion_adapter(motion) if motion_adapter else motion)


def blocks_per_level(state_dict: StateDict) -> int:
    """ResBlocks of a level: 2 in SD1.5."""
    found = [
        int(m.group(1)) for key in state_dict if (m := re.match(r"down_blocks\.0\.resnets\.(\d+)\.", key))
    ]
    return 1 + max(found, default=-1)


def last_block(state_dict: StateDict) -> int:
    """The highest number of an input block."""
    return max(int(key.split(".")[1]) for key in state_dict if key.startswith("input_blocks."))


def ldm_name(key: str, per_level: int) -> str:
    """What one of diffusers' names is called in LDM's layout."""
    module, _, leaf = key.rpartition(".")
    if module in FIXED:
        return f"{FIXED[module]}.{leaf}"
    if match := re.match(r"^controlnet_cond_embedding\.blocks\.(\d+)$", module):
        return f"input_hint_block.{2 * int(match.group(1)) + 2}.{leaf}"
    if match := re.match(r"^controlnet_down_blocks\.(\d+)$", module):
        return f"zero_convs.{match.group(1)}.0.{leaf}"
    match = DIFFUSERS_PART.match(key)
    if match is None:
        raise WeightsError(
            f"'{key}' is not the name of a tensor of an SD1.5 ControlNet in diffusers' layout. "
            "Choose a ControlNet for SD1.5."
        )
    level, kind, number, middle, rest = match.groups()
    if middle:
        return f"middle_block.{MIDDLE[middle]}.{inside_ldm(rest) if 'resnets' in middle else rest}"
    first = int(level) * (per_level + 1) + 1  # the level's ResBlocks, then its downsampler
    if kind == "downsamplers":
        return f"input_blocks.{first + per_level}.0.op.{rest.removeprefix('conv.')}"
    place = f"input_blocks.{first + int(number)}"
    return f"{place}.0.{inside_ldm(rest)}" if kind == "resnets" else f"{place}.1.{rest}"


def inside_ldm(rest: str) -> str:
    """A name inside a ResBlock, by LDM."""
    layer, _, leaf = rest.rpartition(".")
    return f"{RESIDUAL.get(layer, layer)}.{leaf}"


def diffusers_name(key: str, per_level: int, *, simple: bool) -> str:
    """What one of LDM's names is called by diffusers; `simple`: the hint goes through a single convolution."""
    module, _, leaf = key.rpartition(".")
    if module == "input_hint_block.0":
        return f"controlnet_cond_embedding{'' if simple else '.conv_in'}.{leaf}"
    for theirs, ours in FIXED.items():
        if module == ours:
            return f"{theirs}.{leaf}"
    if match := re.match(r"^input_hint_block\.(\d+)$", module):
        return f"controlnet_cond_embedding.blocks.{int(match.group(1)) // 2 - 1}.{leaf}"
    if match := re.match(r"^zero_convs\.(\d+)\.0$", module):
        return f"controlnet_down_blocks.{match.group(1)}.{leaf}"
    match = LDM_PART.match(key)
    if match is None:
        raise WeightsError(
            f"'{key}' is not the name of a tensor of a ControlNet. Choose a ControlNet for SD1.5."
        )
    block, layer, middle, rest = match.groups()
    if middle:
        return f"mid_block.{dict(zip(MIDDLE.values(), MIDDLE, strict=True))[middle]}.{inside_diffusers(rest)}"
    level, number = divmod(int(block) - 1, per_level + 1)
    if rest.startswith("op."):
        return f"down_blocks.{level}.downsamplers.0.conv.{rest.removeprefix('op.')}"
    kind = "attentions" if layer == "1" else "resnets"
    return f"down_blocks.{level}.{kind}.{number}.{inside_diffusers(rest)}"


def inside_diffusers(rest: str) -> str:
    """A name inside a ResBlock, by diffusers; names inside an attention are the same."""
    layer, _, leaf = rest.rpartition(".")
    for theirs, ours in RESIDUAL.items():
        if layer == ours:
            return f"{theirs}.{leaf}"
    return rest
