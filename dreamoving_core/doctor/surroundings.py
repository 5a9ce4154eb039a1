"""What there is: the Python, its packages, ComfyUI and its folders. Looking changes nothing and raises nothing."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from .packages import PACKAGES, canonical

STATES = (WRITABLE, NOT_YET, READ_ONLY) = ("writable", "not made yet", "cannot be written")


@dataclass(frozen=True, kw_only=True)
class Folder:
    """`state` is one of STATES; `files` counts those that lie in it, -1 when nobody counted."""

    name: str
    path: Path
    state: str
    files: int = -1


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Everything that the Doctor judges. `versions` are those of pip, by canonical names; `broken` why a module won't start."""

    python: str
    executable: str
    system: str
    versions: Mapping[str, str]
    broken: Mapping[str, str] = field(default_factory=dict)
    comfyui: str = ""  # its version; "" when it was not found
    comfyui_at: Path | None = None
    torch_cuda: str = ""  # the CUDA that torch was built for; "" for a CPU build
    torchaudio_cuda: str = ""
    runtime: str = ""  # whose files lie in onnxruntime/, as they say themselves
    runtime_cuda: str = ""
    providers: tuple[str, ...] = ()
    nvidia: bool = False  # whether there is an NVIDIA driver
    folders: Sequence[Folder] = ()


def look_around(
    *,
    comfyui: Path | None,
    folders: Mapping[str, Path],
    models: Mapping[str, Sequence[Path]],
    distributions: Callable[[], Mapping[str, str]] | None = None,
    load: Callable[[str], ModuleType] = importlib.import_module,
) -> Surroundings:
    """Look at the Python that runs this. `folders` must be writable; `models` are ComfyUI's model folders that we read."""
    versions = (distributions or installed)()
    runtime, torch, audio = (module_folder(name) for name in ("onnxruntime", "torch", "torchaudio"))
    broken, providers = {}, ()
    for module in (package.module for package in PACKAGES if package.module):
        try:
            loaded = load(module)
            if module == "onnxruntime":
                providers = tuple(loaded.get_available_providers())
            elif not getattr(loaded, "__version__", ""):
                broken[module] = "it has no version, as after another OpenCV was uninstalled"
        except ModuleNotFoundError as error:
            if error.name != module:
                broken[module] = str(error)
        except Exception as error:  # a library that does not load may raise anything
            broken[module] = f"{type(error).__name__}: {error}"
    info = runtime / "capi" / "build_and_package_info.py" if runtime else None
    return Surroundings(
        python=platform.python_version(),
        executable=sys.executable,
        system=f"{platform.system()} {platform.machine()}",
        versions=versions,
        broken=broken,
        comfyui=written(comfyui / "comfyui_version.py" if comfyui else None, "__version__"),
        comfyui_at=comfyui,
        torch_cuda=written(torch / "version.py" if torch else None, "cuda"),
        torchaudio_cuda=cuda_of(written(audio / "version.py" if audio else None, "__version__")),
        runtime=written(info, "package_name"),
        runtime_cuda=written(info, "cuda_version"),
        providers=providers,
        nvidia=shutil.which("nvidia-smi") is not None,
        folders=[
            *(Folder(name=name, path=path, state=state_of(path)) for name, path in folders.items()),
            *(model_folder(name, paths) for name, paths in models.items() if paths),
        ],
    )


def installed() -> dict[str, str]:
    """Names and versions as pip has them."""
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        name = one.metadata["Name"]
        if name and one.version:
            found.setdefault(canonical(name), one.version)
    return found


def module_folder(name: str) -> Path | None:
    """Where a package's files lie, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def written(file: Path | None, name: str) -> str:
    """The text that a module assigns to a name; "" when there is no such file or name. Nothing is run."""
    try:
        text = file.read_text(encoding="utf-8") if file else ""
    except OSError:
        return ""
    match = re.search(rf"^{name}\b[^=\n]*=\s*['\"]([^'\"]*)['\"]", text, re.MULTILINE)
    return match.group(1) if match else ""


def cuda_of(version: str) -> str:
    """`13.0` of `2.11.0+cu130`."""
    match = re.search(r"\+cu(\d+)(\d)$", version)
    return f"{match.group(1)}.{match.group(2)}" if match else ""


def state_of(folder: Path) -> str:
    """Whether something can be written into a folder; one that is not there yet is made by whoever needs it."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return READ_ONLY
    return WRITABLE if there == folder else NOT_YET


def model_folder(name: str, paths: Sequence[Path]) -> Folder:
    """Several places of one name count together; the first is where a person puts files."""
    there = [path for path in paths if path.is_dir()]
    files = sum(1 for path in there for file in path.rglob("*") if file.is_file() and file.suffix)
    return Folder(name=f"models/{name}", path=paths[0], state=state_of(paths[0]), files=files)
