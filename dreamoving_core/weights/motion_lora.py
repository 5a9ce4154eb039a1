"""Motion LoRAs: low-rank changes of a motion model's layers, in the names of AnimateDiff, diffusers and PEFT.

AnimateDiff's own (camera moves for v2) say `…attention_blocks.0.processor.to_q_lora.down.weight`; diffusers keeps that
ending below its own block names, PEFT says `….attn1.to_q.lora_A.weight`. Trainers also write `.lora_down.` and `.lora.down.`
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import WeightsError
from .formats import expect, listed
from .io import WeightsFile
from .keymaps import original_names, split, split_motion_keys

PROCESSOR = re.compile(r"^(.+?)(?:\.processor)?\.to_(q|k|v|out)_lora\.(down|up)\.weight$")
LAYER = re.compile(r"^(.+)\.(?:lora\.(?P<a>down|up)|lora_(?P<b>down|up|A|B))(?:\.(?!weight)[\w-]+)?\.weight$")
ALPHA = re.compile(r"^(.+)\.alpha$")
PARTS = ("down", "up", "alpha")
SIDES = {"A": "down", "B": "up"}
LAYERS = {"q": "to_q", "k": "to_k", "v": "to_v", "out": "to_out.0"}


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """One layer's change: strength * scale * up @ down; `down` is `r c`, `up` is `c r`."""

    down: Tensor
    up: Tensor
    alpha: Tensor | None = None  # one number; scale is alpha / r, without it 1 [AD]


@dataclass(frozen=True, kw_only=True)
class MotionLora:
    """`layers` by the name of the weight that they change, as a motion model's state dict has it."""

    name: str
    layers: Mapping[str, LowRank]
    left_out: tuple[str, ...] = ()  # tensors that belong to no motion block

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """Every tensor, for whoever checks the numbers."""
        parts = {
            f"{key}.{part}": getattr(layer, part) for key, layer in self.layers.items() for part in PARTS
        }
        return {key: tensor for key, tensor in parts.items() if tensor is not None}


def read_motion_lora(file: WeightsFile) -> MotionLora:
    """Check and rename. Raises WeightsError for other kinds of files, unknown names and halves without the other."""
    expect(file.name, file.shapes, kinds=("motion_lora",), wanted="a motion LoRA")
    state_dict, left_out = split_motion_keys(file.state_dict)
    found: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for key, tensor in state_dict.items():
        _, block, rest = split(key)
        place = placed(rest)
        if place is None:
            unknown.append(key)
            continue
        layer, part = place
        found.setdefault(f"{block}.{layer}.weight", {})[part] = tensor
    if unknown:
        raise WeightsError(
            f"'{file.name}' is a motion LoRA with {len(unknown)} tensors of unknown names{listed(unknown)}. "
            "Use one that was saved by AnimateDiff, diffusers or PEFT."
        )
    layers = {target: low_rank(file.name, target, parts) for target, parts in found.items()}
    return MotionLora(name=file.name, layers=layers, left_out=tuple(left_out))


def placed(rest: str) -> tuple[str, str] | None:
    """The layer in AnimateDiff's names below the block, and `down`, `up` or `alpha`; None for a name of no known kind."""
    if match := PROCESSOR.match(rest):
        layer, side = f"{match.group(1)}.{LAYERS[match.group(2)]}", match.group(3)
    elif match := LAYER.match(rest):
        side = match.group("a") or match.group("b")
        layer, side = match.group(1), SIDES.get(side, side)
    elif match := ALPHA.match(rest):
        layer, side = match.group(1), "alpha"
    else:
        return None
    if layer.endswith(".to_out"):
        layer += ".0"
    name = original_names(layer.removeprefix("temporal_transformer.") + ".weight", 2)[0]
    return f"temporal_transformer.{name.removesuffix('.weight')}", side


def low_rank(name: str, target: str, parts: Mapping[str, Tensor]) -> LowRank:
    """Both halves of one layer. Raises WeightsError where one is missing or their ranks differ."""
    down, up, alpha = (parts.get(part) for part in PARTS)
    if down is None or up is None or down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
        have = ", ".join(f"{side} {list(tensor.shape)}" for side, tensor in sorted(parts.items()))
        raise WeightsError(
            f"'{name}' does not fit: '{target}' needs down [rank, in] and up [out, rank], the file has "
            f"{have or 'neither'}. Download it again."
        )
    return LowRank(down=down, up=up, alpha=alpha)


def refuse_other_version(
    lora: MotionLora, shapes: Mapping[str, tuple[int, ...]], *, motion_model: str
) -> None:
    """Raise WeightsError unless the LoRA was made for motion models of these weights (names and shapes)."""
    remedy = "Load the motion model that the LoRA was trained for, or another LoRA."
    missing = sorted(lora.layers.keys() - shapes.keys())
    if any(target.startswith("mid_block") for target in missing):
        raise WeightsError(
            f"'{lora.name}' was made for motion models with a middle block (AnimateDiff v2), and '{motion_model}' has "
            f"none (as v1 and v3). {remedy}"
        )
    wrong = [
        target
        for target, layer in lora.layers.items()
        if target in shapes and (layer.up.shape[0], layer.down.shape[1]) != tuple(shapes[target])
    ]
    if missing or wrong:
        first = (wrong + missing)[0]
        raise WeightsError(
            f"'{lora.name}' was made for another motion model than '{motion_model}': {len(missing)} of its layers are not "
            f"there, {len(wrong)} have another size ({first}). {remedy}"
        )
    blocks = {split(target)[1] for target in shapes}
    if blocks - {split(target)[1] for target in lora.layers} == {"mid_block.motion_modules.0"}:
        raise WeightsError(
            f"'{lora.name}' changes every motion block but the middle one, so it was made for models without it "
            f"(AnimateDiff v1 or v3), and '{motion_model}' has one (as v2). {remedy}"
        )
