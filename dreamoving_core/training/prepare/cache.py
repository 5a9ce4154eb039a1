"""What the frozen encoders see of a finished clip, computed once instead of in every step that draws it."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ...bridge.trainable_sd15 import FrozenEncoders, load_base, load_vision, new_branch
from ...models.content_guider import BRANCHES
from ...preprocess.face_identity import load_face_recogniser
from ...video.decode import read_frames
from ..folder_items import CENTRE, frames_at
from ..shards import Marks, ShardWriter
from ..stages_sd15 import STAGES

CHUNK = 16  # frames that the VAE sees at once


def load_encoders(
    base: Path, *, vision: Path | None = None, recogniser: Path | None = None
) -> FrozenEncoders:
    """Those that a set is encoded with. WeightsError for files of another kind."""
    model, clip, vae = load_base(base)
    return FrozenEncoders(
        base=model,
        clip=clip,
        vae=vae,
        vision=None if vision is None else load_vision(vision),
        recogniser=None if recogniser is None else load_face_recogniser(recogniser, name=recogniser.name),
    )


def stage_sizes() -> tuple[int, ...]:
    """Pixels of the paper's stages that learn from clips, whose squares are always the middle of the picture."""
    return tuple(sorted({stage.size for stage in STAGES.values() if stage.crop == "center"}))


class Cache:
    """Writes the tensors of clip after clip into a set's shards; `sizes` in pixels."""

    def __init__(self, folder: Path, encoders: FrozenEncoders, *, sizes: tuple[int, ...]) -> None:
        self.folder, self.encoders, self.sizes = folder, encoders, sizes
        self.marks, self.writer = Marks(encoders), ShardWriter(folder)

    def add(self, name: str, files: dict[str, Path], *, caption: str, clip: bool) -> None:
        """`files`: "source", "face", "cloth", wherever they lie now. A picture has no latents: its crops are random."""
        tensors, marks = {}, {}
        if clip:
            tensors |= self.latents(files["source"])
            marks |= dict.fromkeys(tensors, self.marks.latents(files["source"]))
        if caption:
            tensors["text"], marks["text"] = self.encoders.text([caption])[0], self.marks.text(caption)
        for branch in BRANCHES if self.encoders.vision is not None else ():
            if branch in files:
                config = new_branch(branch, self.encoders.vision.config["hidden_size"])
                tensors[branch] = self.encoders.branch_features(frames_at(files[branch], [0]), config)[0][0]
                marks[branch] = self.marks.features(files[branch], crop=config.crop, feature=config.feature)
        if self.encoders.recogniser is not None and "face" in files:
            vectors = self.encoders.identities(frames_at(files["face"], [0]))
            if vectors is not None:
                tensors["identity"], marks["identity"] = vectors[0], self.marks.identity(files["face"])
        self.writer.add(name, tensors, marks)
        self.writer.pack(rest=False)

    def latents(self, path: Path) -> dict[str, Tensor]:
        """`latents.SIZE` -> `f c h w` of the whole clip."""
        found: dict[str, list[Tensor]] = {f"latents.{size}": [] for size in self.sizes}
        for frames in chunks(read_frames(path), CHUNK):
            for size in self.sizes:
                found[f"latents.{size}"].append(self.encoders.latents(CENTRE.cut(frames, size)))
        return {name: torch.cat(parts) for name, parts in found.items()}

    def close(self) -> None:
        self.writer.pack(rest=True)


def chunks(frames: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """`size` frames at a time as `f h w c`, fewer at the end."""
    while some := list(islice(frames, size)):
        yield torch.stack(some)
