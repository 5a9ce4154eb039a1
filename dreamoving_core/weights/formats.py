"""What a weight file is, from its tensors' names and shapes and its metadata. File names are never looked at.

Each format has a row: a kind, what it is called in words, what to do with it, and the evidence. The first row that
fits wins, so the rows go from the particular to the general.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import WeightsError
from .keymaps import is_motion_adapter

MAJOR = 1  # of every format that this version writes
SD15_WIDTHS = (320, 640, 1280, 1280)  # channels per level
SDXL_WIDTHS = (320, 640, 1280)
CROSS_DIMENSIONS = {768: "SD1.5", 1024: "SD2", 2048: "SDXL"}  # width of the text tokens

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Format:
    """`kind` for code, `title` and `remedy` for people."""

    kind: str
    title: str
    remedy: str


class Layout:
    """Names and shapes of one file, with the questions that the rows ask."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.text = "\n".join(shapes)

    def has(self, *patterns: str) -> bool:
        """Whether every pattern is found somewhere in the names."""
        return all(re.search(pattern, self.text, re.MULTILINE) for pattern in patterns)

    def size(self, pattern: str, axis: int) -> int | None:
        """The length of `axis` of the first tensor whose name matches."""
        for key, shape in self.shapes.items():
            if re.search(pattern, key) and len(shape) > axis:
                return shape[axis]
        return None

    def motion_widths(self) -> tuple[int, ...]:
        """Channels of the motion blocks on the way down, per level; () without such blocks."""
        widths = {}
        for key, shape in self.shapes.items():
            if match := re.search(
                r"down_blocks\.(\d+)\.motion_modules\.\d+\.(?:temporal_transformer\.)?proj_in\.weight$", key
            ):
                widths[int(match.group(1))] = shape[0]
        return tuple(widths[level] for level in sorted(widths))

    @property
    def base(self) -> str:
        """SD1.5, SD2, SDXL or another width, by the text tokens that the cross-attention takes."""
        if self.has(r"label_emb\.0\.0\.weight|add_embedding\.linear_1"):
            return "SDXL"
        width = self.size(r"attn2\.to_k\.weight$|\.to_k_ip\.weight$", 1)
        return CROSS_DIMENSIONS.get(width or 0, f"{width}-wide")


HINT = r"input_hint_block\.0\.weight"
ZERO = r"zero_convs\.0\.0\.weight"
MOTION = r"\.motion_modules\.\d+\."
IP = r"^(image_proj|image_proj_model|ip_adapter|adapter_modules)\."

STOCK_CONTROLNET = (
    "The stock Load ControlNet Model node reads it; DreaMoving's nodes need the SD1.5 LDM layout."
)
LORA_NODE = "Load it with the stock Load LoRA node."
CHECKPOINT_NODE = "Put it in models/checkpoints and load it with the stock Load Checkpoint node."
WANT_SD15 = "DreaMoving works on SD1.5. Choose the SD1.5 version of this model."
LATER = "This version of DreaMoving cannot run it."

Evidence = Callable[[Layout], bool]
ROWS: tuple[tuple[str, str, str, Evidence], ...] = (
    ("content_guider", "a Content Guider", "Use Load Content Guider.",
     lambda f: f.has(r"^(face|cloth)\.ip_adapter\.\d+\.to_k_ip")),
    ("ip_adapter_sdxl", "an SDXL IP-Adapter", WANT_SD15, lambda f: f.has(IP) and f.base == "SDXL"),
    ("ip_adapter", "an IP-Adapter", "Use Load Content Guider.", lambda f: f.has(IP, r"\.to_k_ip\.weight$")),
    ("motion_lora", "a motion LoRA", f"{LATER} Load a motion model.",
     lambda f: f.has(MOTION + r".*(_lora\.|lora_[AB]|lora_down|lora_up)")),
    ("video_controlnet", "a Video ControlNet", "Use Load Video ControlNet.",
     lambda f: f.has(HINT, ZERO, r"^motion\.")),
    ("sparsectrl", "a SparseCtrl model", f"{LATER} Choose a pose or depth ControlNet.",
     lambda f: f.has(r"controlnet_(down|mid)_block", MOTION)),
    ("controlnet_sdxl", "an SDXL ControlNet", WANT_SD15,
     lambda f: (f.has(HINT, ZERO) or f.has(r"controlnet_cond_embedding")) and f.base == "SDXL"),
    ("controlnet_sd2", "an SD2 ControlNet", WANT_SD15,
     lambda f: (f.has(HINT, ZERO) or f.has(r"controlnet_cond_embedding")) and f.base == "SD2"),
    ("control_lora", "a Control-LoRA", STOCK_CONTROLNET, lambda f: f.has(r"^lora_controlnet$")),
    ("controlnet", "a ControlNet", "Use Load Video ControlNet.", lambda f: f.has(HINT, ZERO)),
    ("controlnet_diffusers", "a ControlNet in diffusers' layout", STOCK_CONTROLNET,
     lambda f: f.has(r"controlnet_cond_embedding", r"controlnet_down_blocks")),
    ("controlnet_dit", "a ControlNet for Flux, SD3 or another transformer", WANT_SD15,
     lambda f: f.has(r"controlnet_(x_embedder|blocks\.0)|^control_blocks\.|^pos_embed_input\.")),
    ("t2i_adapter", "a T2I-Adapter", STOCK_CONTROLNET, lambda f: f.has(r"^(adapter\.)?body\.0\.(in_conv|block1|resnets)")),
    ("controllite", "a ControlNet-LLLite model", WANT_SD15, lambda f: f.has(r"^lllite_")),
    ("motion_hotshot", "a Hotshot-XL motion model (SDXL)", WANT_SD15,
     lambda f: f.has(r"pos_encoder\.positional_encoding|temporal_attentions\.")),
    ("motion_pia", "a PIA motion model", f"{LATER} Choose a motion model without an image input.",
     lambda f: f.has(MOTION) and f.size(r"^(module\.|unet\.)*conv_in\.weight$", 1) == 9),
    ("motion_i2v", "an AnimateLCM-I2V motion model", f"{LATER} Choose the text-to-video one.",
     lambda f: f.has(MOTION, r"img_encoder\.")),
    ("motion_sdxl", "an SDXL motion model", WANT_SD15, lambda f: f.motion_widths() == SDXL_WIDTHS),
    ("motion_encoder", "a set of motion blocks for a ControlNet, without those of a U-Net", "Load a whole motion model.",
     lambda f: bool(f.motion_widths()) and not f.has(r"up_blocks\.\d+" + MOTION)),
    ("motion_model", "a motion model", "Use Load Motion Model.",
     lambda f: bool(f.motion_widths()) and (f.has(r"temporal_transformer") or is_motion_adapter(f.shapes))),
    ("lora", "an ordinary LoRA", LORA_NODE,
     lambda f: f.has(r"lora_(down|up|A|B)\b|\.lora\.(down|up)\.|_lora\.(down|up)\.|\.(hada|lokr)_w1")),
    ("checkpoint_sdxl", "a whole SDXL checkpoint", WANT_SD15,
     lambda f: f.has(r"^model\.diffusion_model\.") and f.base == "SDXL"),
    ("checkpoint", "a whole checkpoint", CHECKPOINT_NODE, lambda f: f.has(r"^model\.diffusion_model\.")),
    ("transformer", "a Flux, SD3 or video transformer", WANT_SD15,
     lambda f: f.has(r"(^|\.)(double_blocks|joint_blocks|transformer_blocks|blocks)\.0\.")
     and not f.has(r"(input|down)_blocks\.")),
    ("unet", "a U-Net alone", "Put it in models/diffusion_models and load it with the stock Load Diffusion Model node.",
     lambda f: f.has(r"(input|down)_blocks\.\d", r"(output|up)_blocks\.\d")),
    ("vae", "a VAE", "Put it in models/vae and load it with the stock Load VAE node.",
     lambda f: f.has(r"^(first_stage_model\.)?(taesd_)?(encoder|decoder)\.(conv_in|conv_out|mid|up|down|\d)")),
    ("clip_vision", "an image encoder (CLIP vision)", "Put it in models/clip_vision and load it with Load CLIP Vision.",
     lambda f: f.has(r"^(vision_model|visual)\.")),
    ("clip", "a text encoder", "Put it in models/text_encoders and load it with the stock Load CLIP node.",
     lambda f: f.has(r"text_model\.|^encoder\.block\.0\.|token_embedding\.weight")),
    ("embedding", "a textual inversion embedding", "Put it in models/embeddings and name it in the prompt.",
     lambda f: f.has(r"^(emb_params|clip_[lgh]|string_to_param\.\*)$")),
)  # fmt: skip

UNKNOWN = Format(
    kind="unknown",
    title="a file of a kind that DreaMoving does not know",
    remedy="Check that it is the model that the node asks for.",
)


def detect(shapes: Shapes) -> Format:
    """What the tensors are. Never raises: an unknown file is of kind `unknown`."""
    layout = Layout(shapes)
    for kind, title, remedy, fits in ROWS:
        if fits(layout):
            return Format(kind=kind, title=title, remedy=remedy)
    return UNKNOWN


def expect(name: str, shapes: Shapes, *, kinds: tuple[str, ...], wanted: str) -> Format:
    """The file's format, or a WeightsError that says what the file is when it is none of `kinds`."""
    found = detect(shapes)
    if found.kind not in kinds:
        examples = "" if found.kind != "unknown" else f" (its first tensors: {', '.join(list(shapes)[:3])})"
        raise WeightsError(
            f"'{name}' is {found.title}{examples}, but {wanted} is needed here. {found.remedy}"
        )
    return found


def read_config(name: str, metadata: Mapping[str, str], *, expected: str) -> dict[str, Any]:
    """The JSON `config` of one of our own files; {} for a file that carries no DreaMoving metadata.

    Raises WeightsError for another `format`, an unknown major `format_version`, or a damaged config.
    """
    found = metadata.get("format")
    if found is None or not found.startswith("dreamoving."):
        return {}
    if found != expected:
        raise WeightsError(
            f"'{name}' says that it is '{found}', but '{expected}' is needed here. Choose another file."
        )
    version = metadata.get("format_version", "none")
    if version.split(".")[0] != str(MAJOR):
        raise WeightsError(
            f"'{name}' has format version {version}; this version of DreaMoving reads {MAJOR}. "
            "Update DreaMoving, or choose an older file."
        )
    try:
        config = json.loads(metadata.get("config", ""))
    except ValueError as error:
        raise WeightsError(
            f"The config in '{name}' is not valid JSON ({error}). Download the file again."
        ) from error
    if not isinstance(config, dict):
        raise WeightsError(f"The config in '{name}' is not a JSON object. Download the file again.")
    return config


def write_config(
    form: str, config: Mapping[str, Any], *, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Metadata of one of our own files: strings only, as safetensors wants them. `extra`: licence, parents, ..."""
    reserved = {"format", "format_version", "config"} & (extra or {}).keys()
    if reserved:
        raise WeightsError(
            f"The metadata keys {', '.join(sorted(reserved))} are the format's own. Choose other names."
        )
    return {
        "format": form,
        "format_version": str(MAJOR),
        "config": json.dumps(config, sort_keys=True),
        **(extra or {}),
    }


def provenance(
    *,
    license: str,
    parents: Sequence[Mapping[str, str]] = (),
    training_data: str = "",
    training_steps: int = 0,
    title: str = "",
) -> dict[str, str]:
    """Where weights come from, as `extra` of `write_config`: docs/weights.md says what each key means.

    `license` is an SPDX name; `parents` are the files that training started from: name, sha256, license.
    """
    found = {
        "license": license,
        "parents": json.dumps([dict(parent) for parent in parents]),
        "training_data": training_data,
        "training_steps": str(training_steps) if training_steps else "",
        "modelspec.title": title,
    }
    return {key: value for key, value in found.items() if value}


def refuse_unfit(name: str, wanted: Shapes, found: Shapes) -> None:
    """Raise WeightsError unless every wanted tensor is there in its shape and there are no others."""
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    reshaped = sorted(k for k in wanted.keys() & found.keys() if tuple(wanted[k]) != tuple(found[k]))
    if not missing and not unexpected and not reshaped:
        return
    parts = [
        f"{len(missing)} tensors missing{listed(missing)}",
        f"{len(unexpected)} unexpected{listed(unexpected)}",
    ]
    if reshaped:
        key = reshaped[0]
        parts.append(
            f"{len(reshaped)} of another shape ({key}: {list(found[key])}, expected {list(wanted[key])})"
        )
    raise WeightsError(
        f"'{name}' does not fit: {', '.join(parts)}. Download it again, or choose another version."
    )


def listed(keys: list[str]) -> str:
    return f" ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})" if keys else ""
