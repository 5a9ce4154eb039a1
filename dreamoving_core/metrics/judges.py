"""The networks that judge clips, opened once for all of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..preprocess.dwpose import PoseExtractor
from .lpips import open_lpips


@dataclass(frozen=True, eq=False)
class Judges:
    """Without `poses` nobody's joints are compared."""

    poses: PoseExtractor | None = None

    @cached_property
    def lpips(self) -> Any:
        """Opened when it is needed first: see `open_lpips`."""
        return open_lpips()
