"""Writes DreaMoving-Tiny's files, each in its full-size brother's format, in half precision."""

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
from .lora import Lora
from .networks import Networks

StateDict = dict[str, Tensor]
LICENSE = "GPL-3.0-or-later"


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


def export_tiny(networks: Networks, autoencoder: StateDict, folder: Path, *, frames: int, steps: int) -> None:
    """All files of Tiny. `frames` is the clip length that motion was trained on, `steps` the optimiser steps in all."""
    folder.mkdir(parents=True, exist_ok=True)
    source = f"ProcDance {VERSION}, train split"

    def extra(title: str) -> dict[str, str]:
        title = f"DreaMoving-Tiny {title}"
        return provenance(license=LICENSE, training_data=source, training_steps=steps, title=title)

    def write(name: str, state_dict: StateDict, metadata: dict[str, str]) -> None:
        write_weights(folder / name, half(state_dict), metadata=metadata)

    write(files.UNET, networks.base.diffusion_model.state_dict(), extra("U-Net"))
    text = with_prefix(networks.text.state_dict(), "clip_l.transformer.")
    write(files.TEXT, text, extra("text encoder"))
    write(files.VISION, networks.vision.state_dict(), extra("image encoder"))
    write(files.AUTOENCODER, taesd(autoencoder), extra("autoencoder"))
    motion = motion_metadata(
        networks.motion.config, betas="scaled_linear", trained_frames=frames, extra=extra("motion blocks")
    )
    write(files.MOTION, networks.motion.state_dict(), motion)
    for name, kind in ((files.CONTROL_POSE, "pose"), (files.CONTROL_DEPTH, "depth")):
        state_dict, metadata = video_controlnet_state_dict(networks.controls[kind])
        write(name, state_dict, metadata | extra(f"Video ControlNet, {kind}"))
    guider = content_guider_metadata(networks.guider.config, extra=extra("Content Guider"))
    write(files.CONTENT_GUIDER, networks.guider.state_dict(), guider)


def export_style_lora(lora: Lora, folder: Path, *, steps: int) -> None:
    """The second drawing style beside Tiny's files."""
    source, title = f"ProcDance {VERSION}, train split, style 1", "DreaMoving-Tiny style LoRA"
    metadata = provenance(license=LICENSE, training_data=source, training_steps=steps, title=title)
    write_weights(folder / files.STYLE_LORA, half(lora.file()), metadata=metadata)
