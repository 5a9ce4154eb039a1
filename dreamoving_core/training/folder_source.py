"""Batches from a folder of videos or pictures, through SD1.5's own frozen encoders, or off what `prepare` kept of them."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ..bridge.trainable_sd15 import FrozenEncoders
from ..models.content_guider import BRANCHES, ContentGuider
from ..preprocess.pose_clip import PoseClip, read_clip
from ..preprocess.pose_json import read_pose_json
from .batch import Batch
from .dances import as_bytes
from .draws import rows_drawn
from .folder_items import Item, Window, find_items, frame_numbers, frames_at, window_of
from .folder_names import POINTS
from .pose_noise import drawn, noisy
from .shards import Marks, Shards
from .stages import Stage

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One clip before the encoders: pictures `f h w c`, or the latents `f c h w` kept of them; control `f h w c` or None."""

    pictures: Tensor | None
    latents: Tensor | None = None
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
        self.shards, self.marks = Shards(folder), Marks(encoders)
        self.told: set[str] = set()

    def __call__(self, step: int, generators: list[torch.Generator]) -> tuple[Batch, list[torch.Generator]]:
        kind = self.stage.controls[step % len(self.stage.controls)]
        rows = rows_drawn(len(self.items), generators).tolist()
        seen = [
            self.look(self.items[row], kind, g, step=step) for row, g in zip(rows, generators, strict=True)
        ]
        control = None
        if kind != "none":
            control = torch.stack([as_bytes(rearrange(s.control, "f h w c -> f c h w")) for s in seen])
        batch = Batch(
            latents=self.latents(seen),
            control=control,
            control_kind=kind,
            text=self.text([s.item for s in seen]),
            caption=torch.arange(1, len(seen) + 1),
            **(self.guidance([s.item for s in seen]) if self.guider else {}),
        )
        return batch, generators

    def look(self, item: Item, kind: str, generator: torch.Generator, *, step: int = 0) -> Seen:
        """The frames of one clip, cut and resized; the control's are the same frames and the same square."""
        stage = replace(self.stage, frames=self.stage.length(step))
        numbers = frame_numbers(item.num_frames, stage, generator)
        window, size = window_of(self.stage, generator), self.stage.size
        latents = self.kept_latents(item, numbers)
        pictures = None if latents is not None else window.cut(frames_at(item.source, numbers), size)
        control = None
        if kind != "none":
            path = item.beside[kind]
            if path.name.endswith(POINTS):
                control = self.pose(path, numbers, window, generator)
            else:
                if kind == "pose" and (self.stage.pose_jitter or self.stage.pose_dropout):
                    self.tell("poses that are pictures (.pose.mp4) are shown as they are, without jitter")
                control = window.cut(frames_at(path, numbers), size)
        return Seen(pictures=pictures, latents=latents, control=control, item=item)

    def tell(self, what: str) -> None:
        """Once a run."""
        if what not in self.told:
            self.told.add(what)
            log.info("%s", what)

    def pose(self, path: Path, numbers: list[int], window: Window, generator: torch.Generator) -> Tensor:
        """`f h w c`: poses of these frames drawn at the stage's size, with its jitter and drop-outs."""
        clip = read_clip(read_pose_json([path.read_text(encoding="utf-8")]))
        first, last, count = numbers[0], numbers[-1], len(clip.points)
        points = torch.from_numpy(clip.points).float()[[min(n, count - 1) for n in range(first, last + 1)]]
        noise = {"jitter": self.stage.pose_jitter, "dropout": self.stage.pose_dropout}
        side = window.place(clip.height, clip.width)[2]
        points = noisy(points, height=side, generator=generator, **noise)[[n - first for n in numbers]]
        return drawn(in_window(points, clip, window, self.stage.size), **square(self.stage.size))

    def kept_latents(self, item: Item, numbers: list[int]) -> Tensor | None:
        """What `prepare` kept of these frames: of this VAE, at this size, of the middle of the picture; else None."""
        if not len(self.shards) or self.stage.crop != "center" or not item.source.is_file():
            return None
        key = f"{item.source.stem}/latents.{self.stage.size}"
        found = self.shards.read(key, self.marks.latents(item.source), rows=numbers)
        if found is None:
            self.tell(
                f"{self.stage.name}: some latents are not in the shards at {self.stage.size} pixels, or of another VAE or clip"
            )
        return found

    def latents(self, seen: list[Seen]) -> Tensor:
        """`b f c h w`; what no shard holds is encoded."""
        fresh = [s.pictures for s in seen if s.pictures is not None]
        encoded = iter(())
        if fresh:
            found = self.encoders.latents(torch.cat(fresh))
            encoded = iter(rearrange(found, "(b f) c h w -> b f c h w", b=len(fresh)))
        return torch.stack([next(encoded) if s.latents is None else s.latents for s in seen])

    def text(self, items: list[Item]) -> Tensor:
        """`1+b n d`: of the empty caption, then of each clip's."""
        kept = [self.kept(item, "text", lambda item: self.marks.text(item.caption)) for item in items]
        fresh = [item.caption for item, found in zip(items, kept, strict=True) if found is None]
        encoded = iter(self.encoders.text(["", *fresh]))
        return torch.stack(
            [next(encoded), *(next(encoded) if found is None else found for found in kept)]
        )  # fmt: skip

    def kept(self, item: Item, what: str, mark: Any) -> Tensor | None:
        key = f"{item.source.stem}/{what}"
        return self.shards.read(key, mark(item)) if key in self.shards.places else None

    def guidance(self, items: list[Item]) -> dict[str, Any]:
        """Features of both references; a clip without clothes shows none."""
        found: dict[str, Any] = {}
        for branch in (name for name in BRANCHES if name in self.guider.config.branches()):
            known = torch.tensor([branch in item.beside for item in items])
            if not known.any():
                continue
            shown = [item for item in items if branch in item.beside]
            each, blank = self.features(shown, branch)
            features = each.new_zeros(len(items), *each.shape[1:])
            features[known] = each
            found |= {branch: features, f"{branch}_known": known, f"{branch}_blank": blank}
            if branch == "face" and self.guider.config.face.encoder.identity_width:
                found["identity"] = self.identities(shown, known)
        return found

    def features(self, items: list[Item], branch: str) -> tuple[Tensor, Tensor | None]:
        """`n m d` of each clip's reference, and of none; the image encoder runs for what no shard holds."""
        config = self.guider.branch(branch).config
        look = {"crop": config.crop, "feature": config.feature}
        rows: list[Tensor] = []
        blank = None
        for item in items:
            path = item.beside[branch]
            kept = self.kept(item, branch, lambda _, path=path: self.marks.features(path, **look))
            if kept is None or (blank is None and config.uncond != "none"):
                seen, blank = self.encoders.features(frames_at(path, [0]), self.guider, branch=branch)
                kept = seen[0] if kept is None else kept
            rows.append(kept)
        return torch.stack(rows), blank

    def identities(self, items: list[Item], known: Tensor) -> Tensor | None:
        """Who the faces are, zeros where a clip has none."""
        if self.encoders.recogniser is None:
            return None
        vectors = []
        for item in items:
            path = item.beside["face"]
            kept = self.kept(item, "identity", lambda _, path=path: self.marks.identity(path))
            vectors.append(self.encoders.identities(frames_at(path, [0]))[0] if kept is None else kept)
        found = torch.zeros(len(known), vectors[0].shape[-1])
        found[known] = torch.stack(vectors)
        return found


def in_window(points: Tensor, clip: PoseClip, window: Window, size: int) -> Tensor:
    """`f p 136 3` in pixels of the square that a window cuts out, `size` pixels wide."""
    top, left, side = window.place(clip.height, clip.width)
    seen = points[..., 2:]
    moved = (points[..., :2] - torch.tensor([left, top])) * (size / side)
    return torch.cat([moved * (seen > 0), seen], dim=-1)


def square(size: int) -> dict[str, int]:
    return {"width": size, "height": size}
