"""Scores of a demo's result against the renderer's truth. Clips: f h w c in [0, 1]; every mask is the truth's."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..dreamoving_core.metrics.fidelity import background_error, color_error, psnr
from ..dreamoving_core.metrics.flicker import flicker
from ..dreamoving_core.metrics.silhouette import iou, silhouette
from ..dreamoving_core.procdance.clip import Clip, ClipSpec, moments, render_clip
from ..dreamoving_core.procdance.render import LABELS
from ..dreamoving_core.procdance.scene import draw_scene

OTHER_DANCE = 500_009  # added to a seed: another dance by the same person
OTHER_PERSON = 700_001  # added to a seed: somebody else's pictures


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a perfect model would show, the same person in another dance, and the empty scene."""

    clip: Clip
    other_dance: Clip
    background: Tensor  # h w c

    def part(self, *names: str) -> Tensor:
        """Pixels of these parts, `f h w`."""
        numbers = torch.tensor([LABELS.index(name) for name in names])
        return torch.isin(self.clip.labels, numbers.to(self.clip.labels.dtype))


def demo_spec(seed: int, *, frames: int, dance_seed: int | None = None) -> ClipSpec:
    """The clip that Sample Clip draws with its defaults."""
    return ClipSpec(seed=seed, split="held_out", num_frames=frames, dance_seed=dance_seed)


def truth_of(seed: int, *, frames: int) -> Truth:
    """The truth of a demo seed."""
    spec = demo_spec(seed, frames=frames)
    scene = moments(spec)[0].scene
    return Truth(
        clip=render_clip(spec),
        other_dance=render_clip(demo_spec(seed, frames=frames, dance_seed=seed + OTHER_DANCE)),
        background=draw_scene(scene, style=spec.style, size=spec.size),
    )


def person_psnr(result: Tensor, truth: Truth) -> float:
    """Peak signal-to-noise ratio over the pixels of the true person."""
    return psnr(result, truth.clip.images, truth.clip.mask)


def cloth_error(result: Tensor, truth: Truth) -> float:
    """Mean absolute RGB difference on top and bottom."""
    return color_error(result, truth.clip.images, truth.part("top", "bottom"))


def face_error(result: Tensor, truth: Truth) -> float:
    """Mean absolute RGB difference on hair and skin."""
    return color_error(result, truth.clip.images, truth.part("hair", "skin"))


def scorecard(result: Tensor, truth: Truth, *, background: Tensor) -> dict[str, float]:
    """Every figure of one result. `background` is the empty scene as the autoencoder shows it: `h w c`."""
    shape = silhouette(result, background)
    return {
        "psnr": psnr(result, truth.clip.images),
        "psnr_person": person_psnr(result, truth),
        "pose_iou": iou(shape, truth.clip.mask),
        "pose_iou_other_pose": iou(shape, truth.other_dance.mask),
        "background_error": background_error(result, truth.clip.images, truth.clip.mask),
        "cloth_error": cloth_error(result, truth),
        "face_error": face_error(result, truth),
        "flicker": flicker(result, truth.clip.images),
    }
