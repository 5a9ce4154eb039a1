"""Which files belong together, by name, and their frames side by side: little of a clip is in memory at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from torch import Tensor

from ..errors import InputError
from ..video.decode import read_frames

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".webp", ".m4v", ".png")
HALF = 0.5  # [ours] a mask counts from half bright on: codecs leave greys beside black and white


@dataclass(frozen=True, kw_only=True)
class ClipFiles:
    """A clip, and what there is beside it: a video each, or a folder of numbered PNG pictures."""

    clip: Path
    truth: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """One frame of the clip `h w 3`, the same one of its truth, and where the person is in it, `h w` bool."""

    ours: Tensor
    true: Tensor | None = None
    person: Tensor | None = None


def clips_in(folder: Path) -> dict[str, Path]:
    """The videos of a folder, and its folders of numbered PNG pictures, by name without suffix.

    A folder that holds pictures itself is one clip. Raises InputError for what is no folder, or holds neither.
    """
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder}. Give a folder with videos, or with numbered PNG pictures."
        )
    if any(folder.glob("*.png")):
        return {".": folder}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if (path.is_dir() and any(path.glob("*.png"))) or path.suffix.lower() in SUFFIXES:
            if path.stem in found:
                raise InputError(
                    f"{folder} holds '{path.stem}' twice: {found[path.stem].name} and {path.name}. Keep one."
                )
            found[path.stem] = path
    if not found:
        raise InputError(f"{folder} holds no videos ({', '.join(SUFFIXES)}) and no folders of PNG pictures.")
    return found


def files_in(folder: Path, *, truth: Path | None = None, masks: Path | None = None) -> dict[str, ClipFiles]:
    """Every clip with the true one and the mask of the same name. Raises InputError when a clip has none."""
    clips = clips_in(folder)
    true, shown = (partners(clips, other) for other in (truth, masks))
    return {
        name: ClipFiles(clip=path, truth=true.get(name), mask=shown.get(name)) for name, path in clips.items()
    }


def partners(clips: dict[str, Path], folder: Path | None) -> dict[str, Path]:
    """What lies in `folder` under the clips' names; empty without a folder."""
    if folder is None:
        return {}
    found = clips_in(folder)
    if len(clips) == len(found) == 1 and "." in {*clips, *found}:  # pictures themselves have no name
        return dict.fromkeys(clips, next(iter(found.values())))
    missing = [name for name in clips if name not in found]
    if missing:
        raise InputError(
            f"{folder} has nothing called {', '.join(missing[:5])}. What belongs together needs the same name; there are: "
            f"{', '.join(list(found)[:5])}."
        )
    return found


def moments(files: ClipFiles) -> Iterator[Moment]:
    """Frame by frame. Raises InputError when a file ends before the others, or the sizes differ."""
    paths = {"ours": files.clip, "true": files.truth, "person": files.mask}
    paths = {name: path for name, path in paths.items() if path is not None}
    streams = (read_frames(path) for path in paths.values())
    for number, frames in enumerate(zip_longest(*streams)):
        refuse_other_length(list(paths.values()), frames, number=number)
        refuse_other_size(list(paths.values()), frames)
        seen = dict(zip(paths, frames, strict=True))
        if "person" in seen:
            seen["person"] = seen["person"].mean(-1) >= HALF
        yield Moment(**seen)


def refuse_other_length(paths: list[Path], frames: tuple[Tensor | None, ...], *, number: int) -> None:
    """InputError when one of the files has no frame of this number and another has."""
    ended = [path for path, frame in zip(paths, frames, strict=True) if frame is None]
    going = [path for path, frame in zip(paths, frames, strict=True) if frame is not None]
    if ended:
        raise InputError(
            f"{ended[0]} ends after {number} frames, {going[0]} goes on. Cut both to one length."
        )


def refuse_other_size(paths: list[Path], frames: tuple[Tensor, ...]) -> None:
    """InputError when the frames, one of each file, have different sizes."""
    sizes = [f"{frame.shape[1]} x {frame.shape[0]}" for frame in frames]
    for path, size in zip(paths, sizes, strict=True):
        if size != sizes[0]:
            raise InputError(f"{paths[0]} is {sizes[0]} pixels and {path} {size}. Bring both to one size.")
