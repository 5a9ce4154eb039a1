"""Anyone's videos against the true ones, frame by frame: little of a clip is in memory at a time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..video.decode import read_frames
from .fidelity import psnr, ssim
from .flicker import delta_flicker, motion_amplitude
from .judges import Judges
from .lpips import lpips, why_not
from .sharpness import sharpness

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".webp", ".m4v", ".png")
SMALLEST_SSIM = 11  # pixels, its window


def clips_in(folder: Path) -> dict[str, Path]:
    """The videos of a folder, and its folders of numbered PNG pictures, by name without suffix.

    A folder that holds pictures itself is one clip. Raises InputError for what is no folder, or holds neither.
    """
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {folder}. Give a folder with videos, or with numbered PNG pictures."
        )
    if any(folder.glob("*.png")):
        return {".": folder}
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if (path.is_dir() and any(path.glob("*.png"))) or path.suffix.lower() in SUFFIXES:
            if path.stem in found:
                raise InputError(
                    f"{folder} holds '{path.stem}' twice: {found[path.stem].name} and {path.name}. Keep one."
                )
            found[path.stem] = path
    if not found:
        raise InputError(f"{folder} holds no videos ({', '.join(SUFFIXES)}) and no folders of PNG pictures.")
    return found


def pairs_in(folder: Path, truth: Path | None) -> dict[str, tuple[Path, Path | None]]:
    """Every clip with the true one of the same name. Raises InputError when a clip has none."""
    clips = clips_in(folder)
    if truth is None:
        return {name: (path, None) for name, path in clips.items()}
    true = clips_in(truth)
    if set(clips) == {"."} != set(true) and len(true) == 1:
        return {".": (folder, next(iter(true.values())))}
    missing = [name for name in clips if name not in true]
    if missing:
        raise InputError(
            f"{truth} has nothing called {', '.join(missing[:5])}. A clip and its truth need the same name; there are: "
            f"{', '.join(list(true)[:5])}."
        )
    return {name: (path, true[name]) for name, path in clips.items()}


@dataclass
class Sums:
    """Means that grow frame by frame: squared values are averaged before the root, decibels after the logarithm."""

    totals: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.totals[name] = self.totals.get(name, 0.0) + value
        self.counts[name] = self.counts.get(name, 0) + 1

    def mean(self, name: str) -> float:
        return self.totals[name] / self.counts[name]


def compare(clip: Path, truth: Path | None, judges: Judges) -> tuple[dict[str, float], list[str]]:
    """Figures of one clip, and what was left out and why. InputError when the frames do not match.

    Without a truth: `sharpness` and `motion_amplitude`. With it also `psnr` (all frames at once, on floats), `ssim`,
    `lpips`, `delta_flicker`, and both of the former relative to the truth's (1 is as sharp, as lively).
    """
    sums, notes, before = Sums(), [], None
    for number, frames in enumerate(_together(clip, truth)):
        if number == 0:
            notes = left_out(frames)
        for name, value in single(frames).items():
            sums.add(name, value)
        if before is not None:
            for name, value in change(before, frames).items():
                sums.add(name, value)
        before = frames
        if len(frames) == 2:
            for name, value in against(*frames, judges).items():
                sums.add(name, value)
    if "motion" not in sums.totals:
        notes.append("one frame alone has no motion, so there is no flicker and no amplitude")
    return results(sums), notes


def left_out(frames: tuple[Tensor, ...]) -> list[str]:
    """What cannot be told for frames of this size on this machine."""
    height, width = frames[0].shape[:2]
    notes = [why_not(height, width)] if len(frames) == 2 else []
    if len(frames) == 2 and min(height, width) < SMALLEST_SSIM:
        notes.append(f"SSIM is left out: it needs frames of at least {SMALLEST_SSIM} pixels.")
    return [note for note in notes if note]


def single(frames: tuple[Tensor, ...]) -> dict[str, float]:
    """Of one frame of the clip and, if there is one, of the truth: the sharpness squared."""
    names = ("sharpness", "true_sharpness")
    return {name: sharpness(frame[None]) ** 2 for name, frame in zip(names, frames, strict=False)}


def against(frame: Tensor, true: Tensor, judges: Judges) -> dict[str, float]:
    """One frame against the true one."""
    decibels = psnr(frame[None], true[None])
    values = {"error": 0.0 if math.isinf(decibels) else 10 ** (-decibels / 10)}
    height, width = frame.shape[:2]
    if min(height, width) >= SMALLEST_SSIM:
        values["ssim"] = ssim(frame[None], true[None])
    if why_not(height, width) is None:
        values["lpips"] = float(lpips(judges.lpips, frame[None], true[None])[0])
    return values


def change(before: tuple[Tensor, ...], now: tuple[Tensor, ...]) -> dict[str, float]:
    """From one frame to the next: squares of motion, the truth's motion, and what the truth does not do."""
    clips = [torch.stack(pair) for pair in zip(before, now, strict=True)]
    names = ("motion", "true_motion")
    values = {name: motion_amplitude(clip) ** 2 for name, clip in zip(names, clips, strict=False)}
    if len(clips) == 2:
        values["flicker"] = delta_flicker(*clips) ** 2
    return values


def results(sums: Sums) -> dict[str, float]:
    """The figures by the names that the report uses."""
    found = {}
    for name, squares in (
        ("sharpness", "sharpness"),
        ("motion_amplitude", "motion"),
        ("delta_flicker", "flicker"),
    ):
        if squares in sums.totals:
            found[name] = math.sqrt(sums.mean(squares))
    for name, own, true in (
        ("sharpness_ratio", "sharpness", "true_sharpness"),
        ("motion_ratio", "motion", "true_motion"),
    ):
        if true in sums.totals and sums.totals[true] > 0:
            found[name] = math.sqrt(sums.totals[own] / sums.totals[true])
    if "error" in sums.totals:
        error = sums.mean("error")
        found["psnr"] = math.inf if error == 0 else -10 * math.log10(error)
    return found | {name: sums.mean(name) for name in ("ssim", "lpips") if name in sums.totals}


def _together(clip: Path, truth: Path | None) -> Iterator[tuple[Tensor, ...]]:
    """Frames side by side. Raises InputError when one clip ends first, or the sizes differ."""
    if truth is None:
        yield from ((frame,) for frame in read_frames(clip))
        return
    ours, true = read_frames(clip), read_frames(truth)
    for number, frame in enumerate(ours):
        other = next(true, None)
        if other is None:
            raise InputError(
                f"{clip} has more frames than {truth}, which ends after {number}. Cut both to one length."
            )
        if frame.shape != other.shape:
            sizes = [f"{image.shape[1]} x {image.shape[0]}" for image in (frame, other)]
            raise InputError(f"{clip} is {sizes[0]} pixels and {truth} {sizes[1]}. Bring both to one size.")
        yield frame, other
    if next(true, None) is not None:
        raise InputError(f"{clip} ends after {number + 1} frames, {truth} goes on. Cut both to one length.")
