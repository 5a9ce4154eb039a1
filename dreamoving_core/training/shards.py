"""Latents and embeddings of a prepared set in safetensors shards: read by the rows that a step needs, never whole.

Every tensor has a mark: which encoder made it, and of what. Where the mark is another than the trainer's, the trainer
encodes by itself, so that a shard can be old and is not wrong for it. Keys are CLIP/what, such as dance_0003/latents.352.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from ..bridge.trainable_sd15 import FrozenEncoders
from ..weights.io import write_weights

FOLDER = "shards"
# bytes at each end of a clip that tell it from another: a video's index lies in one of them [ours]
END = 2**20
MARKS = "marks"  # key of the header: JSON, key of a tensor -> its mark


class Marks:
    """What tensors made by these encoders are marked with."""

    def __init__(self, encoders: FrozenEncoders) -> None:
        self.encoders = encoders
        self._prints: dict[str, str] = {}
        self._clips: dict[tuple[Path, int, int], str] = {}

    def encoder(self, part: str) -> str:
        if part not in self._prints:
            self._prints[part] = self.encoders.fingerprint(part)
        return self._prints[part]

    def latents(self, clip: Path) -> str:
        found = clip.stat()
        key = (clip, found.st_size, found.st_mtime_ns)
        if key not in self._clips:  # every step that draws the clip asks
            self._clips[key] = clip_print(clip)
        return f"{self.encoder('vae')} {self._clips[key]}"

    def text(self, caption: str) -> str:
        return f"{self.encoder('clip')} {short(caption.encode())}"

    def features(self, picture: Path, *, crop: str, feature: str) -> str:
        return f"{self.encoder('vision')} {crop} {feature} {short(picture.read_bytes())}"

    def identity(self, picture: Path) -> str:
        return f"{self.encoder('recogniser')} {short(picture.read_bytes())}"


def short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def clip_print(clip: Path) -> str:
    """Tells a clip from another by its size and END bytes of its beginning and of its end."""
    size = clip.stat().st_size
    with clip.open("rb") as file:
        ends = file.read(END)
        file.seek(max(0, size - END))
        ends += file.read(END)
    return f"{size} {short(ends)}"


class Shards:
    """All shards of a set; empty for a folder that has none."""

    def __init__(self, folder: Path) -> None:
        self.places: dict[str, tuple[Path, str]] = {}
        for path in sorted((folder / FOLDER).glob("*.safetensors")):
            with safe_open(path, "pt") as shard:
                self.places |= {key: (path, mark) for key, mark in marks_of(shard).items()}

    def __len__(self) -> int:
        return len(self.places)

    def read(self, key: str, mark: str, *, rows: list[int] | None = None) -> Tensor | None:
        """The tensor in float32, or these of its first axis; None when there is none of this mark."""
        path, found = self.places.get(key, (None, ""))
        if path is None or found != mark:
            return None
        with safe_open(path, "pt") as shard:
            stored = shard.get_slice(key)
            if rows is None:
                return stored[:].float()
            if max(rows) >= stored.get_shape()[0]:
                return None
            some = stored[min(rows) : max(rows) + 1]
            return some[[row - min(rows) for row in rows]].float()


def marks_of(shard: Any) -> dict[str, str]:
    return json.loads((shard.metadata() or {}).get(MARKS, "{}"))


class ShardWriter:
    """Collects tensors clip by clip, each clip safe on the disk at once, and packs them when there are enough."""

    def __init__(self, folder: Path, *, full: int = 256 * 2**20) -> None:
        self.shards, self.parts, self.full = folder / FOLDER, folder / FOLDER / "parts", full
        self.parts.mkdir(parents=True, exist_ok=True)
        known = Shards(folder).places
        for part in self.waiting():  # packed already, when a run was cut before it removed them
            with safe_open(part, "pt") as stored:
                packed = all(key in known for key in marks_of(stored))
            if packed:
                part.unlink()

    def waiting(self) -> list[Path]:
        return sorted(self.parts.glob("*.safetensors"))

    def add(self, clip: str, tensors: dict[str, Tensor], marks: dict[str, str]) -> None:
        """What belongs to a clip: `what` -> tensor, `what` -> mark. Stored in half precision."""
        halves = {f"{clip}/{what}": tensor.half() for what, tensor in tensors.items()}
        named = {f"{clip}/{what}": mark for what, mark in marks.items()}
        write_weights(self.parts / f"{clip}.safetensors", halves, metadata={MARKS: json.dumps(named)})

    def pack(self, *, rest: bool) -> None:
        """Makes a shard of what waits, if that fills one; `rest`: in any case."""
        waiting = self.waiting()
        if waiting and (rest or sum(part.stat().st_size for part in waiting) >= self.full):
            self.make_shard(waiting)
        if rest:
            shutil.rmtree(self.parts)

    def make_shard(self, waiting: list[Path]) -> None:
        """One file of these parts, which then go."""
        tensors: dict[str, Tensor] = {}
        marks: dict[str, str] = {}
        for part in waiting:
            with safe_open(part, "pt") as stored:
                marks |= marks_of(stored)
                tensors |= {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (no mapping)
        number = len(list(self.shards.glob("*.safetensors")))
        write_weights(self.shards / f"{number:05d}.safetensors", tensors, metadata={MARKS: json.dumps(marks)})
        for part in waiting:
            part.unlink()
