"""What ComfyUI owns of a finished result: the output folders, the run's metadata, progress and cancel."""

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import comfy.model_management
import folder_paths
from comfy.cli_args import args
from comfy_api.latest import Input, InputImpl
from torch import Tensor

from ..errors import InputError
from ..video.encode import encode_video
from .progress import Progress
from .provenance import provenance

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """A free file name in ComfyUI's output or temp folder, and what the browser calls it."""

    path: str
    filename: str
    subfolder: str
    folder: Literal["output", "temp"]


def output_file(prefix: str, extension: str, *, width: int, height: int, keep: bool = True) -> OutputFile:
    """The next free `prefix_00001_.extension`; `keep` False means the temp folder, which ComfyUI empties.

    Without an extension it is the name of a folder.
    """
    root = folder_paths.get_output_directory() if keep else folder_paths.get_temp_directory()
    if not prefix.strip():
        raise InputError("filename_prefix is empty. Write a name, for instance DreaMoving/dance.")
    if not folder_paths.is_within_directory(
        root, os.path.join(root, os.path.dirname(os.path.normpath(prefix)))
    ):
        raise InputError(
            f"filename_prefix {prefix!r} leads outside ComfyUI's output folder. Write a name inside it, for "
            "instance DreaMoving/dance."
        )
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, root, width, height)
    filename = f"{name}_{counter:05}_" + (f".{extension}" if extension else "")
    return OutputFile(
        path=os.path.join(folder, filename),
        filename=filename,
        subfolder=subfolder,
        folder="output" if keep else "temp",
    )


def pictures_of(folder: OutputFile) -> tuple[OutputFile, ...]:
    """The files of a folder that was written."""
    return tuple(
        OutputFile(
            path=os.path.join(folder.path, name),
            filename=name,
            subfolder="/".join(part for part in (folder.subfolder, folder.filename) if part),
            folder=folder.folder,
        )
        for name in sorted(os.listdir(folder.path))
    )


def run_metadata(hidden: Any) -> dict[str, str]:
    """`workflow`, `prompt` and provenance of this run as JSON texts; empty under --disable-metadata."""
    if args.disable_metadata or hidden is None:
        return {}
    values = dict(hidden.extra_pnginfo or {})
    if hidden.prompt is not None:
        values["prompt"] = hidden.prompt
    values["dreamoving"] = provenance(hidden.prompt or {})
    return {key: json.dumps(value) for key, value in values.items()}


def watched(items: Iterable[Item], *, total: int, unit: str = "frames") -> Iterator[Item]:
    """Passes `items` on, shows progress and time left on the node, and stops the run when the user cancels it."""
    progress = Progress(total, unit=unit)
    for item in items:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield item
        progress.update()


def temporary_video(frames: Tensor, *, frame_rate: float, prefix: str) -> Input.Video:
    """An mp4 of `f h w c` in ComfyUI's temp folder, as a VIDEO: what a camera's file would be.

    It is read later, so its name is one that no other ComfyUI with the same folder takes too: numbers alone could be.
    """
    height, width = frames.shape[1:3]
    name = f"{prefix}_{secrets.token_hex(4)}"
    file = output_file(name, "mp4", width=width, height=height, keep=False)
    encode_video(file.path, frames, format="mp4", frame_rate=frame_rate)
    return InputImpl.VideoFromFile(file.path)
