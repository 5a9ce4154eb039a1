"""`python -m dreamoving_core.weights convert IN OUT`: a public file in DreaMoving's own format, with where it came from.

No number changes unless `dtype` asks for it. The new file's metadata say what tensors cannot tell, so that nothing has to
be assumed again, and name the old file with its SHA-256 and, where it is known, its licence.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ..catalogue.files import BY_SHA256, SEE_PAGE
from ..errors import WeightsError
from .content_guider import BranchChoice, content_guider_metadata, read_content_guider
from .formats import Format, detect, provenance, write_config
from .io import WeightsFile, read_weights, write_weights
from .ip_adapter_variants import VariantChoice
from .judged import read_judged, refuse_numbers
from .keymaps import StateDict, without_prefix
from .motion import motion_config, motion_metadata, read_motion
from .video_controlnet import FORMAT as CONTROL_FORMAT
from .video_controlnet import KINDS as CONTROL_KINDS
from .video_controlnet import read_video_controlnet

GUIDER_KINDS = ("content_guider", "ip_adapter")
MOTION_KINDS = ("motion_model",)
SUFFIXES = (".safetensors", ".sft")
OWN_KEYS = ("format", "format_version", "config", "license", "parents")

# ComfyUI's arguments of SD1.5's U-Net, which public ControlNets are made for: a file without a config is of this layout.
SD15_UNET: dict[str, Any] = {
    "in_channels": 4, "model_channels": 320, "channel_mult": [1, 2, 4, 4], "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1, "context_dim": 768, "num_heads": 8,
    "num_head_channels": -1, "use_spatial_transformer": True, "use_linear_in_transformer": False, "legacy": False,
}  # fmt: skip

DTypeChoice = Literal["keep", "fp16", "bf16", "fp32"]
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a person may choose; `license` is that of the new file, by default the parent's."""

    branch: BranchChoice = "both"
    variant: VariantChoice = "auto"
    dtype: DTypeChoice = "keep"
    license: str = ""
    title: str = ""
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class Converted:
    """Tensors under our names, what the header says, and what was decided or left out, for people."""

    state_dict: StateDict
    metadata: Mapping[str, str]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def convert(source: Path, target: Path, choice: Conversion | None = None) -> list[str]:
    """Write `target` and say what is in it. Raises WeightsError as the loaders do, and for a target that is taken."""
    choice = choice or Conversion()
    refuse_target(source, target, overwrite=choice.overwrite)
    blank = read_weights(source, values=False)
    found = detect(blank.shapes)
    reader = reader_of(blank.name, found)
    made = read_judged(source, lambda file: reader(file, choice))
    tensors = made.state_dict
    if choice.dtype != "keep":
        tensors = {key: tensor.to(DTYPES[choice.dtype]) for key, tensor in tensors.items()}
        refuse_numbers(target.name, tensors)
    parent = parent_of(blank)
    child = choice.license or parent.get("license", "")
    origin = provenance(license=child, parents=[parent], title=choice.title or f"{blank.name}, converted")
    kept = {key: value for key, value in made.metadata.items() if key not in ("license", "parents")}
    write_weights(target, tensors, metadata={**kept, **origin})
    reader(read_weights(target, values=False), choice)  # what was written is read by those who will load it
    return [
        f"{target.name}: {found.title}, {len(tensors)} tensors, format {made.metadata['format']}",
        f"  parent      {parent['name']}, SHA-256 {parent['sha256']}",
        f"  licence     {child or 'not known: look it up, and convert again with --license'}",
        *(f"  note        {note}" for note in made.notes),
        *([f"  left out    {', '.join(made.left_out[:5])}"] if made.left_out else []),
    ]


def refuse_target(source: Path, target: Path, *, overwrite: bool) -> None:
    """Raise WeightsError for a place that cannot, or should not, be written to."""
    if target.suffix not in SUFFIXES:
        raise WeightsError(f"'{target.name}' does not end in .safetensors. Choose a name that does.")
    if not target.parent.is_dir():
        raise WeightsError(f"There is no folder '{target.parent}'. Make it first, or choose another.")
    if target.exists() and source.exists() and target.samefile(source):
        raise WeightsError(f"'{target.name}' is the file to convert. Choose another name for the result.")
    if target.exists() and not overwrite:
        raise WeightsError(f"'{target.name}' exists already. Choose another name, or add --overwrite.")


def parent_of(file: WeightsFile) -> dict[str, str]:
    """Name, SHA-256 and, where the file itself or the catalogue says it, the licence."""
    digest = file.sha256() or ""
    known = BY_SHA256.get(digest)
    license = file.metadata.get("license") or file.metadata.get("modelspec.license") or ""
    if not license and known and known.licence != SEE_PAGE:
        license = known.licence
    parent = {"name": known.name if known else file.name, "sha256": digest}
    return parent | ({"license": license} if license else {})


def reader_of(name: str, found: Format) -> Callable[[WeightsFile, Conversion], Converted]:
    """Who converts a kind. Raises WeightsError for kinds that have no format of ours."""
    for kinds, reader in ((MOTION_KINDS, motion), (CONTROL_KINDS, control), (GUIDER_KINDS, guider)):
        if found.kind in kinds:
            return reader
    remedy = f"{found.node} reads it as it is. Choose another file." if found.node else found.remedy
    raise WeightsError(
        f"'{name}' is {found.title}; what can be converted are motion models, ControlNets, IP-Adapters. {remedy}"
    )


def motion(file: WeightsFile, choice: Conversion) -> Converted:
    """A motion model; its noise and norms, which no tensor tells, are written down as they were taken."""
    weights = read_motion(file)
    info = weights.info
    metadata = motion_metadata(
        weights.config,
        betas=info.betas,
        unet_norms=info.unet_norms,
        trained_frames=info.trained_frames,
        extra=beside(file),
    )
    notes = (f"taken for {info.version}.", *info.notes)
    return Converted(state_dict=weights.state_dict, metadata=metadata, notes=notes, left_out=info.left_out)


def control(file: WeightsFile, choice: Conversion) -> Converted:
    """A ControlNet with or without motion blocks, in LDM names."""
    weights = read_video_controlnet(file)
    if weights.metadata.get("config"):
        metadata = {
            **beside(file),
            **{key: weights.metadata[key] for key in ("format", "format_version", "config")},
        }
    else:
        inside = without_prefix(weights.state_dict, "motion.")
        layout = motion_config(file.name, inside, {}) if inside else None
        config = {"unet": SD15_UNET, "motion": None if layout is None else asdict(layout)}
        metadata = write_config(CONTROL_FORMAT, config, extra=beside(file))
    return Converted(
        state_dict=weights.state_dict, metadata=metadata, notes=(weights.version,), left_out=weights.left_out
    )


def guider(file: WeightsFile, choice: Conversion) -> Converted:
    """An IP-Adapter as one branch or both, or a Content Guider once more."""
    weights = read_content_guider(file, branch=choice.branch, variant=choice.variant)
    metadata = content_guider_metadata(weights.config, extra=beside(file))
    return Converted(
        state_dict=weights.tensors(),
        metadata=metadata,
        notes=(f"taken for {weights.version}.", *weights.notes),
        left_out=weights.left_out,
    )


def beside(file: WeightsFile) -> dict[str, str]:
    """The old file's words for people, without what belongs to its format."""
    return {key: value for key, value in file.metadata.items() if key not in OWN_KEYS}
