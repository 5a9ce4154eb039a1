"""Where ZoeDepth models lie in ComfyUI's folders."""

import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from ..errors import InputError
from ..tiny import files

TINY = "DreaMoving-Tiny (drawn dancers only)"
FOLDERS = ("zoedepth", "diffusers", "controlnet_aux")  # below models/
AUX_PACK = ("comfyui_controlnet_aux", "ckpts")  # where that pack keeps what it downloaded
SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
PAGE = "https://huggingface.co/Intel/zoedepth-nyu"


def model_roots() -> list[Path]:
    """Folders that are searched, the first one first; extra_model_paths.yaml's included."""
    known = [
        Path(path)
        for name in FOLDERS
        for path in (
            folder_paths.get_folder_paths(name)
            if name in folder_paths.folder_names_and_paths
            else [os.path.join(folder_paths.models_dir, name)]
        )
    ]
    packs = folder_paths.folder_names_and_paths.get("custom_nodes", ([], set()))[0]
    return [*known, *(Path(pack, *AUX_PACK) for pack in packs)]


def depth_models() -> list[str]:
    """Names for the node's list: Tiny, then model folders and authors' files, relative to where they were found."""
    found = {path.relative_to(root).as_posix() for root in model_roots() for path in models_below(root)}
    return [TINY, *sorted(found)]


def models_below(root: Path) -> Iterator[Path]:
    """Folders with a zoedepth config.json, and single files that say Zoe in their names."""
    for folder, inner, names in os.walk(root, followlinks=True):
        place = Path(folder)
        if "config.json" in names and place != root:
            inner.clear()
            if says_zoedepth(place / "config.json"):
                yield place
            continue
        zoe = root.name == FOLDERS[0]
        yield from (
            place / name for name in names if name.endswith(SUFFIXES) and (zoe or "zoe" in name.lower())
        )


def says_zoedepth(config: Path) -> bool:
    """Whether a config.json is of that kind of model; the rest of it is read when the model is loaded."""
    try:
        return '"zoedepth"' in config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def depth_model_path(name: str) -> Path:
    """The folder or the file behind a name of the list. InputError for any other name."""
    if name == TINY:
        return tiny_depth_folder()
    if name in depth_models():
        return next(root / name for root in model_roots() if (root / name).exists())
    raise InputError(
        f"There is no depth model '{name or ''}'. Put the folder of {PAGE} (config.json, preprocessor_config.json, "
        f"model.safetensors) or ZoeD_M12_N.pt into {model_roots()[0]} and press R to reload the list. Nothing is "
        "downloaded for you."
    )


def tiny_depth_folder() -> Path:
    """One that was trained here (`models/dreamoving/tiny`) goes before the one of the pack."""
    paths = folder_paths.folder_names_and_paths.get("dreamoving", ([], set()))[0]
    folders = [Path(path) / "tiny" / files.DEPTH for path in paths]
    return next((folder for folder in folders if folder.is_dir()), files.FOLDER / files.DEPTH)


def unusable_depth_model(name: str) -> str | None:
    """Why a name of the list cannot be loaded, for a node's `validate_inputs`."""
    try:
        depth_model_path(name)
    except InputError as error:
        return str(error)
    return None


def depth_model_fingerprint(name: str) -> str:
    """Changes when the model does."""
    path = depth_model_path(name)
    files_there = sorted(path.iterdir()) if path.is_dir() else [path]
    return "/".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files_there)
