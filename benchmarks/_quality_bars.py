"""The bars of the must-show list, and what must miss them: each tells what was found, and whether it holds."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..dreamoving_core.metrics.intervals import Interval
from ._quality_figures import excess_cut, paired

Means = dict[str, float]
Values = dict[str, dict[int, list[float]]]
Check = tuple[str, tuple[str, ...], Callable[[Means], bool]]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One line of the report."""

    number: int  # in the must-show list of training; 0 is what preprocessing may cost
    text: str
    holds: bool


def joint_bar(m: Means, name: str = "joint_error") -> bool:
    return m[name] <= 1.5 * m["joint_error_floor"] + 0.02


CHECKS: tuple[tuple[int, Check], ...] = (
    (1, ("autoencoder_psnr at least 25 dB", ("autoencoder_psnr",), lambda m: m["autoencoder_psnr"] >= 25)),
    (1, ("psnr_person within 4 dB of the autoencoder's", ("psnr_person", "autoencoder_psnr_person"),
         lambda m: m["psnr_person"] >= m["autoencoder_psnr_person"] - 4)),
    (2, ("joint_error at most 1.5 of its floor plus 0.02", ("joint_error", "joint_error_floor"), joint_bar)),
    (2, ("joint_error_control_off at least 3 times joint_error, or 0.8 of the mean pose's",
         ("joint_error_base", "joint_error_control_off", "joint_error_mean_pose"),
         lambda m: m["joint_error_control_off"] >= min(3 * m["joint_error_base"], 0.8 * m["joint_error_mean_pose"]))),
    *((3, (f"{b}_error at most 2.0 of the autoencoder's", (f"{b}_error", f"{b}_error_autoencoder"),
           lambda m, b=b: m[f"{b}_error"] <= 2 * m[f"{b}_error_autoencoder"])) for b in ("cloth", "face")),
    *((3, (f"{b}_error at most 0.55 of {b}_error_off", (f"{b}_error_base", f"{b}_error_off"),
           lambda m, b=b: m[f"{b}_error_base"] <= 0.55 * m[f"{b}_error_off"])) for b in ("cloth", "face")),
    *((3, (f"{b}_retrieval at least 0.9", (f"{b}_retrieval",), lambda m, b=b: m[f"{b}_retrieval"] >= 0.9))
      for b in ("cloth", "face")),
    (3, ("the face leaves cloth_error within 15 %", ("cloth_error_base", "cloth_error_face_off"),
         lambda m: abs(m["cloth_error_base"] / m["cloth_error_face_off"] - 1) <= 0.15)),
    (3, ("the clothes leave face_error within 15 %", ("face_error_base", "face_error_cloth_off"),
         lambda m: abs(m["face_error_base"] / m["face_error_cloth_off"] - 1) <= 0.15)),
    (4, ("caption_accuracy at least 0.9", ("caption_accuracy",), lambda m: m["caption_accuracy"] >= 0.9)),
    (6, ("joint_error_depth at most 1.5 of joint_error", ("joint_error_depth", "joint_error_base"),
         lambda m: m["joint_error_depth"] <= 1.5 * m["joint_error_base"])),
    (6, ("joint_error_pose_depth at most 1.05 of the better",
         ("joint_error_pose_depth", "joint_error_depth", "joint_error_base"),
         lambda m: m["joint_error_pose_depth"] <= 1.05 * min(m["joint_error_depth"], m["joint_error_base"]))),
    *((7, (f"{b}_error{mark} at most 1.4 of {b}_error", (f"{b}_error{mark}", f"{b}_error_base"),
           lambda m, b=b, mark=mark: m[f"{b}_error{mark}"] <= 1.4 * m[f"{b}_error_base"]))
      for b in ("cloth", "face") for mark in ("_other_base", "_other_reference_style")),
    *((8, (f"mode {mode}: joint_error", (f"joint_error_mode_{mode}", "joint_error_floor"),
           lambda m, mode=mode: joint_bar(m, f"joint_error_mode_{mode}")))
      for mode in ("text", "face", "cloth", "face_cloth", "image_only")),
    *((8, (f"mode {mode}: {b}_error at most 2.0 of the autoencoder's and 0.55 of off",
           (f"{b}_error_mode_{mode}", f"{b}_error_autoencoder", f"{b}_error_off"),
           lambda m, mode=mode, b=b: m[f"{b}_error_mode_{mode}"]
           <= min(2 * m[f"{b}_error_autoencoder"], 0.55 * m[f"{b}_error_off"])))
      for mode, branches in (("face", ("face",)), ("cloth", ("cloth",)), ("face_cloth", ("face", "cloth")),
                             ("image_only", ("face", "cloth"))) for b in branches),
    (8, ("mode text: caption_accuracy at least 0.9", ("caption_accuracy_mode_text",),
         lambda m: m["caption_accuracy_mode_text"] >= 0.9)),
    *((8, (f"{b}_error falls with alpha", tuple(f"{b}_error_alpha_{a}" for a in ("0", "0.25", "0.5", "0.75", "1")),
           lambda m, b=b: falling([m[f"{b}_error_alpha_{a}"] for a in ("0", "0.25", "0.5", "0.75", "1")])))
      for b in ("cloth", "face")),
    *((0, (f"{name} with poses off the mp4 at most 1.1 of that with true ones", (f"{name}_base", f"{name}_true_keypoints"),
           lambda m, name=name: m[f"{name}_base"] <= 1.1 * m[f"{name}_true_keypoints"]))
      for name in ("joint_error", "cloth_error", "face_error")),
    (0, ("psnr_person with poses off the mp4 within 0.5 dB of that with true ones", ("psnr_person_base", "psnr_person_true_keypoints"),
         lambda m: m["psnr_person_base"] >= m["psnr_person_true_keypoints"] - 0.5)),
    (9, ("expression_error at most 0.8 of stage 3", ("expression_error", "expression_error_stage3"),
         lambda m: m["expression_error"] <= 0.8 * m["expression_error_stage3"])),
)  # fmt: skip

# What knows nothing must miss the bar of its figure: else the figure proves nothing.
MUST_FAIL: tuple[Check, ...] = (
    *((f"joint_error of {what}", (f"joint_error_{what}", "joint_error_floor"),
       lambda m, what=what: joint_bar(m, f"joint_error_{what}"))
      for what in ("train_mean", "background_alone", "mean_pose", "control_off", "wrong_pose", "truth_of_another_dance")),
    *((f"{b}_error of {what}", (f"{b}_error_{what}", f"{b}_error_autoencoder"),
       lambda m, b=b, what=what: m[f"{b}_error_{what}"] <= 2 * m[f"{b}_error_autoencoder"])
      for b in ("cloth", "face") for what in ("train_mean", "background_alone", "off")),
    *((f"{b}_retrieval of {what}", (f"{b}_retrieval_{what}",), lambda m, b=b, what=what: m[f"{b}_retrieval_{what}"] >= 0.9)
      for b in ("cloth", "face") for what in ("alpha_0", "old_reference", "train_mean")),
    *((f"caption_accuracy of {what}", (f"caption_accuracy_{what}",),
       lambda m, what=what: m[f"caption_accuracy_{what}"] >= 0.9) for what in ("old_caption", "train_mean")),
)  # fmt: skip


def falling(values: list[float]) -> bool:
    return all(later <= before for before, later in itertools.pairwise(values))


def bars(mean: Means, values: Values, *, noise: str) -> Iterator[Bar]:
    """Every bar whose figures were measured."""
    for number, (text, needs, holds) in CHECKS:
        if all(name in mean for name in needs):
            found = ", ".join(f"{name} {mean[name]:.4f}" for name in needs)
            yield Bar(number=number, text=f"{text} ({found})", holds=holds(mean))
    for mark, share in (("", 0.25), ("_64", 0.15)):
        for kind in ("", f"_{noise}"):
            yield from motion_bars(mean, values, mark=mark, kind=kind, share=share)
            yield from seed_bars(values, mark=mark, kind=kind, share=share)
    identity = paired(values, "face_retrieval_identity", "face_retrieval_clip_only")
    if identity is not None:
        gain = identity[0]
        text = f"the ArcFace supplement raises face_retrieval by {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
        yield Bar(number=10, text=text, holds=gain.low > 0)


def motion_title(mark: str, kind: str) -> str:
    return f"{64 if mark else 16} frames{kind.replace('_', ', noise ')}"


def seed_bars(values: Values, *, mark: str, kind: str, share: float) -> Iterator[Bar]:
    """The same for motion blocks of other training seeds (`--motion seed1=FILE`), and for all seeds together."""
    title = motion_title(mark, kind)
    for metric in ("warp_error", "delta_flicker"):
        own, off = f"{metric}{kind}{mark}", f"{metric}_motion_off{kind}{mark}"
        floor = f"{metric}_floor{mark}"
        seeds = sorted(n for n in values if re.fullmatch(rf"{metric}_seed\d+{kind}{mark}", n))
        if not seeds or own not in values:
            continue
        clips = set.intersection(*(set(values[name]) for name in (own, *seeds)))
        together = {clip: [v for name in (own, *seeds) for v in values[name][clip]] for clip in clips}
        for name, found in ((f"{len(seeds) + 1} training seeds", together), *((n, values[n]) for n in seeds)):
            cut = excess_cut({**values, "seeds": found}, "seeds", off, floor)
            if cut is not None:
                yield cut_bar(f"{title}, {name}", metric, cut, share)


def cut_bar(title: str, metric: str, cut: Interval, share: float) -> Bar:
    """Whether motion cuts an excess by its share, surely."""
    text = f"{title}: motion cuts the excess of {metric} by {cut.mean:.1%} [{cut.low:.1%}, {cut.high:.1%}]"
    return Bar(number=5, text=f"{text}, wanted {share:.0%}", holds=cut.mean >= share and cut.low > 0)


def motion_bars(mean: Means, values: Values, *, mark: str, kind: str, share: float) -> Iterator[Bar]:
    """Must-show 5 for one length and one kind of noise."""
    title = motion_title(mark, kind)
    for metric in ("warp_error", "delta_flicker"):
        names = f"{metric}{kind}{mark}", f"{metric}_motion_off{kind}{mark}", f"{metric}_floor{mark}"
        cut = excess_cut(values, *names)
        if cut is not None:
            yield cut_bar(title, metric, cut, share)
    middle = "" if mark else "_16"
    for metric in ("sharpness", "motion_amplitude"):
        on, off = f"{metric}{middle}{kind}{mark}", f"{metric}{middle}_motion_off{kind}{mark}"
        if on in mean and off in mean:
            ratio = mean[on] / mean[off]
            yield Bar(
                number=5,
                text=f"{title}: {metric} within 5 % ({ratio - 1:+.1%})",
                holds=abs(ratio - 1) <= 0.05,
            )
    compared = paired(
        values, f"joint_error{middle}{kind}{mark}", f"joint_error{middle}_motion_off{kind}{mark}"
    )
    if compared is not None:
        change = compared[0]
        text = f"{title}: joint_error no worse ({change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}])"
        yield Bar(number=5, text=text, holds=change.low <= 0)


def floors_that_pass(mean: Means) -> Iterator[tuple[str, bool]]:
    """(what, whether it misses its bar as it must) for everything measured that knows nothing."""
    for text, needs, holds in MUST_FAIL:
        if all(name in mean for name in needs):
            yield f"{text} ({mean[needs[0]]:.4f})", not holds(mean)


def comparisons(values: Values) -> Iterator[tuple[str, Interval, Interval]]:
    """DreaMoving against the peer wiring, paired, under each kind of noise: (metric and noise, difference, ratio)."""
    for name in sorted(values):
        metric, mark, noise = name.partition("_peer")
        if mark and not metric.endswith("_beside"):
            found = paired(values, f"{metric}_beside_peer{noise}", name)
            if found is not None:
                yield metric + noise, *found
