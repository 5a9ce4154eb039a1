"""Pose files in ComfyUI's input folder."""

import hashlib
import os
from pathlib import Path

import folder_paths

from ..errors import InputError


def pose_texts(source: str) -> list[str]:
    """JSON texts of `source`: a text that begins like JSON, else a .json file or a folder of them in the input folder.

    Files of a folder are one frame each, in the order of their names. Raises InputError for what is not there.
    """
    if source.lstrip()[:1] in ("{", "["):
        return [source]
    return [path.read_text(encoding="utf-8-sig") for path in pose_paths(source)]


def pose_paths(source: str) -> list[Path]:
    """The files that `source` names."""
    root = folder_paths.get_input_directory()
    name = source.strip().strip('"')
    if not name:
        raise InputError(
            "Write the name of a .json file or of a folder in ComfyUI's input folder, or paste the JSON."
        )
    path = Path(os.path.normpath(os.path.join(root, name)))
    if not folder_paths.is_within_directory(root, str(path)):
        raise InputError(f"{name!r} leads outside ComfyUI's input folder {root}. Copy the file there.")
    if path.is_file():
        return [path]
    files = sorted(path.glob("*.json")) if path.is_dir() else []
    if not files:
        what = "holds no .json files" if path.is_dir() else "is not there"
        raise InputError(f"{name!r} {what} in ComfyUI's input folder {root}.")
    return files


def pose_fingerprint(source: str) -> str:
    """Changes when the text or one of the files does."""
    if source.lstrip()[:1] in ("{", "["):
        return hashlib.sha256(source.encode()).hexdigest()
    return ";".join(f"{path.name} {path.stat().st_mtime_ns}" for path in pose_paths(source))
