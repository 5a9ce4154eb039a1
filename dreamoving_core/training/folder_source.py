"""Batches from a folder of videos or pictures, through SD1.5's own frozen encoders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ..bridge.trainable_sd15 import FrozenEncoders
from ..models.content_guider import BRANCHES, ContentGuider
from .dances import as_bytes
from .draws import rows_drawn
from .folder_items import Item, find_items, frame_numbers, frames_at, window_of
from .stages import Stage
from .trainee import Batch


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One clip before the encoders: pictures `f h w c`, control `f h w c` or None."""

    pictures: Tensor
    control: Tensor | None
    item: Item


class FolderSource:
    """The inputs of `DreaMovingTrainee`, one clip of the folder per generator."""

    def __init__(
        self, folder: Path, stage: Stage, *, encoders: FrozenEncoders, guider: ContentGuider | None
    ) -> None:
        self.stage, self.encoders = stage, encoders
        self.guider = guider if stage.guidance else None
        self.items = find_items(folder, stage)

    def __call__(self, step: int, generators: list[torch.Generator]) -> tuple[Batch, list[torch.Generator]]:
        kind = self.stage.controls[step % len(self.stage.controls)]
        rows = rows_drawn(len(self.items), generators).tolist()
        seen = [self.look(self.items[row], kind, g) for row, g in zip(rows, generators, strict=True)]
        control = None
        if kind != "none":
            control = torch.stack([as_bytes(rearrange(s.control, "f h w c -> f c h w")) for s in seen])
        latents = self.encoders.latents(torch.cat([s.pictures for s in seen]))
        batch = Batch(
            latents=rearrange(latents, "(b f) c h w -> b f c h w", b=len(seen)),
            control=control,
            control_kind=kind,
            text=self.encoders.text(["", *(s.item.caption for s in seen)]),
            caption=torch.arange(1, len(seen) + 1),
            **(self.guidance([s.item for s in seen]) if self.guider else {}),
        )
        return batch, generators

    def look(self, item: Item, kind: str, generator: torch.Generator) -> Seen:
        """The frames of one clip, cut and resized; the control's are the same frames and the same square."""
        numbers = frame_numbers(item.num_frames, self.stage, generator)
        window, size = window_of(self.stage, generator), self.stage.size
        pictures = window.cut(frames_at(item.source, numbers), size)
        control = None if kind == "none" else window.cut(frames_at(item.beside[kind], numbers), size)
        return Seen(pictures=pictures, control=control, item=item)

    def guidance(self, items: list[Item]) -> dict[str, Any]:
        """Features of both references; a clip without clothes shows none."""
        found: dict[str, Any] = {}
        for branch in (name for name in BRANCHES if name in self.guider.config.branches()):
            known = torch.tensor([branch in item.beside for item in items])
            if not known.any():
                continue
            pictures = [frames_at(item.beside[branch], [0]) for item in items if branch in item.beside]
            each = [self.encoders.features(p, self.guider, branch=branch) for p in pictures]
            features = each[0][0].new_zeros(len(items), *each[0][0].shape[1:])
            features[known] = torch.cat([seen for seen, _ in each])
            found |= {branch: features, f"{branch}_known": known, f"{branch}_blank": each[0][1]}
            if branch == "face" and self.guider.config.face.encoder.identity_width:
                found["identity"] = self.identities(pictures, known)
        return found

    def identities(self, pictures: list[Tensor], known: Tensor) -> Tensor | None:
        """Who the faces are, zeros where a clip has none."""
        vectors = [self.encoders.identities(picture) for picture in pictures]
        if any(vector is None for vector in vectors):
            return None
        found = torch.zeros(len(known), vectors[0].shape[-1])
        found[known] = torch.cat(vectors)
        return found
