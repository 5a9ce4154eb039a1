"""Video ControlNet files: from a state dict to a CONTROL_NET and back. The format is in docs/weights.md."""

from collections.abc import Mapping
from dataclasses import asdict

import comfy.model_detection
import comfy.model_management
import comfy.ops
import comfy.utils
import torch
from torch import Tensor

from ..errors import WeightsError
from ..models.backend import Backend
from ..models.motion import MotionConfig, config_from_state_dict
from ..weights.control_motion import with_middle
from ..weights.formats import expect, read_config, refuse_unfit, write_config
from ..weights.video_controlnet import FORMAT
from .backend import host_backend
from .video_control import VideoControlNet
from .video_control_model import VideoControlModel

StateDict = dict[str, Tensor]


class PlainLayers(comfy.ops.disable_weight_init):
    """Layers that own their weights at once, which ComfyUI's dynamic VRAM puts off."""

    Linear = torch.nn.Linear


def load_video_controlnet(
    state_dict: StateDict,
    metadata: Mapping[str, str] | None = None,
    *,
    unet_config: dict | None = None,
    motion_config: MotionConfig | None = None,
    dtype: torch.dtype | None = None,
    name: str = "The ControlNet",
) -> VideoControlNet:
    """A Video ControlNet, or an image ControlNet of the same layout, which is one without motion blocks, or a SparseCtrl.

    Keys: an LDM ControlNet's, and `motion.` + AnimateDiff's. The layout comes from the file's own metadata, else from
    `unet_config`, else SD1.5's is recognised. `motion_config` may ask for a middle block that the file lacks (training
    wants it); that block starts as a no-op. Raises WeightsError, naming the file by `name`.
    """
    state_dict = {key.removeprefix("control_model."): value for key, value in state_dict.items()}
    expect(
        name,
        shapes_of(state_dict),
        kinds=("video_controlnet", "controlnet"),
        wanted="a Video ControlNet for SD1.5",
    )
    config = read_config(name, metadata or {}, expected=FORMAT)
    unet_config = config.get("unet") or unet_config or detect_unet_config(name, state_dict)
    motion_config = motion_config or read_motion_config(config, state_dict)
    if motion_config is not None:
        state_dict = with_middle(state_dict, motion_config)
    stem = read_stem(name, state_dict, latent_channels=unet_config.get("in_channels", 4))
    meta = Backend(operations=PlainLayers, device=torch.device("meta"), dtype=torch.float32)
    wanted = VideoControlModel(unet_config, motion_config, backend=meta, **stem)
    refuse_unfit_motion(name, wanted)
    found = {key: value for key, value in state_dict.items() if not key.endswith("pos_encoder.pe")}
    refuse_unfit(name, shapes_of(wanted.state_dict()), shapes_of(found))

    load_device = comfy.model_management.get_torch_device()
    dtype = dtype or comfy.model_management.unet_dtype(
        device=load_device, weight_dtype=comfy.utils.weight_dtype(state_dict)
    )
    compute_dtype = comfy.model_management.unet_manual_cast(dtype, load_device)
    offload_device = comfy.model_management.unet_offload_device()
    backend = host_backend(weight_dtype=dtype, compute_dtype=compute_dtype, device=offload_device)
    with torch.inference_mode(False):  # weights that are made while a node runs must still be able to learn
        network = VideoControlModel(unet_config, motion_config, backend=backend, **stem)
        control = VideoControlNet(network, load_device=load_device, manual_cast_dtype=compute_dtype)
        network.load_state_dict(state_dict, strict=False, assign=control.control_model_wrapped.is_dynamic())
    return control


def video_controlnet_state_dict(
    control: VideoControlNet | VideoControlModel, *, extra: Mapping[str, str] | None = None
) -> tuple[StateDict, dict[str, str]]:
    """What `load_video_controlnet` reads: tensors, and the metadata that stands beside them in the file.

    `extra` says where the weights come from (`weights/formats.py:provenance`).
    """
    network = control.control_model if isinstance(control, VideoControlNet) else control
    motion = network.motion_config
    config = {"unet": network.unet_config, "motion": None if motion is None else asdict(motion)}
    return network.state_dict(), write_config(FORMAT, config, extra=extra)


def read_motion_config(config: dict, state_dict: StateDict) -> MotionConfig | None:
    """The motion blocks' layout from the file's own config, else from its tensors; None where there are none."""
    tensors = {key.removeprefix("motion."): v for key, v in state_dict.items() if key.startswith("motion.")}
    if (values := config.get("motion")) and tensors:
        return MotionConfig(
            **{k: tuple(map(tuple, v)) if k in ("down", "up") else v for k, v in values.items()}
        )
    return config_from_state_dict(tensors) if tensors else None


def read_stem(name: str, state_dict: StateDict, *, latent_channels: int) -> dict[str, int | bool]:
    """How control pictures enter, by the tensors; arguments of the network. Raises WeightsError for an unknown way."""
    channels = state_dict["input_hint_block.0.weight"].shape[1]
    latent_hint = not any(key.startswith("input_hint_block.2.") for key in state_dict)
    expected = (latent_channels + 1,) if latent_hint else (3, 4)
    if channels not in expected:
        raise WeightsError(
            f"'{name}' reads control pictures of {channels} channels through {1 if latent_hint else 8} convolutions; "
            f"expected are {' or '.join(map(str, expected))}. Choose a ControlNet that reads RGB pictures, or SparseCtrl."
        )
    return {"hint_channels": channels, "latent_hint": latent_hint}


def detect_unet_config(name: str, state_dict: StateDict) -> dict:
    """The layout of an SD1.5 ControlNet from its tensors. Heads leave no trace there, so that other sizes need a config."""
    control = {key: value for key, value in state_dict.items() if not key.startswith("motion.")}
    found = comfy.model_detection.model_config_from_unet(control, "", True)
    config = {} if found is None else found.unet_config
    if config.get("num_heads", -1) < 1 or config.get("adm_in_channels") or config.get("context_dim") != 768:
        raise WeightsError(
            f"'{name}' is not an SD1.5 ControlNet: it reads text {config.get('context_dim')} numbers wide, SD1.5's has "
            "768, and it carries no DreaMoving config. Choose a ControlNet for SD1.5, or one that DreaMoving saved."
        )
    return {key: value for key, value in config.items() if not isinstance(value, torch.dtype)}


def refuse_unfit_motion(name: str, network: VideoControlModel) -> None:
    """Raise WeightsError unless there is one motion block, of the right width, for each slot."""
    config = network.motion_config
    if config is None:
        return
    found, wanted = [width for level in config.down for width in level], network.slot_widths()
    middle = network.middle_block[0].out_channels
    if found != wanted or config.mid not in (None, middle) or config.up:
        raise WeightsError(
            f"The motion blocks in '{name}' are {found} wide, middle {config.mid}, {len(config.up)} levels going up; "
            f"its ControlNet has room for {wanted}, middle {middle}, none going up. Choose a Video ControlNet whose "
            "motion blocks were trained with it."
        )


def shapes_of(state_dict: StateDict) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state_dict.items()}
