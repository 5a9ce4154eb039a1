"""What a story of `workflows/` is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..layout import Steps
from .kit import Kit


@dataclass(frozen=True, kw_only=True)
class Story:
    """One graph. `name` is its key in the catalogue's list, which also gives its files' number and its models."""

    name: str
    words: str  # behind the name in the file's name, for who searches
    build: Callable[[Steps, Kit], None]
    about: str  # Markdown: what it makes, what to change
    recipe: str  # Markdown: where the numbers come from
    # Which of its videos the picture beside it is of: the saved one, or the preview, where Tiny's result would be noise.
    pictured: Literal["output", "temp"] = "output"
