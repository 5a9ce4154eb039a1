"""Depth pictures of a clip: ZoeDepth in ComfyUI's care, frames streamed, one range of depth for the whole clip."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import comfy.model_management
import comfy.model_patcher
import torch
from comfy_api.latest import Input
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError
from ..preprocess.depth_range import CUT_FAR, CUT_NEAR, DepthRange, DepthSamples
from ..preprocess.depth_zoe import ZoeDepth, load_zoe, metric_depth
from .depth_files import depth_model_path
from .output import watched
from .video_clip import open_clip

log = logging.getLogger(__name__)

RANGES = ("auto", "of the clip")
BYTES_PER_PIXEL = (
    4000  # of the network's picture while it runs: 2,738 counted at full size, and room for kernels
)


@dataclass(frozen=True, kw_only=True)
class DepthSettings:
    """`span` "auto": the range that the model's file fixes, else of the clip. Cuts in percent of the pixels. `max_size` in pixels, 0: none."""

    span: str = "auto"
    cut_near: float = CUT_NEAR
    cut_far: float = CUT_FAR
    mirror: bool = True
    max_size: int = 2048
    batch_size: int = 4


@dataclass(frozen=True, kw_only=True)
class LoadedDepth:
    """A depth model and the patcher that brings it to the GPU and away again."""

    model: ZoeDepth
    patcher: comfy.model_patcher.ModelPatcher


class Hosted(nn.Module):
    """A network of transformers in a patcher's hands: ComfyUI writes `device` on what it moves, they only let it be read."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


def load_depth_model(name: str) -> LoadedDepth:
    """A model of the list, in single precision as its authors run it: its bins don't survive half."""
    model = load_zoe(depth_model_path(name))
    model.network.float().requires_grad_(False)
    patcher = comfy.model_patcher.ModelPatcher(
        Hosted(model.network),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    return LoadedDepth(model=model, patcher=patcher)


def extract_depth(frames: Tensor | Input.Video, loaded: LoadedDepth, settings: DepthSettings) -> Tensor:
    """Depth pictures `f h w 3` in [0, 1], near is bright: frame n of the clip is frame n.

    A VIDEO is read frame by frame. Until the range is known, metres are kept: a third of the result's memory.
    """
    samples, metres = DepthSamples(), []
    for depth in clip_depth(frames, loaded, settings):
        samples.add(depth)
        metres.append(depth)
    span = depth_span(loaded.model, samples, settings)
    pictures = torch.empty(len(metres), *metres[0].shape, 3)
    for picture in pictures:
        picture.copy_(span.picture(metres.pop(0))[..., None])
    return pictures


def depth_span(model: ZoeDepth, samples: DepthSamples, settings: DepthSettings) -> DepthRange:
    """What white and black stand for."""
    if settings.span == "auto" and model.depth_range is not None:
        return DepthRange(*model.depth_range)
    span = samples.range(cut_near=settings.cut_near, cut_far=settings.cut_far)
    if span.near == span.far:
        log.warning("DreaMoving: the depth of this clip is the same everywhere; its pictures are plain grey.")
    return span


def clip_depth(
    frames: Tensor | Input.Video, loaded: LoadedDepth, settings: DepthSettings
) -> Iterator[Tensor]:
    """Metres `h w` of every frame, on the CPU. Stops when the user cancels."""
    clip = open_clip(frames)
    patcher = loaded.patcher
    watching = watched(clip.forward(), total=clip.num_frames)
    for some in batches(watching, settings.batch_size):
        pictures = fitted(torch.stack(some), settings.max_size)
        needed = len(pictures) * network_pixels(loaded.model, pictures) * BYTES_PER_PIXEL
        comfy.model_management.load_models_gpu([patcher], memory_required=needed)
        depth = metric_depth(loaded.model, pictures.to(patcher.load_device), mirror=settings.mirror)
        yield from depth.cpu()


def batches(frames: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    """`size` frames at a time; fewer at the end."""
    frames = iter(frames)
    while some := list(islice(frames, size)):
        yield some


def fitted(pictures: Tensor, max_size: int) -> Tensor:
    """`f h w c` of which 3 channels are colour, to `f h w 3`: numbers that are none are black, and no side is longer than `max_size`."""
    if pictures.shape[-1] < 3:
        raise InputError(
            f"Depth is seen in colour pictures, got {pictures.shape[-1]} channel(s). Connect the video itself."
        )
    pictures = pictures[..., :3].float().nan_to_num().clamp(0, 1)
    height, width = pictures.shape[1:3]
    scale = max_size / max(height, width)
    if not max_size or scale >= 1:
        return pictures
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    small = functional.interpolate(rearrange(pictures, "f h w c -> f c h w"), size, mode="area")
    return rearrange(small, "f c h w -> f h w c")


def network_pixels(model: ZoeDepth, pictures: Tensor) -> int:
    """How many pixels of a picture the network looks at."""
    height, width = model.settings.network_size(*pictures.shape[1:3])
    return height * width
