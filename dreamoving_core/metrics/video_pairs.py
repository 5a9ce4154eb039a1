"""Anyone's videos against the true ones, frame by frame, in the figures of the quality benchmark."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import InputError
from .clip_files import ClipFiles, Moment, moments
from .fidelity import background_error, color_error, psnr, ssim
from .flicker import delta_flicker, motion_amplitude
from .judges import Judges
from .lpips import lpips, why_not
from .optical_flow import SMALLEST as SMALLEST_FLOW
from .optical_flow import followed
from .pose_pairs import pose_figures
from .sharpness import sharpness
from .warp import warp_error

SMALLEST_SSIM = 11  # pixels, its window
ROOTED = ("sharpness", "motion_amplitude", "delta_flicker", "warp_error")  # squares are averaged first
RATIOS = {"sharpness": "sharpness_ratio", "motion_amplitude": "motion_ratio", "warp_error": "warp_ratio"}
PERSON, TRUE = "_person", "true_"

Part = tuple[str, float, float]  # a figure of one frame, or of two: its name, its value and its weight


@dataclass
class Means:
    """Weighted means that grow frame by frame: of squares before the root, of errors before the logarithm."""

    totals: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def add(self, parts: Iterator[Part]) -> None:
        for name, value, weight in parts:
            self.totals[name] = self.totals.get(name, 0.0) + value * weight
            self.weights[name] = self.weights.get(name, 0.0) + weight

    def figures(self) -> dict[str, float]:
        """By the names that the report uses; beside the truth's own also the ratio to it."""
        found = {name: finished(name, total / self.weights[name]) for name, total in self.totals.items()}
        ratios = {
            ratio: found[name] / found[TRUE + name]
            for name, ratio in RATIOS.items()
            if found.get(TRUE + name)
        }
        return {name: value for name, value in found.items() if not name.startswith(TRUE)} | ratios


def finished(name: str, mean: float) -> float:
    """A figure from the mean of its parts."""
    plain = name.removeprefix(TRUE).removesuffix(PERSON)
    if plain == "psnr":
        return math.inf if mean == 0 else -10 * math.log10(mean)
    return math.sqrt(mean) if plain in ROOTED else mean


def compare(files: ClipFiles, judges: Judges) -> tuple[dict[str, float], list[str]]:
    """Figures of one clip, and what was left out and why. What each means: `figure_words.py`.

    Raises InputError when the frames do not match, and for a mask that shows nobody.
    """
    means, before, notes = Means(), None, []
    for now in moments(files):
        if before is None:
            notes += left_out(now)
        else:
            means.add(change(before, now))
            means.add(along_flow(before, now))
        means.add(single(now))
        means.add(against(now, judges))
        before = now
    figures = means.figures()
    notes += missing(figures, files)
    if judges.poses is not None and files.truth is not None:
        joints, said = pose_figures(files.clip, files.truth, judges.poses)
        figures, notes = figures | joints, notes + said
    return figures, notes


def left_out(now: Moment) -> list[str]:
    """What cannot be told for frames of this size on this machine."""
    if now.true is None:
        return []
    height, width = now.ours.shape[:2]
    notes = [why_not(height, width)]
    if min(height, width) < SMALLEST_SSIM:
        notes.append(f"SSIM is left out: it needs frames of at least {SMALLEST_SSIM} pixels.")
    if max(height, width) < SMALLEST_FLOW:
        notes.append(f"The warp error is left out: it needs frames of at least {SMALLEST_FLOW} pixels.")
    return [note for note in notes if note]


def missing(figures: dict[str, float], files: ClipFiles) -> list[str]:
    """What this clip could not tell. InputError for a mask that shows nobody."""
    if files.mask is not None and "sharpness_person" not in figures:
        raise InputError(
            f"{files.mask} shows nobody: no pixel is half bright. The person must be white on black in it."
        )
    notes = []
    if "motion_amplitude" not in figures:
        notes.append("one frame alone has no motion, so there is no flicker, no warp error and no amplitude")
    if files.mask is not None and files.truth is not None and "background_error" not in figures:
        notes.append(f"{files.mask} is white everywhere, so there is no background_error")
    return notes


def single(now: Moment) -> Iterator[Part]:
    """Of one frame of the clip and of its truth: the sharpness squared."""
    yield "sharpness", sharpness(now.ours[None]) ** 2, 1
    if now.true is not None:
        yield "true_sharpness", sharpness(now.true[None]) ** 2, 1
    if now.person is not None and (weight := int(now.person[:-1, :-1].sum())):
        yield "sharpness_person", sharpness(now.ours[None], mask=now.person[None]) ** 2, weight


def against(now: Moment, judges: Judges) -> Iterator[Part]:
    """One frame against the true one; PSNR as the squared error."""
    if now.true is None:
        return
    pair = now.ours[None], now.true[None]
    yield "psnr", 10 ** (-psnr(*pair) / 10), 1
    height, width = now.ours.shape[:2]
    if min(height, width) >= SMALLEST_SSIM:
        yield "ssim", ssim(*pair), 1
    if why_not(height, width) is None:
        yield "lpips", float(lpips(judges.lpips, *pair)[0]), 1
    if now.person is None:
        return
    mask = now.person[None]
    if weight := int(mask.sum()):
        yield "psnr_person", 10 ** (-psnr(*pair, mask) / 10), weight
        yield "person_error", color_error(*pair, mask), weight
    if weight := int((~mask).sum()):
        yield "background_error", background_error(*pair, mask), weight


def change(before: Moment, now: Moment) -> Iterator[Part]:
    """From one frame to the next: squares of motion, the truth's motion, and what the truth does not do."""
    ours, true, person = (
        both(before.ours, now.ours),
        both(before.true, now.true),
        both(before.person, now.person),
    )
    weight = 0 if person is None else int(person.all(dim=0).sum())
    yield "motion_amplitude", motion_amplitude(ours) ** 2, 1
    if weight:
        yield "motion_amplitude_person", motion_amplitude(ours, mask=person) ** 2, weight
    if true is None:
        return
    yield "true_motion_amplitude", motion_amplitude(true) ** 2, 1
    yield "delta_flicker", delta_flicker(ours, true) ** 2, 1
    if weight:
        yield "delta_flicker_person", delta_flicker(ours, true, mask=person) ** 2, weight


def along_flow(before: Moment, now: Moment) -> Iterator[Part]:
    """What changes along the truth's estimated flow, of the clip and of the truth itself, squared."""
    if before.true is None or now.true is None or max(now.true.shape[:2]) < SMALLEST_FLOW:
        return
    flow, seen = followed(before.true, now.true)
    masks = {"": seen, PERSON: None if before.person is None else seen & before.person}
    for name, mask in masks.items():
        if mask is not None and (weight := int(mask.sum())):
            yield "warp_error" + name, warp_error(both(before.ours, now.ours), flow, mask) ** 2, weight
    if seen.any():
        yield "true_warp_error", warp_error(both(before.true, now.true), flow, seen) ** 2, int(seen.sum())


def both(before: Tensor | None, now: Tensor | None) -> Tensor | None:
    """A clip of two frames."""
    return None if before is None or now is None else torch.stack([before, now])
