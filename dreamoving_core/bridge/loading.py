"""From a file's name in ComfyUI's model folders to the value on a socket.

Three steps each: the folder gives a path, `weights` reads and judges it, `bridge` builds it in ComfyUI's care. Nothing
is built before the whole file was found sound, so a refused file leaves nothing behind.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

import comfy.model_patcher
import folder_paths
import torch

from ..errors import InputError
from ..weights.content_guider import BranchChoice, read_content_guider
from ..weights.control_motion import MotionBlocks
from ..weights.io import WeightsFile
from ..weights.ip_adapter_variants import VariantChoice
from ..weights.judged import Found, read_judged, refuse_numbers
from ..weights.motion import MotionInfo, NormMode, read_motion
from ..weights.motion_lora import MotionLora, read_motion_lora
from ..weights.video_controlnet import read_video_controlnet
from .content_guider import LoadedContentGuider, load_content_guider
from .control_motion import choose_motion
from .motion import LoadedMotion, load_motion, motion_patcher
from .video_controlnet import VideoControlNet, load_video_controlnet

log = logging.getLogger(__name__)

OWN_SUFFIXES = frozenset({".safetensors", ".sft"})  # what DreaMoving writes
PUBLIC_SUFFIXES = OWN_SUFFIXES | {".ckpt", ".pt", ".pth", ".bin"}

FOLDERS = {
    "dreamoving": OWN_SUFFIXES,
    "animatediff_models": PUBLIC_SUFFIXES,
    "animatediff_motion_lora": PUBLIC_SUFFIXES,
    "ipadapter": PUBLIC_SUFFIXES,
    "insightface": frozenset({".onnx"}),
    "dwpose": frozenset({".onnx"}),
    "zoedepth": PUBLIC_SUFFIXES,
}

ModelKind = Literal["motion", "motion_lora", "control", "guider"]
SEARCHED: dict[ModelKind, tuple[str, ...]] = {
    "motion": ("animatediff_models", "dreamoving"),
    "motion_lora": ("animatediff_motion_lora", "dreamoving"),
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


def read(path: str | os.PathLike, judge: Callable[[WeightsFile], Found]) -> Found:
    """What `judge` makes of the file, in tensors that can still learn: ComfyUI runs its nodes in inference mode."""
    with torch.inference_mode(False):
        return read_judged(path, judge)


def load_motion_model(path: str | os.PathLike, *, norm_mode: NormMode | None = None) -> LoadedMotion:
    """A motion model as MOTION_MODEL; `norm_mode` over what the file says. Raises WeightsError for files that are none."""
    weights = read(path, partial(read_motion, norm_mode=norm_mode))
    tell_left_out(weights.info.name, weights.info.left_out)
    for note in weights.info.notes:
        log.info("DreaMoving: '%s': %s", weights.info.name, note)
    return load_motion(
        weights.state_dict,
        weights.config,
        info=motion_notes(weights.info),
        reload=(reload_motion, (str(path), norm_mode)),
    )


def motion_notes(info: MotionInfo) -> dict[str, str]:
    """What the socket value says about its file: Apply Motion's `auto`s, the span of its `stretch`, words for people."""
    notes = {
        "name": info.name,
        "version": info.version,
        "beta_schedule": "keep" if info.betas == "scaled_linear" else info.betas,
        "norms_across_frames": "on" if info.unet_norms == "clip" else "off",
        "span": str(info.span),
        "positions": "by formula" if info.positions is None else str(info.positions),
    }
    return notes | ({"notes": " ".join(info.notes)} if info.notes else {})


def reload_motion(
    path: str, norm_mode: NormMode | None, *, disable_dynamic: bool = False
) -> comfy.model_patcher.ModelPatcher:
    """The same motion model once more: torch.compile and several GPUs ask for it."""
    weights = read(path, partial(read_motion, norm_mode=norm_mode))
    return motion_patcher(weights.state_dict, weights.config, disable_dynamic=disable_dynamic)


def load_motion_lora(path: str | os.PathLike) -> MotionLora:
    """A motion LoRA's tensors. Raises WeightsError for files that are none."""
    lora = read(path, read_motion_lora)
    tell_left_out(lora.name, lora.left_out)
    return lora


def load_video_controlnet_file(
    path: str | os.PathLike,
    *,
    motion_blocks: MotionBlocks = "as the file says",
    motion: LoadedMotion | None = None,
    pooled: bool = False,
) -> VideoControlNet:
    """A Video ControlNet, an image ControlNet or a SparseCtrl, of LDM's or diffusers' layout, as CONTROL_NET.

    `motion_blocks` may leave them out, or start them from `motion` [DM §2.4.3]; `pooled` is for "shuffle" [CN].
    """
    weights = read(path, read_video_controlnet)
    tell_left_out(weights.name, weights.left_out)
    state_dict, config = choose_motion(weights, motion_blocks, motion)
    control = load_video_controlnet(state_dict, weights.metadata, motion_config=config, name=weights.name)
    control.settings = replace(control.settings, pooled=pooled)
    control.control_model_wrapped.cached_patcher_init = (reload_control, (str(path), motion_blocks, motion))
    return control


def reload_control(
    path: str,
    motion_blocks: MotionBlocks = "as the file says",
    motion: LoadedMotion | None = None,
    *,
    disable_dynamic: bool = False,
) -> comfy.model_patcher.ModelPatcher:
    """The ControlNet's patcher once more."""
    control = load_video_controlnet_file(path, motion_blocks=motion_blocks, motion=motion)
    return plain(control.control_model_wrapped) if disable_dynamic else control.control_model_wrapped


def load_content_guider_file(
    path: str | os.PathLike, *, branch: BranchChoice = "both", variant: VariantChoice = "auto"
) -> LoadedContentGuider:
    """A Content Guider, or an IP-Adapter as its face branch, its cloth branch or both."""
    weights = read(path, partial(read_content_guider, branch=branch, variant=variant))
    refuse_numbers(weights.name, weights.lora)
    tell_left_out(weights.name, weights.left_out)
    for note in weights.notes:
        log.info("DreaMoving: '%s': %s", weights.name, note)
    with torch.inference_mode(False):  # a node may load what is trained later
        guider = load_content_guider(
            weights.state_dict, weights.metadata, lora=weights.lora, notes=(weights.version, *weights.notes)
        )
    guider.patcher.cached_patcher_init = (reload_guider, (str(path), branch, variant))
    return guider


def reload_guider(
    path: str, branch: BranchChoice, variant: VariantChoice = "auto", *, disable_dynamic: bool = False
) -> comfy.model_patcher.ModelPatcher:
    """The Content Guider's patcher once more."""
    patcher = load_content_guider_file(path, branch=branch, variant=variant).patcher
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
