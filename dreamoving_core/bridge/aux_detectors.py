"""controlnet_aux's detectors on a clip, in ComfyUI's care: frames streamed, on its device, stopped when the user cancels."""

from dataclasses import dataclass

import comfy.model_management
import comfy.model_patcher
import torch
from comfy_api.latest import Input
from torch import Tensor

from ..preprocess.aux_detectors import AuxDetector, aux_depth, aux_folder, aux_people, clip_of, load_aux
from ..preprocess.depth_range import CUT_FAR, CUT_NEAR, DepthSamples
from ..preprocess.draw_pose import draw_pose
from ..preprocess.pose_clip import write_clip
from .depth import fitted
from .depth_files import model_roots
from .output import watched
from .video_clip import frame_size, open_clip


@dataclass(frozen=True, kw_only=True)
class AuxSettings:
    """`resolution`: shorter side in pixels at which frames are looked at; cuts in percent of the pixels."""

    resolution: int = 512
    cut_near: float = CUT_NEAR
    cut_far: float = CUT_FAR


def run_aux(kind: str, frames: Tensor | Input.Video, settings: AuxSettings) -> tuple[Tensor, list[dict]]:
    """Pictures `f h w 3` for a ControlNet, and POSE_KEYPOINT: without people when the detector sees depth."""
    detector = load_aux(kind, aux_folder(kind, model_roots()))
    patcher = comfy.model_patcher.ModelPatcher(
        detector.modules,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    comfy.model_management.load_models_gpu([patcher])
    clip = open_clip(frames)
    watching = watched((fitted(frame[None], 0)[0] for frame in clip.forward()), total=clip.num_frames)
    if kind == "OpenPose":
        people = [aux_people(detector, frame, resolution=settings.resolution) for frame in watching]
        width, height = frame_size(frames)
        keypoints = write_clip(clip_of(people, width=width, height=height))
        return draw_pose(keypoints, width=width, height=height), keypoints
    pictures = depth_pictures(detector, watching, settings)
    return pictures, [empty_pose(*pictures.shape[1:3]) for _ in pictures]


def depth_pictures(detector: AuxDetector, frames, settings: AuxSettings) -> Tensor:
    """Depth of all frames with one range."""
    samples, depths = DepthSamples(), []
    for frame in frames:
        depths.append(aux_depth(detector, frame, resolution=settings.resolution))
        samples.add(depths[-1])
    span = samples.range(cut_near=settings.cut_near, cut_far=settings.cut_far, inverse=detector.inverse)
    pictures = torch.empty(len(depths), *depths[0].shape, 3)
    for picture in pictures:
        picture.copy_(span.picture(depths.pop(0))[..., None])
    return pictures


def empty_pose(height: int, width: int) -> dict:
    """A frame without people."""
    return {"people": [], "canvas_width": width, "canvas_height": height}
