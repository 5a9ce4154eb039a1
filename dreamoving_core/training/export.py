"""Writes DreaMoving-Tiny's files, each in its full-size brother's format, in half precision."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..bridge.video_controlnet import video_controlnet_state_dict
from ..procdance.seeds import VERSION
from ..tiny import files
from ..weights.content_guider import content_guider_metadata
from ..weights.formats import provenance
from ..weights.io import write_weights
from ..weights.keymaps import with_prefix
from ..weights.motion import motion_metadata
from .autoencoder import LATENT_SCALE
from .lineage import Made
from .lora import Lora
from .networks import Networks

StateDict = dict[str, Tensor]
LICENSE = "GPL-3.0-or-later"
DATA = f"ProcDance {VERSION}, train split"
TITLES = {
    files.UNET: "U-Net",
    files.TEXT: "text encoder",
    files.VISION: "image encoder",
    files.AUTOENCODER: "autoencoder",
    files.MOTION: "motion blocks",
    files.CONTROL_POSE: "Video ControlNet, pose",
    files.CONTROL_DEPTH: "Video ControlNet, depth",
    files.CONTENT_GUIDER: "Content Guider",
}


def half(state_dict: StateDict) -> StateDict:
    """Tensors in half precision; single numbers keep theirs."""
    return {
        key: value.half() if value.is_floating_point() and value.ndim else value
        for key, value in state_dict.items()
    }


def taesd(autoencoder: StateDict) -> StateDict:
    """`encoder.*` and `decoder.*` as a TAESD file with ComfyUI's two scalars."""
    renamed = {f"taesd_{key}": value for key, value in autoencoder.items()}
    return renamed | {"vae_scale": torch.tensor(LATENT_SCALE), "vae_shift": torch.tensor(0.0)}


def header(title: str, made: Made, *, data: str = DATA) -> dict[str, str]:
    """What every file says of itself."""
    return provenance(
        license=LICENSE,
        parents=made.parents,
        training_data=data,
        training_steps=made.steps,
        title=f"DreaMoving-Tiny {title}",
    )


def export_tiny(
    networks: Networks, autoencoder: StateDict, folder: Path, *, frames: int, made: Mapping[str, Made]
) -> None:
    """All files of Tiny. `frames` is the clip length that motion was trained on, `made` tells how each file came about."""
    folder.mkdir(parents=True, exist_ok=True)

    def extra(name: str) -> dict[str, str]:
        return header(TITLES[name], made[name])

    def write(name: str, state_dict: StateDict, metadata: dict[str, str]) -> None:
        write_weights(folder / name, half(state_dict), metadata=metadata)

    write(files.UNET, networks.base.diffusion_model.state_dict(), extra(files.UNET))
    text = with_prefix(networks.text.state_dict(), "clip_l.transformer.")
    write(files.TEXT, text, extra(files.TEXT))
    write(files.VISION, networks.vision.state_dict(), extra(files.VISION))
    write(files.AUTOENCODER, taesd(autoencoder), extra(files.AUTOENCODER))
    motion = motion_metadata(
        networks.motion.config, betas="scaled_linear", trained_frames=frames, extra=extra(files.MOTION)
    )
    write(files.MOTION, networks.motion.state_dict(), motion)
    for name, kind in ((files.CONTROL_POSE, "pose"), (files.CONTROL_DEPTH, "depth")):
        state_dict, metadata = video_controlnet_state_dict(networks.controls[kind])
        write(name, state_dict, metadata | extra(name))
    guider = content_guider_metadata(networks.guider.config, extra=extra(files.CONTENT_GUIDER))
    write(files.CONTENT_GUIDER, networks.guider.state_dict(), guider)


def export_style_lora(lora: Lora, folder: Path, *, made: Made) -> None:
    """The second drawing style beside Tiny's files."""
    metadata = header("style LoRA", made, data=f"{DATA}, style 1")
    write_weights(folder / files.STYLE_LORA, half(lora.file()), metadata=metadata)
