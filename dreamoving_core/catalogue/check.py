"""Whether model files are there, and what to know about those that are not. Nothing is downloaded, nothing is changed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from ..file_digest import sha256_of
from .graphs import Asked

State = Literal["present", "missing", "another size", "another file"]
Roots = Mapping[str, Sequence[Path]]  # ComfyUI's name of a folder -> where it is on this computer


@dataclass(frozen=True, kw_only=True)
class Found:
    """One answer; `path` is where the file lies, or None."""

    asked: Asked
    state: State
    path: Path | None = None
    size: int = 0  # bytes of what lies there
    verified: bool = False  # its SHA-256 was computed and is the known one


def check(asked: Asked, roots: Roots, *, verify: bool = False) -> Found:
    """Look for a file by its names; with `verify` compare its SHA-256 too, which reads all of it."""
    path = find(asked, roots)
    if path is None:
        return Found(asked=asked, state="missing")
    size = path.stat().st_size
    if asked.file and asked.file.size not in (None, size):
        return Found(asked=asked, state="another size", path=path, size=size)
    if not verify or asked.sha256 is None:
        return Found(asked=asked, state="present", path=path, size=size)
    same = sha256_of(path) == asked.sha256.lower()
    return Found(
        asked=asked, state="present" if same else "another file", path=path, size=size, verified=same
    )


def find(asked: Asked, roots: Roots) -> Path | None:
    """The file under its own name or another that people give it, in its folder or anywhere below."""
    parts = PureWindowsPath(asked.name).parts if "\\" in asked.name else PurePosixPath(asked.name).parts
    names = [parts[-1:], *((name,) for name in (asked.file.names if asked.file else ()))]
    for folder in (folder for name in asked.folders for folder in roots.get(name, ())):
        if (exact := folder.joinpath(*parts)).is_file() and ".." not in parts:
            return exact
        for (name,) in names:
            for path in sorted(folder.rglob(name)) if folder.is_dir() else ():
                if path.is_file():
                    return path
    return None


def complete(found: Iterable[Found]) -> bool:
    return all(one.state == "present" for one in found)


def report(title: str, found: Sequence[Found]) -> str:
    """A page of text: what is there, and for the rest where to get it and where to put it."""
    if not found:
        return f"{title}: needs no model files."
    missing = [one for one in found if one.state != "present"]
    head = f"{title}: " + (
        f"{len(missing)} of {len(found)} files to see to" if missing else f"all {len(found)} files are there"
    )
    return "\n".join([head, *(line for one in found for line in lines(one))])  # fmt: skip


MARKS: dict[State, str] = {
    "present": "ok",
    "missing": "MISSING",
    "another size": "CHECK",
    "another file": "CHECK",
}


def lines(one: Found) -> Iterator[str]:
    """One file: state, place, size, licence; page and digest when a person has something to do."""
    asked, file = one.asked, one.asked.file
    folder = "/".join(part for part in (asked.folders[0], file.subfolder if file else "") if part)
    size = file.size_words if file else "unknown size"
    licence = file.licence if file else "unknown licence"
    verified = ", SHA-256 as known" if one.verified else ""
    yield f"  {MARKS[one.state]:8} models/{folder}/{asked.name}  ({asked.by}; {size}; {licence}{verified})"
    if one.state == "another size" and file is not None:
        yield (
            f"           {one.path} has {one.size:,} bytes, the public file {file.size:,}: the download "
            "was cut, or this is another version. Compare it with the page below."
        )
    if one.state == "another file":
        yield f"           {one.path} has another SHA-256 than the public file. Download it again if you did not make it."
    if one.state != "present":
        yield f"           page     {asked.page or 'unknown: ask whoever gave you this workflow'}"
        if file and file.url:
            yield f"           file     {file.url}"
        digest = f"{asked.sha256}  [{file.sha256_source}]" if asked.sha256 and file else asked.sha256
        yield f"           SHA-256  {digest or 'no source for it is known'}"
        if asked.instead:
            yield f"           instead  {asked.instead}"
