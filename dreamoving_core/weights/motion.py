"""Motion models: AnimateDiff's keys, with or without our metadata, in and out.

Accepted beside our own files: AnimateDiff v1, v2, v3 and what shares their layout (AnimateLCM, AnimateDiff-Lightning,
LongAnimateDiff), diffusers' MotionAdapter, trainer checkpoints (`module.` and the whole U-Net around the blocks).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import torch

from ..errors import WeightsError
from ..models.backend import Backend
from ..models.motion import MotionConfig, MotionModel, config_from_state_dict
from .formats import expect, read_config, refuse_unfit, write_config
from .io import WeightsFile
from .keymaps import StateDict, from_motion_adapter, is_motion_adapter, split_motion_keys

FORMAT = "dreamoving.motion"

Betas = Literal["linear", "scaled_linear", "lcm"]
NormMode = Literal["frame", "clip"]

LCM_ROWS = 64  # [AnimateLCM] its code makes so many rows; the file stores none
LIGHTNING = (
    "Tensors cannot tell it from AnimateDiff-Lightning, which runs the same way here but wants its own number of steps "
    "(1, 2, 4 or 8) with euler, sgm_uniform and cfg 1."
)
LCM = (
    "No positions in the file, hence taken for AnimateLCM: auto sets LCM noise. Use sampler lcm, scheduler sgm_uniform, "
    "4 to 8 steps, cfg 1 to 2, and its LoRA on the base model."
)
ADAPTER_LCM = (
    "No positions in the file. If it is AnimateLCM, set beta_schedule to lcm: its tensors do not tell."
)
V1 = (
    "24 positions and no middle block, hence taken for AnimateDiff v1: auto lets the U-Net's norms work across frames, as "
    "its authors do. For a later model with that layout set norms_across_frames to off."
)
V3 = "A v1 with longer positions looks the same; for that set norms_across_frames to on."


@dataclass(frozen=True, kw_only=True)
class MotionInfo:
    """What a motion model's user wants to know, and Apply Motion's `auto` decides by."""

    name: str
    version: str  # in words: "AnimateDiff v3"
    # [AD] the noise that it was trained with, by diffusers' names; "lcm": linear betas on AnimateLCM's grid
    betas: Betas = "linear"
    unet_norms: NormMode = "frame"  # [AD] the U-Net's own norms in training: "clip" in v1
    positions: int | None = None  # rows in the file; None: none stored, the formula serves
    trained_frames: int | None = None
    left_out: tuple[str, ...] = ()  # tensors of the file that belong to no motion block
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] | None = None

    @property
    def span(self) -> int:
        """Frames that its positions were made for: what `stretch` squeezes a longer clip into."""
        return self.trained_frames or self.positions or LCM_ROWS


@dataclass(frozen=True, kw_only=True)
class MotionWeights:
    """A motion model ready to be built: `MotionModel(config).load_state_dict(state_dict)` fits strictly."""

    config: MotionConfig
    state_dict: StateDict
    info: MotionInfo


def read_motion(file: WeightsFile, *, norm_mode: NormMode | None = None) -> MotionWeights:
    """Check and rename; `norm_mode` over what the file says.

    Raises WeightsError for other kinds of files and for missing, extra or misshapen tensors.
    """
    expect(file.name, file.shapes, kinds=("motion_model",), wanted="an SD1.5 motion model (AnimateDiff)")
    settings = read_config(file.name, file.metadata, expected=FORMAT)
    state_dict, left_out = split_motion_keys(file.state_dict, name=f"'{file.name}'")
    adapter = is_motion_adapter(state_dict)
    if adapter:
        state_dict = from_motion_adapter(state_dict)
    config = motion_config(file.name, state_dict, settings)
    config = replace(config, norm_mode=norm_mode or config.norm_mode)
    refuse_misfit(file.name, config, state_dict)
    info = describe(file, state_dict, config, settings=settings, adapter=adapter)
    return MotionWeights(config=config, state_dict=state_dict, info=replace(info, left_out=tuple(left_out)))


def motion_config(name: str, state_dict: StateDict, settings: Mapping[str, Any]) -> MotionConfig:
    """Layout from the tensors; heads and `norm_mode`, which leave no trace in them, from our metadata.

    Raises WeightsError for settings that make no sense.
    """
    heads = settings.get("num_heads", MotionConfig.num_heads)
    norm_mode = settings.get("norm_mode", MotionConfig.norm_mode)
    betas = settings.get("betas", MotionInfo.betas)
    unet_norms = settings.get("unet_norms", MotionInfo.unet_norms)
    if (
        norm_mode not in get_args(NormMode)
        or unet_norms not in get_args(NormMode)
        or betas not in get_args(Betas)
        or not isinstance(heads, int)
        or heads < 1
    ):
        raise WeightsError(
            f"The config in '{name}' says num_heads {heads!r}, norm_mode {norm_mode!r}, unet_norms {unet_norms!r}, "
            f"betas {betas!r}; expected are a whole number, twice one of {get_args(NormMode)}, one of {get_args(Betas)}. "
            "Update DreaMoving, or download the file again."
        )
    return config_from_state_dict(state_dict, num_heads=heads, norm_mode=norm_mode)


def refuse_misfit(name: str, config: MotionConfig, state_dict: StateDict) -> None:
    """Raise WeightsError unless the tensors are those of `config`, no more and no less; position tables are free."""
    found = {key: tuple(t.shape) for key, t in state_dict.items() if not key.endswith(".pos_encoder.pe")}
    blank = MotionModel(config, Backend(device=torch.device("meta")))
    wanted = {key: tuple(t.shape) for key, t in blank.state_dict().items()}
    refuse_unfit(name, wanted, found)
    for key, table in state_dict.items():
        if key.endswith(".pos_encoder.pe"):
            weight = state_dict[key.removesuffix("pos_encoder.pe") + "to_q.weight"]
            if table.ndim != 3 or table.shape[0] != 1 or table.shape[2] != weight.shape[1]:
                raise WeightsError(
                    f"'{name}' does not fit: the positions '{key}' have shape {list(table.shape)}, expected "
                    f"[1, frames, {weight.shape[1]}]. Download it again, or choose another version."
                )


def describe(
    file: WeightsFile,
    state_dict: StateDict,
    config: MotionConfig,
    *,
    settings: Mapping[str, Any],
    adapter: bool,
) -> MotionInfo:
    """Version, noise and norms: from our metadata, else from mid block and position rows. `notes` state assumptions."""
    tables = [t.shape[1] for key, t in state_dict.items() if key.endswith(".pos_encoder.pe")]
    rows = max(tables, default=None)
    if settings:
        version, betas = "DreaMoving motion model", settings.get("betas", MotionInfo.betas)
        unet_norms, notes = settings.get("unet_norms", MotionInfo.unet_norms), ()
    else:
        version, betas, unet_norms, notes = assumptions(rows, mid=config.mid is not None, adapter=adapter)
    return MotionInfo(
        name=file.name,
        version=version,
        betas=betas,
        unet_norms=unet_norms,
        positions=rows,
        trained_frames=settings.get("trained_frames"),
        notes=notes,
        metadata=dict(file.metadata),
    )


def assumptions(
    rows: int | None, *, mid: bool, adapter: bool
) -> tuple[str, Betas, NormMode, tuple[str, ...]]:
    """What public files with so many position rows are taken for: version, betas, the U-Net's norms, notes. [AD]"""
    names = ", diffusers names" if adapter else ""
    if mid and rows is None and not adapter:
        return "AnimateLCM", "lcm", "frame", (LCM,)
    if mid and rows == 32:
        return "AnimateDiff v2" + names, "linear", "frame", (LIGHTNING,)
    if mid and rows in (64, 128):
        return f"LongAnimateDiff, {rows} positions" + names, "linear", "frame", ()
    if mid and rows is None:
        return f"AnimateDiff v2 layout, no positions stored{names}", "linear", "frame", (ADAPTER_LCM,)
    if mid:
        return f"AnimateDiff v2 layout, {rows} positions stored" + names, "linear", "frame", ()
    if rows == 24:
        return "AnimateDiff v1" + names, "linear", "clip", (V1,)
    version = "AnimateDiff v3" if rows == 32 else "AnimateDiff v3 layout"
    return version + names, "linear", "frame", (V3,)


def motion_metadata(
    config: MotionConfig,
    *,
    betas: Betas = "linear",
    unet_norms: NormMode = "frame",
    trained_frames: int | None = None,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The metadata of our own motion file; its tensors are the model's state dict as it is."""
    settings = {**asdict(config), "betas": betas, "unet_norms": unet_norms, "trained_frames": trained_frames}
    return write_config(FORMAT, settings, extra=extra)
