"""The networks that judge clips, each opened when it is needed first, and once for all clips."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .lpips import open_lpips


@dataclass(frozen=True)
class Judges:
    """`lpips`: see `open_lpips`."""

    @cached_property
    def lpips(self) -> Any:
        return open_lpips()
