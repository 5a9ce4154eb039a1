"""From rows to the figures of the must-show list: means with intervals, paired comparisons, bars, the worst clips."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..dreamoving_core.metrics.intervals import Interval, bootstrap
from ._quality_pairs import Values
from ._quality_rows import Rows, Runs

PLAIN = ("psnr", "psnr_person", "ssim", "joint_error", "cloth_error", "face_error", "background_error", "warp_error",
         "warp_error_person", "delta_flicker", "delta_flicker_person", "sharpness", "sharpness_person",
         "motion_amplitude", "motion_amplitude_person")  # fmt: skip
HIGHER_IS_BETTER = {"psnr", "psnr_person", "ssim", "cloth_retrieval", "face_retrieval", "caption_accuracy"}
TEMPORAL = ("warp_error", "warp_error_person", "delta_flicker", "delta_flicker_person")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a figure comes from: a metric of a variant ("full/32")."""

    variant: str
    metric: str


def sources(rows: Rows, *, frames: int, clip_frames: int, noise: str) -> Iterator[tuple[str, Source]]:
    """The figures' names, and what each is the mean of. Variants that were not measured give none."""
    whole, some = f"full/{clip_frames}", f"/{frames}"
    for metric in PLAIN:
        # the plain names of what moves are those of 16 frames, where motion is switched on and off
        yield f"{metric}_full" if metric in TEMPORAL else metric, Source(variant=whole, metric=metric)
        yield f"autoencoder_{metric}", Source(variant=f"autoencoder/{clip_frames}", metric=metric)
    truth = f"truth/{clip_frames}"
    yield "joint_error_floor", Source(variant=truth, metric="joint_error")
    yield "joint_error_autoencoder", Source(variant=f"autoencoder/{clip_frames}", metric="joint_error")
    mean = f"train_mean/{clip_frames}"
    yield "joint_error_mean_pose", Source(variant=mean, metric="joint_error_mean_pose")
    base = f"base{some}"
    for name in ("joint_error", "cloth_error", "face_error", "psnr_person"):
        yield f"{name}_base", Source(variant=base, metric=name)
        yield f"{name}_train_mean", Source(variant=mean, metric=name)
    for name in ("joint_error", "cloth_error", "face_error", "psnr_person", *TEMPORAL, "motion_amplitude"):
        yield f"{name}_background_alone", Source(variant=f"background_alone/{clip_frames}", metric=name)
    for name in ("joint_error", "cloth_error", "face_error", "psnr_person"):
        yield f"{name}_true_keypoints", Source(variant=f"true_keypoints{some}", metric=name)
    yield "psnr_person_wrong_pose", Source(variant=f"wrong_pose{some}", metric="psnr_person")
    for name in ("control_off", "wrong_pose", "depth", "pose_depth"):
        yield f"joint_error_{name}", Source(variant=name + some, metric="joint_error")
    yield (
        "joint_error_truth_of_another_dance",
        Source(variant=f"truth_of_another_dance/{clip_frames}", metric="joint_error"),
    )
    for name in ("cloth_error", "face_error"):
        yield f"{name}_autoencoder", Source(variant=f"autoencoder/{clip_frames}", metric=name)
        yield f"{name}_old_reference", Source(variant=f"old_colours/{clip_frames}", metric=name)
        yield f"{name}_other_base", Source(variant=f"other_base{some}", metric=name)
        yield f"{name}_other_reference_style", Source(variant=f"other_reference_style{some}", metric=name)
    yield "cloth_error_off", Source(variant=f"face_only{some}", metric="cloth_error")
    yield "face_error_off", Source(variant=f"cloth_only{some}", metric="face_error")
    yield "cloth_error_face_off", Source(variant=f"cloth_only{some}", metric="cloth_error")
    yield "face_error_cloth_off", Source(variant=f"face_only{some}", metric="face_error")
    for name in ("cloth_retrieval", "face_retrieval"):
        yield name, Source(variant=f"swapped{some}", metric=name)
        yield f"{name}_own", Source(variant=base, metric=name)
        yield f"{name}_alpha_0", Source(variant=f"text{some}", metric=name)
        yield f"{name}_autoencoder", Source(variant=f"autoencoder_swapped/{clip_frames}", metric=name)
        yield f"{name}_old_reference", Source(variant=f"old_reference/{clip_frames}", metric=name)
        yield f"{name}_train_mean", Source(variant=mean, metric=name)
    yield "caption_accuracy_own", Source(variant=base, metric="caption")
    yield "caption_accuracy", Source(variant=f"other_caption{some}", metric="caption")
    yield "caption_accuracy_place", Source(variant=f"other_caption{some}", metric="caption_place")
    yield "caption_accuracy_light", Source(variant=f"other_caption{some}", metric="caption_light")
    yield "caption_accuracy_autoencoder", Source(variant=f"autoencoder/{clip_frames}", metric="caption")
    yield "caption_accuracy_old_caption", Source(variant=f"old_caption/{clip_frames}", metric="caption")
    yield "caption_accuracy_train_mean", Source(variant=mean, metric="caption")
    yield from mode_sources(some)
    for length, mark in ((16, ""), (64, "_64")):
        yield from motion_sources(rows, length, mark, noise)
    face = {"": "face", "_stage3": "face_stage3", "_motion_off": "face_motion_off", "_floor": "truth_face"}
    face |= {"_beside_peer": "face", "_peer": "face_peer", "_another_dance": "another_face"}
    for mark, name in {**face, "_autoencoder": "autoencoder_face"}.items():
        for metric in ("expression_error", "mouth_error", "eyes_error", "brows_error"):
            yield metric + mark, Source(variant=name + some, metric=metric)
    for name in ("identity", "clip_only"):
        for metric in ("face_retrieval", "face_rank", "face_error"):
            yield f"{metric}_{name}", Source(variant=name + some, metric=metric)
    gallery = f"autoencoder_gallery{some}"
    yield "face_retrieval_gallery_autoencoder", Source(variant=gallery, metric="face_retrieval")
    for mark, own in (("", base), (f"_{noise}", f"motion_on_{noise}{some}")):
        for metric in (*PLAIN, "cloth_retrieval", "face_retrieval"):
            yield f"{metric}_peer{mark}", Source(variant=f"peer{mark}{some}", metric=metric)
            yield f"{metric}_beside_peer{mark}", Source(variant=own, metric=metric)
    yield "caption_accuracy_peer", Source(variant=f"peer{some}", metric="caption")
    yield "caption_accuracy_beside_peer", Source(variant=base, metric="caption")


def mode_sources(some: str) -> Iterator[tuple[str, Source]]:
    """Must-show 8: every mode's own figures, and the errors over alpha."""
    modes = {
        "text": "text",
        "face": "face_only",
        "cloth": "cloth_only",
        "face_cloth": "base",
        "image_only": "image_only",
    }
    for mode, variant in modes.items():
        for metric in ("joint_error", "cloth_error", "face_error", "background_error"):
            yield f"{metric}_mode_{mode}", Source(variant=variant + some, metric=metric)
    yield "caption_accuracy_mode_text", Source(variant=f"text{some}", metric="caption")
    alphas = {"0": "text", "0.25": "alpha_0.25", "0.5": "alpha_0.5", "0.75": "alpha_0.75", "1": "base"}
    for alpha, variant in alphas.items():
        for metric in ("cloth_error", "face_error"):
            yield f"{metric}_alpha_{alpha}", Source(variant=variant + some, metric=metric)


def motion_sources(rows: Rows, length: int, mark: str, noise: str) -> Iterator[tuple[str, Source]]:
    """Must-show 5. The plain names are the demo's own noise; the other kind's name stands at the end."""
    names = {"": "motion_on", "_motion_off": "motion_off", f"_{noise}": f"motion_on_{noise}",
             f"_motion_off_{noise}": f"motion_off_{noise}", "_floor": "autoencoder",
             "_control_motion_off": "control_motion_off", "_windows": "motion_windows"}  # fmt: skip
    extra = [v.split("/")[0] for v in rows.variants() if v.startswith("motion_") and v.endswith(f"/{length}")]
    names |= {f"_{v.removeprefix('motion_')}": v for v in extra if v not in names.values()}
    for name, variant in names.items():
        for metric in (
            *TEMPORAL,
            "sharpness",
            "motion_amplitude",
            "motion_amplitude_person",
            "joint_error",
            "psnr_person",
        ):
            prefix = metric if mark or metric in TEMPORAL else f"{metric}_16"
            yield f"{prefix}{name}{mark}", Source(variant=f"{variant}/{length}", metric=metric)


def figures(rows: Rows, **settings) -> tuple[dict[str, Interval], Values]:
    """Every figure with its interval, and the values behind it by clip and noise."""
    values: Values = {}
    for name, source in sources(rows, **settings):
        found = rows.scores(source.variant, source.metric)
        if found:
            values[name] = found
    return {name: bootstrap([[*runs.values()] for runs in v.values()]) for name, v in values.items()}, values


def worst(runs: Runs, metric: str, count: int = 3) -> Sequence[tuple[int, float]]:
    """The clips that do worst: (seed, mean of its runs)."""
    means = {clip: statistics.fmean(found.values()) for clip, found in runs.items()}
    return sorted(means.items(), key=lambda item: item[1], reverse=metric not in HIGHER_IS_BETTER)[:count]
