"""Finds the Python to run everything with: the one that started us if it has all that is needed, else our own `.venv`.

Nothing is ever installed into an environment that this module did not create. A stamp, written last, says that it is whole.
"""

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..dreamoving_core.doctor.packages import OPENCV, RUNTIMES
from ..dreamoving_core.errors import SetupError
from .console import Progress, say

# ComfyUI asks for any torch; the newest one wants another CUDA than the newest torchaudio, and ComfyUI then fails to start.
TORCH = "torch>=2.14,<2.15"
OURS = "made-by-run-py"  # in a .venv: its presence says that we created it
STAMP = "complete.json"  # in a .venv: its presence says that it is whole, its content what is in it

# Packages that bring the same module: whoever has one of them needs no other.
ALIKE = {"opencv-python": OPENCV, "onnxruntime": RUNTIMES}

# Exact pins are passed over: a person's ComfyUI is often a little older or newer than its requirements file.
PROBE = """
import json, sys
try:
    from importlib.metadata import PackageNotFoundError, version
    from packaging.requirements import Requirement

    def version_of(name, others):
        for one in (name, *others):
            try:
                return version(one)
            except PackageNotFoundError:
                continue
        return version(name)

    alike = json.loads(sys.argv[2])
    for line in json.loads(sys.argv[1]):
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate():
            found = version_of(need.name, alike.get(need.name, ()))
            if "==" not in str(need.specifier) and not need.specifier.contains(found, prereleases=True):
                raise ImportError(f"{line} is needed, {found} is installed")
    import torch, torchvision, torchaudio
except Exception as error:
    print(json.dumps(f"{type(error).__name__}: {error}"))
else:
    print(json.dumps(""))
"""


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What an environment must hold: torch as given, and requirement files in pip's format."""

    run: tuple[Path, ...]  # what the pack needs in order to run
    develop: tuple[
        Path, ...
    ] = ()  # what tests, checks and benchmarks need beside; our own environment always gets both
    torch: str = TORCH

    def fingerprint(self) -> str:
        lines = read_requirements((*self.run, *self.develop))
        text = "\n".join([self.torch, f"{sys.version_info[0]}.{sys.version_info[1]}", *lines])
        return hashlib.sha256(text.encode()).hexdigest()


def read_requirements(files: Iterable[Path]) -> list[str]:
    """The requirements of files in pip's format, without comments and options (-r, -c, ...)."""
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def find_python(root: Path, requirements: Requirements, *, develop: bool) -> Path:
    """The interpreter for ComfyUI, tests and training; makes or renews `root/.venv` when the present one cannot do."""
    needed = read_requirements((*requirements.run, *(requirements.develop if develop else ())))
    folder = root / ".venv"
    python = venv_python(folder)
    started_in_ours = Path(sys.prefix).resolve() == folder.resolve()
    if not started_in_ours and not missing(Path(sys.executable), needed):
        return Path(sys.executable)
    if stamp_of(folder) == requirements.fingerprint():
        return python
    if started_in_ours:
        raise SetupError(
            "The .venv is out of date, and this command was started with it. Start it with another Python."
        )
    make_venv(folder, requirements)
    return python


def venv_python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def missing(python: Path, needed: list[str], *, alike: Mapping[str, Sequence[str]] = ALIKE) -> str:
    """What `python` lacks, in words; empty when it has everything. Imports torch there, for its libraries may not match.

    `alike`: packages that may stand in for a needed one.
    """
    if python == Path(sys.executable) and importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    command = [str(python), "-c", PROBE, json.dumps(needed), json.dumps(alike)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return (done.stderr.strip().splitlines() or ["it does not start"])[-1]


def stamp_of(folder: Path) -> str | None:
    """The fingerprint that a whole environment of ours was made for; None for all others."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp.get("fingerprint") if venv_python(folder).exists() else None


def make_venv(folder: Path, requirements: Requirements) -> None:
    """Create, or renew, the environment at `folder`. On any error what is half-made is removed."""
    if not sys.version_info < (3, 14):
        raise SetupError(f"ComfyUI's packages need Python 3.10 to 3.13, this is {sys.version.split()[0]}.")
    if folder.exists() and not (folder / OURS).exists():
        raise SetupError(
            f"{folder} was not made by run.py, so nothing is installed into it. Move it away and run again."
        )
    if not _same_python(folder):
        remove(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / OURS).write_text("run.py creates, renews and removes this folder.\n", encoding="utf-8")
        (folder / STAMP).unlink(missing_ok=True)
        if not venv_python(folder).exists():
            say(f"Preparing {folder.name} (once; about 6 GB and some minutes) ...")
            venv.create(folder, with_pip=True)
        install(venv_python(folder), requirements)
        (folder / STAMP).write_text(json.dumps(_stamp(requirements)), encoding="utf-8")
    except BaseException as error:
        remove(folder)
        if isinstance(error, subprocess.CalledProcessError):
            raise SetupError(
                "Cannot create .venv: this Python lacks venv or ensurepip; install python3-venv."
            ) from error
        if isinstance(error, OSError):
            raise SetupError(
                f"Cannot write {folder}: {error.strerror or error}. Nothing was kept."
            ) from error
        raise


def _stamp(requirements: Requirements) -> dict[str, str]:
    return {"fingerprint": requirements.fingerprint(), "python": sys.version.split()[0]}


def _same_python(folder: Path) -> bool:
    """Whether `folder` is a whole environment of this very Python, so that only its packages need renewal."""
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8"))["python"] == sys.version.split()[0]
    except (OSError, ValueError, KeyError):
        return False


def remove(folder: Path) -> None:
    """Remove an environment of ours; its marker goes last, so that a cut removal is still known as ours."""
    if not folder.exists():
        return
    for entry in folder.iterdir():
        if entry.name == OURS:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    shutil.rmtree(folder)


def install(python: Path, requirements: Requirements) -> None:
    """Install with one resolver run, so that torch, torchvision and torchaudio are found together."""
    files = [word for file in (*requirements.run, *requirements.develop) for word in ("-r", str(file))]
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command = [str(python), "-m", "pip", "install", *options, requirements.torch, *files]
    progress = Progress("Installing packages")
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as pip:
        assert pip.stdout is not None
        try:
            problem = follow_pip(pip.stdout, progress)
        except BaseException:  # we are stopped: so is pip, before what it made is removed
            pip.kill()
            raise
    if pip.returncode:
        raise SetupError(
            f"pip could not install the packages: {problem}. Nothing was kept; mend that and run again."
        )
    progress.done()


def follow_pip(lines: Iterable[str], progress: Progress) -> str:
    """Show how far pip is; returns its first line of error, or the last line of all."""
    count, last, problem = 0, "no output", ""
    for line in lines:
        last = line.strip() or last
        if last.startswith("ERROR: "):
            problem = problem or last.removeprefix("ERROR: ")
        if last.startswith("Collecting "):
            count += 1
        if last.startswith(("Collecting ", "Downloading ", "Using cached ")):
            progress.show(f"{count} packages, {last.split(' (from')[0]}")
        elif last.startswith("Installing collected packages"):
            progress.show(f"unpacking {last.count(',') + 1} packages", milestone=True)
    return problem or last
