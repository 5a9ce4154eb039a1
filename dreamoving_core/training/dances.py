"""ProcDance as a training set: pictures for the autoencoder, cached latents and conditions for everything else.

A set holds many independent clips (a picture is a clip of one frame) of dancers of the train split. Letters: n clip,
f frame.
"""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from einops import rearrange
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .precision import autocast

log = logging.getLogger(__name__)

SHOTS = ("whole",) * 7 + ("half",) * 2 + ("face",)  # mostly what the demo shows [ours]
CLOSE_UPS = ("face",) * 3 + ("half",) * 2 + ("whole",) * 5  # expressions can be seen, and what moves [ours]
TENSORS = ("images", "pose", "depth", "person", "face", "cloth", "caption", "colours", "kinds")


@dataclass(frozen=True, kw_only=True)
class DanceSet:
    """Clips of equal length, drawn once. Pictures are uint8, channel first; references show another pose and company."""

    images: Tensor  # n f 3 h w
    pose: Tensor  # n f 3 h w
    depth: Tensor  # n f 1 h w
    person: Tensor  # n f h/8 w/8, share of the cell that the person covers, 0..255
    face: Tensor  # n 3 h w, the face reference
    cloth: Tensor  # n 3 h w, the cloth reference
    caption: Tensor  # n, index into captions
    colours: Tensor  # n 12, true colours in [0, 1]: skin, hair, top, bottom
    kinds: Tensor  # n k, true classes: glasses, hair style, top, bottom and their patterns
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def save(self, path: Path) -> None:
        part = path.with_suffix(".part")
        tensors = {name: getattr(self, name).contiguous() for name in TENSORS}
        save_file(tensors, part, metadata={"captions": json.dumps(self.captions)})
        os.replace(part, path)

    def to(self, device: torch.device | str) -> "DanceSet":
        """The same on a device, rows and all."""
        return replace(self, **{name: getattr(self, name).to(device) for name in TENSORS})

    @classmethod
    def load(cls, path: Path) -> "DanceSet":
        with safe_open(path, "pt") as shard:
            captions = tuple(json.loads(shard.metadata()["captions"]))
            return cls(captions=captions, **{name: shard.get_tensor(name) for name in TENSORS})


def as_bytes(pictures: Tensor) -> Tensor:
    return (pictures * 255).round().clamp(0, 255).to(torch.uint8)


def as_floats(pictures: Tensor) -> Tensor:
    return pictures.float() / 255


def person_cells(masks: Tensor) -> Tensor:
    """Share of each 8 x 8 cell that the person covers: `... h w` to `... h/8 w/8`, uint8."""
    cells = rearrange(masks.float(), "... (h p) (w q) -> ... h w (p q)", p=8, q=8)
    return as_bytes(cells.mean(-1))


@torch.no_grad()
def encode_pictures(encoder: Callable[[Tensor], Tensor], pictures: Tensor, *, chunk: int = 16) -> Tensor:
    """Model latents of `f c h w` pictures in [0, 1]."""
    latents = []
    for part in pictures.split(chunk):
        with autocast(part.device):
            latents.append(encoder(part.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(latents)
