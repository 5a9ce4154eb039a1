"""The detectors of `prepare`, opened once per process, and the files that hold what they found."""

import json
import os
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ...preprocess.depth_range import DepthRange, DepthSamples
from ...preprocess.depth_zoe import ZoeDepth, load_zoe, metric_depth
from ...preprocess.dwpose import ExtractSettings, PoseExtractor, open_extractor
from ...preprocess.pose_clip import PoseClip, write_clip
from ...video.clip_file import FileClip
from ...video.encode import encode_video

DEPTH_SIDE = 512  # [ours] pixels of the shorter side of depth pictures: no stage is trained on more
DEPTH_BATCH = 4
DIGITS = 2  # of a pixel in pose files


@dataclass(frozen=True, kw_only=True)
class ToolSettings:
    """Model files; without `points` no poses, crops and person filter, without `depth` no depth.

    `device` is "auto", or a key of onnxruntime's devices in `preprocess/onnx_session.py`; depth follows it.
    """

    detector: Path | None = None
    points: Path | None = None
    depth: Path | None = None
    device: str = "auto"


@dataclass(frozen=True, kw_only=True, eq=False)
class Tools:
    """Opened; what is None was not asked for."""

    extractor: PoseExtractor | None
    depth: ZoeDepth | None


@cache
def open_tools(settings: ToolSettings) -> Tools:
    """Raises WeightsError for files of another kind. A process opens its files once."""
    extractor = depth = None
    if settings.points is not None:
        extractor = open_extractor(
            settings.detector, settings.points, ExtractSettings(), device=settings.device
        )
    if settings.depth is not None:
        depth = load_zoe(settings.depth)
        gpu = settings.device in ("auto", "CUDA") and torch.cuda.is_available()
        depth.network.float().to("cuda" if gpu else "cpu").requires_grad_(False)
    return Tools(extractor=extractor, depth=depth)


def write_pose(path: Path, clip: PoseClip) -> None:
    """POSE_KEYPOINT as JSON, in hundredths of a pixel; whole or not at all."""
    frames = write_clip(clip)
    for frame in frames:
        for person in frame["people"]:
            person |= {key: [round(value, DIGITS) for value in values] for key, values in person.items()}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(frames, separators=(",", ":")), encoding="utf-8")
    os.replace(part, path)


def write_depth(path: Path, clip: FileClip, model: ZoeDepth, *, rate: str) -> None:
    """Depth pictures of the clip, near is bright, with one range for all of them."""
    samples, metres = DepthSamples(), []
    device = next(model.network.parameters()).device
    frames = clip.forward()
    while some := list(islice(frames, DEPTH_BATCH)):
        for depth in metric_depth(model, smaller(torch.stack(some)).to(device)).cpu():
            samples.add(depth)
            metres.append(depth.half())
    span = samples.range() if model.depth_range is None else DepthRange(*model.depth_range)
    pictures = (span.picture(depth.float())[..., None].expand(-1, -1, 3) for depth in metres)
    encode_video(path, pictures, format="mp4", frame_rate=rate, crf=10, preset="fast")


def smaller(pictures: Tensor) -> Tensor:
    """`f h w c` with a shorter side of at most DEPTH_SIDE, and even sides, which the codec wants."""
    height, width = pictures.shape[1:3]
    scale = min(1.0, DEPTH_SIDE / min(height, width))
    size = tuple(max(2, 2 * round(side * scale / 2)) for side in (height, width))
    if size == (height, width):
        return pictures
    small = functional.interpolate(rearrange(pictures, "f h w c -> f c h w"), size, mode="area")
    return rearrange(small, "f c h w -> f h w c")
