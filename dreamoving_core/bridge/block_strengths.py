"""Strengths for groups of motion blocks: one group per resolution on the way down, the middle, and on the way up."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from ..errors import InputError

# [AD] names of SD1.5's levels; down_0 and up_3 work at the latent's full size, mid at an eighth
GROUPS = ("down_0", "down_1", "down_2", "down_3", "mid", "up_0", "up_1", "up_2", "up_3")

Target = Literal["strength", "scale"]


@dataclass(frozen=True, kw_only=True)
class BlockStrengths:
    """What each group's strength and scale are multiplied by; a group that is not named keeps 1."""

    strength: Mapping[str, float] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)

    def of(self, target: Target, group: str, value: float | Tensor) -> float | Tensor:
        """`value`, a number or one per frame, as this group has it."""
        factor = getattr(self, target).get(group, 1.0)
        return value if factor == 1.0 else value * factor

    def all_off(self, groups: set[str]) -> bool:
        """Whether none of `groups` adds anything."""
        return all(self.strength.get(group, 1.0) == 0.0 for group in groups)


EVEN = BlockStrengths()


def block_strengths(
    factors: Mapping[str, float], *, target: Target, before: BlockStrengths | None = None
) -> BlockStrengths:
    """Factors for one target; those of the other are kept from `before`. InputError for names and numbers of no sense."""
    for group, factor in factors.items():
        if group not in GROUPS:
            raise InputError(f"There is no group of motion blocks '{group}'. Groups are {', '.join(GROUPS)}.")
        if not math.isfinite(factor) or factor < 0.0:
            raise InputError(
                f"The {target} of motion blocks {group} must be a number from 0, got {factor}. Use 1 to leave it alone."
            )
    before = before or EVEN
    kept: dict[str, Mapping[str, float]] = {"strength": before.strength, "scale": before.scale}
    return BlockStrengths(**kept | {target: dict(factors)})
