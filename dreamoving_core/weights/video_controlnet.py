"""Video ControlNets, image ControlNets and SparseCtrl: LDM ControlNet keys in the end, motion blocks under `motion.`.

The network itself is built where ComfyUI's ControlNet is at hand; here the tensors are found, named and judged.
diffusers' names are read too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import WeightsError
from .controlnet_keymap import from_diffusers_controlnet, is_diffusers_controlnet
from .formats import expect, read_config, write_config
from .io import WeightsFile
from .keymaps import StateDict, without_prefix
from .layout import Layout
from .motion import motion_config

FORMAT = "dreamoving.video_controlnet"

KINDS = ("video_controlnet", "controlnet", "controlnet_diffusers", "sparsectrl")

PREFIXES = (
    "control_model.",
    "module.",
    "controlnet.",
)  # [CN] cut out of a whole checkpoint; DDP; [SC] trainers
PARTS = (
    "time_embed",
    "input_blocks",
    "middle_block",
    "middle_block_out",
    "input_hint_block",
    "zero_convs",
    "motion",
)
DIFFUSERS_PARTS = (
    "conv_in",
    "time_embedding",
    "down_blocks",
    "mid_block",
    "controlnet_cond_embedding",
    "controlnet_down_blocks",
    "controlnet_mid_block",
)


@dataclass(frozen=True, kw_only=True)
class VideoControlNetWeights:
    """Tensors named as the network names them, and the header of one of our own files ({} for others)."""

    name: str
    state_dict: StateDict
    metadata: Mapping[str, str]
    base: str  # "SD1.5", or the width of the text tokens
    version: str  # in words: "SparseCtrl rgb"
    sparse: bool = False  # pictures for a few frames, and a channel that says for which
    left_out: tuple[str, ...] = ()


def read_video_controlnet(file: WeightsFile) -> VideoControlNetWeights:
    """Check and rename. Raises WeightsError for other kinds of files; what stands beside the ControlNet is left out."""
    wanted = "a Video ControlNet or a ControlNet for SD1.5"
    expect(file.name, file.shapes, kinds=KINDS, wanted=wanted)
    settings = read_config(file.name, file.metadata, expected=FORMAT)
    tensors, left_out = file.state_dict, []
    for prefix in PREFIXES:
        if any(
            key.startswith((f"{prefix}zero_convs.", f"{prefix}controlnet_down_blocks.")) for key in tensors
        ):
            left_out += [key for key in tensors if not key.startswith(prefix)]
            tensors = without_prefix(tensors, prefix)
    theirs = is_diffusers_controlnet(tensors)
    own = {
        k: tensor
        for k, tensor in tensors.items()
        if k.split(".")[0] in (DIFFUSERS_PARTS if theirs else PARTS)
    }
    left_out += [key for key in tensors if key not in own]
    if theirs:
        own = from_diffusers_controlnet(own)
    return VideoControlNetWeights(
        name=file.name,
        state_dict=own,
        metadata=dict(file.metadata) | checked_config(file.name, settings, own) if settings else {},
        base=Layout(file.shapes).base,
        version=version_of(own),
        sparse=version_of(own).startswith("SparseCtrl"),
        left_out=tuple(left_out),
    )


def version_of(state_dict: StateDict) -> str:
    """What kind of control it is, in words."""
    channels = state_dict["input_hint_block.0.weight"].shape[1]
    if not any(key.startswith("input_hint_block.2.") for key in state_dict):
        return "SparseCtrl rgb: a few pictures through the VAE"
    if channels > 3:
        return "SparseCtrl scribble: a few drawings"
    moving = any(key.startswith("motion.") for key in state_dict)
    return "Video ControlNet" if moving else "image ControlNet: no motion blocks"


def checked_config(name: str, settings: Mapping[str, Any], state_dict: StateDict) -> dict[str, str]:
    """The header with a config that the network's constructor takes: what tensors tell is taken from them."""
    motion = without_prefix(state_dict, "motion.")
    config = {"unet": checked_unet(name, settings.get("unet")), "motion": None}
    if motion:
        config["motion"] = asdict(motion_config(name, motion, settings.get("motion") or {}))
    return write_config(FORMAT, config)


def checked_unet(name: str, unet: Any) -> dict[str, Any]:
    """The U-Net's layout, or WeightsError when it cannot be one."""

    def counts(key: str) -> bool:
        values = unet.get(key)
        return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values) and len(values) > 0

    sound = (
        isinstance(unet, dict)
        and all(
            type(unet.get(key)) is int and unet[key] > 0
            for key in ("model_channels", "context_dim", "num_heads")
        )
        and all(counts(key) for key in ("channel_mult", "num_res_blocks", "transformer_depth"))
        and len(unet["channel_mult"]) == len(unet["num_res_blocks"])
        and sum(unet["num_res_blocks"]) == len(unet["transformer_depth"])
    )
    if not sound:
        raise WeightsError(
            f"The config in '{name}' does not describe a U-Net (model_channels, context_dim, num_heads, channel_mult, "
            "num_res_blocks, transformer_depth). Update DreaMoving, or download the file again."
        )
    return unet
