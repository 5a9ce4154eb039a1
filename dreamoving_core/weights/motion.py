"""Motion models: AnimateDiff's keys, with or without our metadata, in and out.

Accepted beside our own files: AnimateDiff v1, v2, v3 and what shares their layout (AnimateLCM, LongAnimateDiff),
diffusers' MotionAdapter, trainer checkpoints (`module.` and the whole U-Net around the blocks).
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

Betas = Literal["linear", "scaled_linear"]
NormMode = Literal["frame", "clip"]


@dataclass(frozen=True, kw_only=True)
class MotionInfo:
    """What a motion model's user wants to know, and Apply Motion's `auto` decides by."""

    name: str
    version: str  # in words: "AnimateDiff v3"
    betas: Betas = "linear"  # [AD] the noise schedule that it was trained with, by diffusers' names
    positions: int | None = None  # rows in the file; None: none stored, the formula serves
    trained_frames: int | None = None
    left_out: tuple[str, ...] = ()  # tensors of the file that belong to no motion block
    notes: tuple[str, ...] = ()
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class MotionWeights:
    """A motion model ready to be built: `MotionModel(config).load_state_dict(state_dict)` fits strictly."""

    config: MotionConfig
    state_dict: StateDict
    info: MotionInfo


def read_motion(file: WeightsFile) -> MotionWeights:
    """Check and rename. Raises WeightsError for other kinds of files and for missing, extra or misshapen tensors."""
    expect(file.name, file.shapes, kinds=("motion_model",), wanted="an SD1.5 motion model (AnimateDiff)")
    settings = read_config(file.name, file.metadata, expected=FORMAT)
    state_dict, left_out = split_motion_keys(file.state_dict)
    adapter = is_motion_adapter(state_dict)
    if adapter:
        state_dict = from_motion_adapter(state_dict)
    config = motion_config(file.name, state_dict, settings)
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
    if (
        norm_mode not in get_args(NormMode)
        or betas not in get_args(Betas)
        or not isinstance(heads, int)
        or heads < 1
    ):
        raise WeightsError(
            f"The config in '{name}' says num_heads {heads!r}, norm_mode {norm_mode!r}, betas {betas!r}; expected are "
            f"a whole number, one of {get_args(NormMode)}, one of {get_args(Betas)}. "
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
    """Version in words, by mid block and position rows, and what cannot be known from the tensors."""
    tables = [t.shape[1] for key, t in state_dict.items() if key.endswith(".pos_encoder.pe")]
    rows = max(tables, default=None)
    notes: tuple[str, ...] = ()
    if settings:
        version = "DreaMoving motion model"
    elif config.mid is not None:
        version = (
            "AnimateDiff v2" if rows == 32 else f"AnimateDiff v2 layout, {rows or 'no'} positions stored"
        )
        if rows is None:
            notes = (
                "No positions in the file, as in AnimateLCM. An LCM needs its sampler: lcm, 4 to 8 steps, cfg 1 to 2.",
            )
    else:
        version = {24: "AnimateDiff v1", 32: "AnimateDiff v3"}.get(rows or 0, "AnimateDiff v3 layout")
        if rows == 24:
            notes = (
                "AnimateDiff v1 was run with its U-Net's norms across frames; here they work within each frame.",
            )
    if adapter:
        version += ", diffusers names"
    return MotionInfo(
        name=file.name,
        version=version,
        betas=settings.get("betas", "linear"),
        positions=rows,
        trained_frames=settings.get("trained_frames"),
        notes=notes,
        metadata=dict(file.metadata),
    )


def motion_metadata(
    config: MotionConfig,
    *,
    betas: Betas = "linear",
    trained_frames: int | None = None,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The metadata of our own motion file; its tensors are the model's state dict as it is."""
    settings = {**asdict(config), "betas": betas, "trained_frames": trained_frames}
    return write_config(FORMAT, settings, extra=extra)
