"""Puts motion blocks into ComfyUI's U-Net for the duration of one call, and takes them out again.

A block stands after the last spatial attention of its container, else after the residual block, and so before any
resampling; in the middle block before the second residual block. The containers get their own dictionaries back:
nothing that ComfyUI or another pack does between two calls can see us. AnimateDiff v1's norms across frames come and go
the same way (`clip_norms.py`). Hidden states are `(b f) c h w`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import comfy.model_base
import comfy.model_patcher
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, ResBlock, UNetModel, Upsample
from torch import Tensor, nn

from ..errors import InputError, WeightsError
from ..models.backend import Backend
from ..models.motion import MotionConfig, MotionModel, MotionModule
from .block_strengths import EVEN, BlockStrengths
from .clip_norms import ClipNorm, Lent, put_clip_norms

Host = comfy.model_patcher.ModelPatcher | comfy.model_base.BaseModel | UNetModel


class InsertedMotion(nn.Module):
    """What stands in the U-Net: a motion block and the settings of the present call.

    The frame count is an attribute set from outside, because ComfyUI's torch.compile node watches attributes but not
    what is read from `transformer_options`.
    """

    def __init__(self, block: MotionModule, group: str):
        super().__init__()
        self.block = block
        self.group = group  # one of block_strengths.GROUPS
        self.num_frames = 1
        self.effect: float | Tensor = 1.0
        self.scale: float | Tensor = 1.0
        self.span: int | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        return self.block(
            hidden, num_frames=self.num_frames, scale=self.scale, effect=self.effect, span=self.span
        )


class InsertableMotion(MotionModel):
    """A MotionModel with its adapters in the order in which the U-Net runs; they are no children, so keys stay AnimateDiff's."""

    def __init__(self, config: MotionConfig, backend: Backend | None = None):
        super().__init__(config, backend)
        levels = {f"down_{i}": level for i, level in enumerate(self.down_blocks)}
        levels |= {"mid": self.mid_block} if self.mid_block else {}
        levels |= {f"up_{i}": level for i, level in enumerate(self.up_blocks)}
        self.adapters = tuple(
            InsertedMotion(block, group) for group, level in levels.items() for block in level.motion_modules
        )
        self.clip_norms: tuple[
            ClipNorm, ...
        ] = ()  # made when first asked for, then kept: torch.compile watches them

    def groups(self) -> set[str]:
        return {adapter.group for adapter in self.adapters}


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A place for one block: in `container`, before its child number `position`; `channels` wide."""

    container: nn.Sequential
    position: int
    channels: int


def unet_of(host: Host) -> UNetModel:
    """The U-Net inside a MODEL, behind torch.compile too. Raises InputError for other kinds of network."""
    model = host.model if isinstance(host, comfy.model_patcher.ModelPatcher) else host
    unet = getattr(model, "diffusion_model", model)
    unet = getattr(unet, "_orig_mod", unet)
    if not hasattr(unet, "input_blocks") or not hasattr(unet, "output_blocks"):
        raise InputError(
            f"Motion blocks go into a Stable Diffusion 1.5 U-Net, got {type(unet).__name__}. "
            "Load a Stable Diffusion 1.5 checkpoint."
        )
    return unet


def find_slot(container: nn.Sequential, *, last: bool) -> Slot | None:
    """After the last spatial attention, else after the last (or first) residual block; None in any other container."""
    children = list(container)
    residual = [i for i, m in enumerate(children) if isinstance(m, ResBlock) and not m.updown]
    attention = [i for i, m in enumerate(children) if isinstance(m, SpatialTransformer)]
    if not residual:
        return None
    position = attention[-1] if attention else residual[-1 if last else 0]
    return Slot(container=container, position=position + 1, channels=children[residual[0]].out_channels)


def find_slots(unet: UNetModel) -> dict[str, list[Slot]]:
    """Places of the blocks on the way down, in the middle, and on the way up, by class and not by number."""
    down = [find_slot(container, last=True) for container in unet.input_blocks]
    up = [find_slot(container, last=True) for container in unet.output_blocks]
    mid = find_slot(unet.middle_block, last=False) if unet.middle_block is not None else None
    return {"down": [s for s in down if s], "mid": [mid] if mid else [], "up": [s for s in up if s]}


def matching_slots(unet: UNetModel, config: MotionConfig) -> list[Slot]:
    """One slot for every block of the motion model. Raises WeightsError where their widths differ."""
    slots = find_slots(unet)
    wanted = {
        "down": [width for level in config.down for width in level],
        "mid": [] if config.mid is None else [config.mid],
        "up": [width for level in config.up for width in level],
    }
    found = {part: [slot.channels for slot in slots[part]] for part in slots}
    if config.mid is None:
        found["mid"] = slots["mid"] = []
    if wanted != found:
        raise WeightsError(
            f"The motion model does not fit the U-Net. Its blocks are {describe(wanted)}; the U-Net wants {describe(found)}. "
            f"{advice(config, found)}"
        )
    return slots["down"] + slots["mid"] + slots["up"]


def describe(widths: dict[str, list[int]]) -> str:
    return ", ".join(f"{part} {'-'.join(map(str, widths[part])) or 'none'}" for part in ("down", "mid", "up"))


def advice(config: MotionConfig, found: dict[str, list[int]]) -> str:
    sdxl = [320, 320, 640, 640, 1280, 1280]
    if [width for level in config.down for width in level] == sdxl:
        return "This is an SDXL motion model: load one for Stable Diffusion 1.5."
    if found["down"] == sdxl:
        return "The checkpoint is SDXL: load a Stable Diffusion 1.5 checkpoint."
    return "Load a motion model that was trained for this U-Net."


@contextmanager
def open_insertion(
    host: Host,
    motion: InsertableMotion,
    *,
    num_frames: int,
    effect: float | Tensor = 1.0,
    scale: float | Tensor = 1.0,
    span: int | None = None,
    blocks: BlockStrengths = EVEN,
    norms_across_frames: bool = False,
) -> Iterator[None]:
    """While open, the U-Net runs its motion blocks over videos of `num_frames` frames.

    For training, keep it open until backward has ended; inside, use non-reentrant checkpoints only (core's own
    checkpoint flags give wrong gradients). `effect`, `scale` and `span` as in `MotionModule.forward`.
    """
    unet = unet_of(host)
    slots = matching_slots(unet, motion.config)
    lent: Lent = []
    try:
        for slot, adapter in zip(slots, motion.adapters, strict=True):
            adapter.num_frames, adapter.span = num_frames, span
            adapter.effect = blocks.of("strength", adapter.group, effect)
            adapter.scale = blocks.of("scale", adapter.group, scale)
            children = list(slot.container)
            children.insert(slot.position, adapter)
            lent.append((slot.container, slot.container._modules))
            slot.container._modules = {str(i): child for i, child in enumerate(children)}
        if norms_across_frames:
            motion.clip_norms = put_clip_norms(unet, motion.clip_norms, lent, num_frames=num_frames)
        yield
    finally:
        for container, children in lent:
            container._modules = children
        for wrapper in motion.clip_norms:
            wrapper.norm = None


def fitting_config(host: Host, *, mid: bool = True, **settings) -> MotionConfig:
    """The layout of a motion model for this U-Net, a level for each resolution; `settings` are MotionConfig's others."""
    unet = unet_of(host)

    def levels(blocks: nn.ModuleList, resample: type[nn.Module]) -> tuple[tuple[int, ...], ...]:
        found: list[list[int]] = [[]]
        for container in blocks:
            if slot := find_slot(container, last=True):
                found[-1].append(slot.channels)
            if any(isinstance(child, resample) for child in container):
                found.append([])
        return tuple(tuple(level) for level in found if level)

    middle = find_slots(unet)["mid"]
    return MotionConfig(
        down=levels(unet.input_blocks, Downsample),
        mid=middle[0].channels if mid and middle else None,
        up=levels(unet.output_blocks, Upsample),
        **settings,
    )
