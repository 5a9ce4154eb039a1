"""DreaMoving-Tiny from its files to ComfyUI's sockets."""

from dataclasses import dataclass
from pathlib import Path

import comfy.clip_vision
import comfy.model_patcher
import comfy.sd
import folder_paths

from ..errors import WeightsError
from ..procdance.palette import STYLES
from ..tiny import files
from ..tiny.config import TinyConfig
from ..weights.io import read_weights
from .content_guider import LoadedContentGuider
from .loading import load_content_guider_file, load_motion_model, load_video_controlnet_file
from .motion import LoadedMotion
from .preview import fit_colours
from .tiny import StateDict, build_clip, build_clip_vision, build_model, build_vae
from .video_controlnet import VideoControlNet


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """One value per socket of Load DreaMoving-Tiny."""

    model: comfy.model_patcher.ModelPatcher
    clip: comfy.sd.CLIP
    vae: comfy.sd.VAE
    clip_vision: comfy.clip_vision.ClipVisionModel
    motion: LoadedMotion
    control_pose: VideoControlNet
    control_depth: VideoControlNet
    content_guider: LoadedContentGuider


def tiny_folder() -> Path:
    """Where Tiny is: one that was trained here (`models/dreamoving/tiny`) goes before the one of the pack."""
    paths, _suffixes = folder_paths.folder_names_and_paths.get("dreamoving", ([], set()))
    folders = [Path(folder) / "tiny" for folder in paths]
    found = [folder for folder in folders if any((folder / name).is_file() for name in files.ALL)]
    return next(iter(found), files.FOLDER)


def tiny_path(name: str, folder: Path) -> Path:
    """A file of Tiny's. Raises WeightsError when it is missing."""
    path = folder / name
    if not path.is_file():
        raise WeightsError(
            f"DreaMoving-Tiny's file '{name}' is missing from {folder}. Install the pack again (its eight files come "
            "with it), or train it with `python run.py train tiny` and put them into models/dreamoving/tiny."
        )
    return path


def tiny_weights(name: str, folder: Path) -> StateDict:
    return read_weights(tiny_path(name, folder)).state_dict


def tiny_model(folder: Path, *, disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """The denoising U-Net."""
    return build_model(
        TinyConfig(),
        tiny_weights(files.UNET, folder),
        disable_dynamic=disable_dynamic,
        reload=(tiny_model, (folder,)),
    )


def in_style(model: comfy.model_patcher.ModelPatcher, folder: Path) -> comfy.model_patcher.ModelPatcher:
    """The model with Tiny's style LoRA, which draws as ProcDance's second style does."""
    path = folder / files.STYLE_LORA
    if not path.is_file():
        raise WeightsError(
            f"The LoRA '{files.STYLE_LORA}' is missing from {folder}. Choose the style {STYLES[0]}, or train it with "
            "`python run.py train tiny --stage style_lora`."
        )
    return comfy.sd.load_lora_for_models(model, None, read_weights(path).state_dict, 1.0, 0.0)[0]


def load_tiny(folder: Path | None = None, *, style: str = STYLES[0]) -> Tiny:
    """Every network of DreaMoving-Tiny, from `tiny_folder()` unless given, drawing in one of `procdance.palette.STYLES`.
    WeightsError for missing or damaged files."""
    config, folder = TinyConfig(), folder or tiny_folder()
    model, vae = tiny_model(folder), build_vae(tiny_weights(files.AUTOENCODER, folder))
    if style != STYLES[0]:
        model = in_style(model, folder)
    fit_colours(model.get_model_object("latent_format"), vae)  # its latents are not SD1.5's
    return Tiny(
        model=model,
        clip=build_clip(config, tiny_weights(files.TEXT, folder)),
        vae=vae,
        clip_vision=build_clip_vision(config, tiny_weights(files.VISION, folder)),
        motion=load_motion_model(tiny_path(files.MOTION, folder)),
        control_pose=load_video_controlnet_file(tiny_path(files.CONTROL_POSE, folder)),
        control_depth=load_video_controlnet_file(tiny_path(files.CONTROL_DEPTH, folder)),
        content_guider=load_content_guider_file(tiny_path(files.CONTENT_GUIDER, folder)),
    )


def tiny_fingerprint() -> str:
    """Changes when any of the files does."""
    folder = tiny_folder()
    found = [folder / name for name in (*files.ALL, files.STYLE_LORA) if (folder / name).is_file()]
    return "/".join(f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in found)
