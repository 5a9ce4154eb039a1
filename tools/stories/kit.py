"""What a story's graph is built with: full-size models and an artist's own files, or DreaMoving-Tiny and a drawn dance.

A story is described once. The kit puts in what differs: loaders, sources, sizes and numbers of steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...dreamoving_core.catalogue.files import ModelFile
from ...dreamoving_core.catalogue.graphs import Asked
from ..graph import Node, Output
from ..layout import Column, Steps


@dataclass(frozen=True, kw_only=True)
class Models:
    """Outputs of loaders; None for what the story did not ask for."""

    model: Output | None = None
    clip: Output | None = None
    vae: Output | None = None
    motion: Output | None = None
    eyes: Output | None = None
    pose: Output | None = None
    depth: Output | None = None
    face: Output | None = None
    cloth: Output | None = None
    recogniser: Output | None = None


@dataclass(frozen=True, kw_only=True)
class Footage:
    """The driving clip and the pictures of the person who shall dance."""

    video: Output
    face: Output | None = None
    cloth: Output | None = None
    style: Output | None = None
    person: Output | None = None  # one picture with both
    result: Output | None = None  # a finished VIDEO, to be judged
    prompt: Output | str = ""


@dataclass(frozen=True, kw_only=True)
class Kit(ABC):
    """Sizes in pixels, times in seconds, rates in frames per second."""

    tiny: bool
    width: int
    height: int
    seconds: float  # of the driving clip
    rate: float  # of the result
    window: tuple[int, int]  # frames of a context window, frames that two share
    crop: dict[str, Any] = field(default_factory=dict)  # for Crop Pose

    @abstractmethod
    def models(self, steps: Steps, wanted: Sequence[Asked], *, lora: float = 1.0) -> Models:
        """The loaders of what is wanted, as the first step."""

    @abstractmethod
    def footage(self, steps: Steps, *pictures: str, seconds: float | None = None) -> Footage:
        """The driving clip, and which of the pictures face, cloth, style and person are needed, as the next step.

        `result` among them is a finished video.
        """

    @abstractmethod
    def poses(self, column: Column, source: Output | None, *, title: str | None = None) -> Output:
        """Keypoints of the people in a VIDEO or IMAGE."""

    @abstractmethod
    def depth(self, column: Column, source: Output | None) -> Output:
        """Depth pictures of a VIDEO or IMAGE."""

    @abstractmethod
    def sampling(self, **recipe: Any) -> dict[str, Any]:
        """A recipe's settings for Sample Video."""

    @abstractmethod
    def loader(self, column: Column, type_: str, widget: str, asked: Asked, **inputs: Any) -> Node:
        """A loader of one file."""


def known_file(asked: Asked) -> dict[str, str]:
    """The same for a file that a story asks for."""
    assert asked.file is not None
    return model_entry(asked.file)


def model_entry(file: ModelFile) -> dict[str, str]:
    """What ComfyUI's dialog of missing models needs to know of a file."""
    entry = {"name": file.name, "url": file.url, "directory": file.folder}
    return entry | ({"hash": file.sha256, "hash_type": "SHA256"} if file.sha256 else {})
