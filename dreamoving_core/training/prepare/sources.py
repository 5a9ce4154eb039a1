"""What a folder holds that can become training data, and under which name it goes into the set."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ...errors import InputError
from ...video.pictures import FRAME_RATE
from ..folder_names import PARTS, PICTURES, VIDEOS


@dataclass(frozen=True, kw_only=True)
class Source:
    """One video or picture: `shown` is its path below the folder, `name` what its clips begin with in the set.

    With a `seed` it is a drawn dancer, and no file.
    """

    path: Path
    shown: str
    name: str
    seed: int | None = None

    @property
    def is_picture(self) -> bool:
        return self.seed is None and self.path.suffix.lower() in PICTURES and self.path.is_file()

    @property
    def size(self) -> int:
        """Bytes; tells whether the file is still the one that was prepared."""
        if self.seed is not None:
            return 1
        if self.path.is_file():
            return self.path.stat().st_size
        return sum(file.stat().st_size for file in self.path.glob("*.png"))

    @property
    def caption(self) -> Path:
        """Where its own caption would be."""
        name = self.path.name if self.path.is_dir() else self.path.stem
        return self.path.with_name(f"{name}.txt")


def find_sources(folder: Path, *, out: Path) -> list[Source]:
    """Videos, pictures and PNG sequences below `folder`, in the order of their paths. InputError when there are none."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Give one with videos or pictures.")
    if out.resolve() == folder.resolve():
        raise InputError(
            f"The set cannot be written among its videos in {folder}. Give --out another folder."
        )
    found = [path for path in sorted(walk(folder)) if out.resolve() not in path.resolve().parents]
    if not found:
        known = ", ".join((*VIDEOS, *PICTURES))
        raise InputError(
            f"{folder} holds no video and no picture ({known}). Give the folder with your videos."
        )
    shown = [path.relative_to(folder).as_posix() for path in found]
    plain = [plain_name(path.relative_to(folder).with_suffix("").as_posix()) for path in found]
    often = Counter(plain)
    names = [name if often[name] == 1 else plain_name(path) for name, path in zip(plain, shown, strict=True)]
    counts = Counter(names)
    of_clips = {
        re.sub(r"_\d{4,}$", "", name) for name in names if re.search(r"_\d{4,}$", name)
    } & counts.keys()
    unclear = [
        path
        for path, name in zip(shown, names, strict=True)
        if counts[name] > 1 or re.sub(r"_\d{4,}$", "", name) in of_clips
    ]
    if twice := unclear:
        raise InputError(f"These files would get one name in the set: {', '.join(twice[:4])}. Rename one.")
    return [
        Source(path=path, shown=s, name=n) for path, s, n in zip(found, shown, names, strict=True)
    ]  # fmt: skip


def walk(folder: Path) -> list[Path]:
    """Files that are pictures or videos by their names, and folders that are one PNG sequence."""
    found = []
    for path in sorted(folder.iterdir()):
        beside = path.stem.rpartition(".")[2] in PARTS or path.name.rpartition(".")[2] in PARTS
        if beside or path.name.startswith("."):
            continue
        if path.is_dir():
            found += [path] if is_sequence(path) else walk(path)
        elif path.suffix.lower() in (*PICTURES, *VIDEOS):
            found.append(path)
    return found


def is_sequence(folder: Path) -> bool:
    """Whether PNG files are the frames of one clip: the pack's own sequences say so in the first one."""
    first = next(iter(sorted(folder.glob("*.png"))), None)
    if first is None:
        return False
    try:
        with Image.open(first) as picture:
            return FRAME_RATE in picture.info
    except OSError:
        return False


def plain_name(text: str) -> str:
    """A name without folders, dots and what some file systems refuse."""
    return re.sub(r"[^\w-]+", "_", text).strip("_") or "clip"
