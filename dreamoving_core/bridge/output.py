"""What ComfyUI owns of a finished result: the output folders, the run's metadata, progress and cancel."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeVar

import comfy.model_management
import comfy.utils
import folder_paths
from comfy.cli_args import args
from torch import Tensor

from ..errors import InputError
from ..video.encode import encode_video
from ..video.formats import video_format
from ..video.layout import side_by_side as frames_side_by_side

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """A free file name in ComfyUI's output or temp folder, and what the browser calls it."""

    path: str
    filename: str
    subfolder: str
    folder: Literal["output", "temp"]


def output_file(prefix: str, extension: str, *, width: int, height: int, keep: bool = True) -> OutputFile:
    """The next free `prefix_00001_.extension`; `keep` False means the temp folder, which ComfyUI empties."""
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
    filename = f"{name}_{counter:05}_.{extension}"
    return OutputFile(
        path=os.path.join(folder, filename),
        filename=filename,
        subfolder=subfolder,
        folder="output" if keep else "temp",
    )


def run_metadata(hidden: Any) -> dict[str, str]:
    """`workflow` and `prompt` of this run as JSON texts; empty under --disable-metadata."""
    if args.disable_metadata or hidden is None:
        return {}
    values = dict(hidden.extra_pnginfo or {})
    if hidden.prompt is not None:
        values["prompt"] = hidden.prompt
    return {key: json.dumps(value) for key, value in values.items()}


def watched(items: Iterable[Item], *, total: int) -> Iterator[Item]:
    """Passes `items` on, moves the node's progress bar, and stops the run when the user cancels it."""
    progress = comfy.utils.ProgressBar(total)
    for item in items:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield item
        progress.update(1)


def save_video(
    images: Tensor,
    side_by_side: Tensor | None = None,
    *,
    prefix: str,
    format: str,
    frame_rate: str | float | Fraction,
    quality: int,
    audio: Mapping | None = None,
    keep: bool = True,
    hidden: Any = None,
) -> OutputFile:
    """Encodes `images` `f h w c`, with `side_by_side` to their left, into a new file of ComfyUI's folders."""
    frames, total = images, len(images)
    if side_by_side is not None and total:
        frames = frames_side_by_side([side_by_side, images], height=images.shape[1])
        total = max(total, len(side_by_side))
    height, width = images.shape[1:3]
    file = output_file(prefix, video_format(format).extension, width=width, height=height, keep=keep)
    encode_video(
        file.path,
        watched(frames, total=total),
        format=format,
        frame_rate=frame_rate,
        quality=quality,
        audio=audio,
        metadata=run_metadata(hidden),
    )
    return file
