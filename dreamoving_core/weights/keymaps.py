"""The names that tensors carry in other people's files, and ours. Renaming only: no number is touched.

Both directions exist for every map, so that a file can be given back to the tool that wrote it.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError

StateDict = dict[str, Tensor]

WRAPPERS = ("state_dict", "model_state_dict", "controlnet", "module")  # [AD] trainer, SparseCtrl; DeepSpeed

MOTION_KEY = re.compile(r"^(.*?)((?:down_blocks\.\d+|up_blocks\.\d+|mid_block)\.motion_modules\.\d+)\.(.+)$")
ADAPTER_ATTENTION = re.compile(r"^transformer_blocks\.(\d+)\.attn([12])\.(.+)$")
ADAPTER_NORM = re.compile(r"^transformer_blocks\.(\d+)\.norm([123])\.(weight|bias)$")
ADAPTER_POSITIONS = re.compile(r"^transformer_blocks\.(\d+)\.pos_embed\.pe$")
ATTENTION = re.compile(r"^transformer_blocks\.(\d+)\.attention_blocks\.([01])\.(.+)$")
NORM = re.compile(r"^transformer_blocks\.(\d+)\.norms\.([01])\.(weight|bias)$")
FEED_FORWARD_NORM = re.compile(r"^transformer_blocks\.(\d+)\.ff_norm\.(weight|bias)$")


def flatten_checkpoint(content: Mapping[Any, Any]) -> tuple[StateDict, dict[str, str]]:
    """Tensors under dotted names, and the numbers and words beside them as strings (`epoch`, `global_step`).

    A trainer's wrapper is opened and what stands beside it (optimiser, EMA) left behind.
    """
    notes = {str(k): str(v) for k, v in content.items() if isinstance(v, str | int | float)}
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            return flatten(content[wrapper]), notes
    return flatten(content), notes


def flatten(content: Mapping[Any, Any], prefix: str = "") -> StateDict:
    """`{"a": {"b": tensor}}` to `{"a.b": tensor}`; what is no tensor is left out."""
    state_dict = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Tensor):
            state_dict[name] = value
        elif isinstance(value, Mapping):
            state_dict.update(flatten(value, f"{name}."))
    return state_dict


def split_motion_keys(state_dict: StateDict, *, name: str = "This file") -> tuple[StateDict, list[str]]:
    """The motion blocks' tensors without their prefix (`module.`, `unet.`, ...), and the names of all others.

    Raises WeightsError when two networks with motion blocks lie in one file.
    """
    found, others, prefixes = {}, [], set()
    for key, tensor in state_dict.items():
        match = MOTION_KEY.match(key)
        if match is None:
            others.append(key)
            continue
        prefixes.add(match.group(1))
        found[f"{match.group(2)}.{match.group(3)}"] = tensor
    if len(prefixes) > 1:
        raise WeightsError(
            f"{name} holds the motion blocks of {len(prefixes)} networks ({', '.join(map(repr, sorted(prefixes)))}); "
            "one is expected. Choose a file with one of them, or save each in a file of its own."
        )
    return found, others


def is_motion_adapter(keys: Mapping[str, Any]) -> bool:
    """Whether motion blocks are named as diffusers' MotionAdapter names them."""
    matches = (MOTION_KEY.match(key) for key in keys)
    return any(match is not None and ADAPTER_ATTENTION.match(match.group(3)) for match in matches)


def from_motion_adapter(state_dict: StateDict) -> StateDict:
    """diffusers' MotionAdapter names to AnimateDiff's. One position table becomes one per attention."""
    attentions = 1 + any(".attn2." in key for key in state_dict)
    renamed = {}
    for key, tensor in state_dict.items():
        _, block, rest = split(key)
        for name in original_names(rest, attentions):
            renamed[f"{block}.temporal_transformer.{name}"] = tensor
    return renamed


def original_names(rest: str, attentions: int) -> list[str]:
    """What one MotionAdapter name is called by AnimateDiff, below `temporal_transformer`."""
    if match := ADAPTER_POSITIONS.match(rest):
        block = f"transformer_blocks.{match.group(1)}.attention_blocks"
        return [f"{block}.{i}.pos_encoder.pe" for i in range(attentions)]
    if match := ADAPTER_ATTENTION.match(rest):
        return [
            f"transformer_blocks.{match.group(1)}.attention_blocks.{int(match.group(2)) - 1}.{match.group(3)}"
        ]
    if match := ADAPTER_NORM.match(rest):
        index = int(match.group(2))
        norm = "ff_norm" if index == 3 else f"norms.{index - 1}"
        return [f"transformer_blocks.{match.group(1)}.{norm}.{match.group(3)}"]
    return [rest]


def to_motion_adapter(state_dict: StateDict) -> StateDict:
    """AnimateDiff's names to diffusers' MotionAdapter.

    Raises WeightsError when the attentions of a block have different position tables: diffusers has room for one.
    """
    renamed: StateDict = {}
    for key, tensor in state_dict.items():
        _, block, rest = split(key)
        name = f"{block}.{adapter_name(rest.removeprefix('temporal_transformer.'))}"
        if name in renamed and not torch.equal(renamed[name], tensor):
            raise WeightsError(
                f"'{name}' would stand for two different position tables; diffusers keeps one per block."
            )
        renamed[name] = tensor
    return renamed


def adapter_name(rest: str) -> str:
    """What one AnimateDiff name below `temporal_transformer` is called by diffusers."""
    if match := ATTENTION.match(rest):
        block = f"transformer_blocks.{match.group(1)}"
        if match.group(3) == "pos_encoder.pe":
            return f"{block}.pos_embed.pe"
        return f"{block}.attn{int(match.group(2)) + 1}.{match.group(3)}"
    if match := NORM.match(rest):
        return f"transformer_blocks.{match.group(1)}.norm{int(match.group(2)) + 1}.{match.group(3)}"
    if match := FEED_FORWARD_NORM.match(rest):
        return f"transformer_blocks.{match.group(1)}.norm3.{match.group(2)}"
    return rest


def split(key: str) -> tuple[str, str, str]:
    """Prefix, `{down_blocks.i|mid_block|up_blocks.i}.motion_modules.j`, and the name inside the module."""
    match = MOTION_KEY.match(key)
    if match is None:
        raise WeightsError(
            f"'{key}' is not the name of a motion block's tensor (down_blocks.0.motion_modules.0...)."
        )
    return match.group(1), match.group(2), match.group(3)


IP_ADAPTER_NAMES = (
    ("image_proj_model.", "image_proj."),  # [IPA] raw training checkpoint
    ("adapter_modules.", "ip_adapter."),
)
BASE_MODEL = "unet."  # raw training checkpoints carry it along, unchanged
IP_ADAPTER_LORA = re.compile(r"^ip_adapter\.(\d+\.to_(?:q|k|v|out)_lora\.(?:down|up)\.weight)$")


def from_ip_adapter(state_dict: StateDict, *, branch: str) -> StateDict:
    """An IP-Adapter file as one branch of a Content Guider; the LoRA of FaceID files goes under `lora.`.

    The U-Net that raw training checkpoints carry along is left behind: it is the base model, unchanged.
    """
    renamed = {}
    for key, tensor in state_dict.items():
        if key.startswith(BASE_MODEL):
            continue
        for old, new in IP_ADAPTER_NAMES:
            if key.startswith(old):
                key = new + key[len(old) :]
        lora = IP_ADAPTER_LORA.match(key)
        renamed[f"lora.{lora.group(1)}" if lora else f"{branch}.{key}"] = tensor
    return renamed


def to_ip_adapter(state_dict: StateDict, *, branch: str) -> StateDict:
    """One branch of a Content Guider as an IP-Adapter file that other tools read."""
    renamed = {}
    for key, tensor in state_dict.items():
        if key.startswith(f"{branch}."):
            renamed[key[len(branch) + 1 :]] = tensor
        elif key.startswith("lora."):
            renamed[f"ip_adapter.{key.removeprefix('lora.')}"] = tensor
    return renamed


def without_prefix(state_dict: StateDict, prefix: str) -> StateDict:
    """The tensors under `prefix`, which their names lose."""
    return {key[len(prefix) :]: tensor for key, tensor in state_dict.items() if key.startswith(prefix)}


def with_prefix(state_dict: StateDict, prefix: str) -> StateDict:
    """The same tensors, one level deeper."""
    return {prefix + key: tensor for key, tensor in state_dict.items()}
