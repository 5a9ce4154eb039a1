"""Every figure of one result of the quality benchmark against its truth. Clips: f h w c in [0, 1]."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..dreamoving_core.metrics.fidelity import background_error, color_error, psnr, ssim
from ..dreamoving_core.metrics.flicker import delta_flicker, motion_amplitude
from ..dreamoving_core.metrics.joints import expression_error, joint_error
from ..dreamoving_core.metrics.point_network import POINTS
from ..dreamoving_core.metrics.retrieval import distances
from ..dreamoving_core.metrics.sharpness import sharpness
from ..dreamoving_core.metrics.warp import warp_error
from ._quality_truth import CLOTHES, FACE, SCENES, Subject, candidates, scene_pictures

Scores = dict[str, float]


def scorecard(result: Tensor, subject: Subject) -> Scores:
    """All that the subject's own truth can tell."""
    truth, person = subject.truth, subject.truth.mask
    scores = {
        "psnr": psnr(result, truth.images),
        "psnr_person": psnr(result, truth.images, person),
        "ssim": ssim(result, truth.images),
        "background_error": background_error(result, truth.images, person),
        "cloth_error": color_error(result, truth.images, subject.part(CLOTHES)),
        "face_error": color_error(result, truth.images, subject.part(FACE)),
        "sharpness": sharpness(result),
        "sharpness_person": sharpness(result, mask=person),
    }
    if len(result) > 1:
        visible, flow = subject.visible, truth.flow
        scores |= {
            "warp_error": warp_error(result, flow, visible),
            "warp_error_person": warp_error(result, flow, visible, mask=person),
            "delta_flicker": delta_flicker(result, truth.images),
            "delta_flicker_person": delta_flicker(result, truth.images, mask=person),
            "motion_amplitude": motion_amplitude(result),
            "motion_amplitude_person": motion_amplitude(result, mask=person),
        }
    if subject.shot == "whole":
        scores["joint_error"] = joint_error(result, truth.keypoints)
    if subject.shot == "face" and truth.keypoints[:, POINTS["expression"], 2].bool().all(dim=1).any():
        errors = expression_error(result, truth.keypoints)
        scores |= {f"{name}_error": value for name, value in errors.items()}
    return {
        name: value for name, value in scores.items() if math.isfinite(value)
    }  # the truth's own PSNR is not


def scene_scores(result: Tensor, subject: Subject) -> Scores:
    """`caption`: 1 if the background is nearest to the right scene of all 64, else 0; place and light alone beside it."""
    pictures = scene_pictures(style=subject.style, size=subject.spec.size)
    outside = ~subject.truth.mask
    away = torch.stack([((result - p).abs().mean(-1) * outside).sum() / outside.sum() for p in pictures])
    own, found = subject.moments[0].scene, SCENES[int(away.argmin())]
    right = SCENES.index(own)
    return {
        "caption": float(found == own),
        "caption_place": float(found.place == own.place),
        "caption_light": float(found.light == own.light),
        "caption_rank": float((away < away[right]).sum()),
    }


def reference_scores(
    result: Tensor, subject: Subject, seeds: tuple[int, ...], *, branches: Sequence[str] = ("cloth", "face")
) -> Scores:
    """Whether the result is nearest to the clothes and the face that it was shown, among those of all `seeds`.

    The subject's `clothes_seed` and `face_seed` (its own seed if unset) are the right answers. `…_rank`: how many
    others are nearer.
    """
    scores, asked = {}, {"cloth": subject.clothes_seed, "face": subject.face_seed}
    for branch in branches:
        right = asked[branch]
        number = seeds.index(subject.seed if right is None else right)
        images, mask = candidates(subject, seeds, branch)
        away = distances(result[subject.few], list(images), mask)
        scores[f"{branch}_retrieval"] = float(int(away.argmin()) == number)
        scores[f"{branch}_rank"] = float((away < away[number]).sum())
    return scores
