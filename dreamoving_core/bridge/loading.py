"""From a file's name in ComfyUI's model folders to the value on a socket.

Three steps each: the folder gives a path, `weights` reads and judges it, `bridge` builds it in ComfyUI's care. Nothing
is built before the whole file was found sound, so a refused file leaves nothing behind.
"""

import logging
import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

import comfy.model_patcher
import folder_paths
import torch

from ..errors import InputError
from ..weights.content_guider import BranchChoice, read_content_guider
from ..weights.io import WeightsFile, read_weights
from ..weights.motion import MotionInfo, read_motion
from ..weights.video_controlnet import read_video_controlnet
from .content_guider import LoadedContentGuider, load_content_guider
from .motion import LoadedMotion, load_motion, motion_patcher
from .video_controlnet import VideoControlNet, load_video_controlnet

log = logging.getLogger(__name__)

OWN_SUFFIXES = frozenset({".safetensors", ".sft"})  # what DreaMoving writes
PUBLIC_SUFFIXES = OWN_SUFFIXES | {".ckpt", ".pt", ".pth", ".bin"}

FOLDERS = {"dreamoving": OWN_SUFFIXES, "animatediff_models": PUBLIC_SUFFIXES, "ipadapter": PUBLIC_SUFFIXES}

ModelKind = Literal["motion", "control", "guider"]
SEARCHED: dict[ModelKind, tuple[str, ...]] = {
    "motion": ("animatediff_models", "dreamoving"),
    "control": ("controlnet", "dreamoving"),
    "guider": ("ipadapter", "dreamoving"),
}


def register_model_folders() -> None:
    """Tell ComfyUI our folders. Paths and suffixes that a user or another pack registered before are kept."""
    for name, suffixes in FOLDERS.items():
        folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name))
        paths, known = folder_paths.folder_names_and_paths[name]
        if not known:  # an empty set, as after extra_model_paths.yaml, would list every file
            folder_paths.folder_names_and_paths[name] = (paths, set(suffixes))


def model_files(kind: ModelKind) -> list[str]:
    """Names for a loader's list: relative to their folders, sorted, each once."""
    known = [folder for folder in SEARCHED[kind] if folder in folder_paths.folder_names_and_paths]
    return sorted({name for folder in known for name in folder_paths.get_filename_list(folder)})


def model_path(kind: ModelKind, name: str) -> Path:
    """The file behind a name of the list. Raises InputError for names that lead elsewhere, or nowhere."""
    name = name or ""  # an empty list sends nothing
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor or ".." in parts:
        raise InputError(f"'{name}' leads out of the model folders. Choose a name from the list.")
    for folder in SEARCHED[kind]:
        path = folder_paths.get_full_path(folder, name) if name else None
        if path is not None:
            return Path(path)
    folders = " or ".join(
        path for folder in SEARCHED[kind] for path in folder_paths.get_folder_paths(folder)[:1]
    )
    raise InputError(f"There is no model '{name}'. Put it in {folders} and press R to reload the list.")


def unusable(kind: ModelKind, name: str) -> str | None:
    """Why a name of the list cannot be loaded, for a node's `validate_inputs`; None when there is such a file."""
    try:
        model_path(kind, name)
    except InputError as error:
        return str(error)
    return None


def file_fingerprint(kind: ModelKind, name: str) -> str:
    """Changes when the file does."""
    path = model_path(kind, name)
    status = path.stat()
    return f"{path}:{status.st_size}:{status.st_mtime_ns}"


def read(path: str | os.PathLike) -> WeightsFile:
    """The file, in tensors that can still learn: ComfyUI runs its nodes in inference mode."""
    with torch.inference_mode(False):
        return read_weights(path)


def load_motion_model(path: str | os.PathLike) -> LoadedMotion:
    """A motion model as MOTION_MODEL. Raises WeightsError for files that are none."""
    weights = read_motion(read(path))
    tell_left_out(weights.info.name, weights.info.left_out)
    for note in weights.info.notes:
        log.info("DreaMoving: '%s': %s", weights.info.name, note)
    return load_motion(
        weights.state_dict,
        weights.config,
        info=motion_notes(weights.info),
        reload=(reload_motion, (str(path),)),
    )


def motion_notes(info: MotionInfo) -> dict[str, str]:
    """What the socket value says about its file; `beta_schedule` is Apply Motion's `auto`."""
    notes = {
        "name": info.name,
        "version": info.version,
        "beta_schedule": "linear" if info.betas == "linear" else "keep",
        "positions": "by formula" if info.positions is None else str(info.positions),
    }
    return notes | ({"notes": " ".join(info.notes)} if info.notes else {})


def reload_motion(path: str, *, disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """The same motion model once more: torch.compile and several GPUs ask for it."""
    weights = read_motion(read(path))
    return motion_patcher(weights.state_dict, weights.config, disable_dynamic=disable_dynamic)


def load_video_controlnet_file(path: str | os.PathLike) -> VideoControlNet:
    """A Video ControlNet, or an image ControlNet of the same layout, as CONTROL_NET."""
    weights = read_video_controlnet(read(path))
    tell_left_out(weights.name, weights.left_out)
    control = load_video_controlnet(weights.state_dict, weights.metadata, name=weights.name)
    control.control_model_wrapped.cached_patcher_init = (reload_control, (str(path),))
    return control


def reload_control(path: str, *, disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """The ControlNet's patcher once more."""
    patcher = load_video_controlnet_file(path).control_model_wrapped
    return plain(patcher) if disable_dynamic else patcher


def load_content_guider_file(
    path: str | os.PathLike, *, branch: BranchChoice = "both"
) -> LoadedContentGuider:
    """A Content Guider, or an IP-Adapter as its face branch, its cloth branch or both."""
    weights = read_content_guider(read(path), branch=branch)
    tell_left_out(weights.name, weights.left_out)
    with torch.inference_mode(False):  # a node may load what is trained later
        guider = load_content_guider(weights.state_dict, weights.metadata)
    guider.patcher.cached_patcher_init = (reload_guider, (str(path), branch))
    return guider


def reload_guider(
    path: str, branch: BranchChoice, *, disable_dynamic: bool = False
) -> comfy.model_patcher.ModelPatcher:
    """The Content Guider's patcher once more."""
    patcher = load_content_guider_file(path, branch=branch).patcher
    return plain(patcher) if disable_dynamic else patcher


def plain(patcher: comfy.model_patcher.ModelPatcher) -> comfy.model_patcher.ModelPatcher:
    """The same networks in a patcher without dynamic VRAM."""
    twin = comfy.model_patcher.ModelPatcher(
        patcher.model, load_device=patcher.load_device, offload_device=patcher.offload_device
    )
    twin.cached_patcher_init = patcher.cached_patcher_init
    return twin


def tell_left_out(name: str, left_out: tuple[str, ...]) -> None:
    """Tensors that the network has no place for are never dropped in silence."""
    if left_out:
        shown = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        log.warning("DreaMoving: '%s' holds %d tensors that are not used: %s", name, len(left_out), shown)
