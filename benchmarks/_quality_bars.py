"""The bars of the must-show list, and what must miss them: each tells what was found, and whether it holds."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..dreamoving_core.metrics.intervals import Interval, bootstrap
from ._quality_figures import HIGHER_IS_BETTER
from ._quality_pairs import Values, excess_cut, matched_means, paired, pooled

PEOPLE = 24  # among whose clothes and faces a reference is looked for
NUMBERS = range(1, 12)  # of the must-show list that `bench quality` answers
Means = dict[str, float]
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
    *((f"{b}_error of old_reference", (f"{b}_error_old_reference", f"{b}_error_autoencoder"),
       lambda m, b=b: m[f"{b}_error_old_reference"] <= 2 * m[f"{b}_error_autoencoder"]) for b in ("cloth", "face")),
    *((f"psnr_person of {what}", (f"psnr_person_{what}", "autoencoder_psnr_person"),
       lambda m, what=what: m[f"psnr_person_{what}"] >= m["autoencoder_psnr_person"] - 4)
      for what in ("train_mean", "background_alone", "wrong_pose")),
    ("expression_error of another_dance", ("expression_error_another_dance", "expression_error_stage3"),
     lambda m: m["expression_error_another_dance"] <= 0.8 * m["expression_error_stage3"]),
    # an empty scene neither warps wrongly nor flickers: it is motion_amplitude that tells it from a dance
    *((f"{metric} and motion_amplitude of background_alone",
       (f"{metric}_background_alone", f"{metric}_motion_off", f"{metric}_floor",
        "motion_amplitude_background_alone", "motion_amplitude_16_motion_off"),
       lambda m, metric=metric: cut_by_a_quarter(m, metric)
       and within(m["motion_amplitude_background_alone"], m["motion_amplitude_16_motion_off"]))
      for metric in ("warp_error", "delta_flicker")),
)  # fmt: skip


def falling(values: list[float]) -> bool:
    return all(later <= before for before, later in itertools.pairwise(values))


def within(value: float, other: float) -> bool:
    """Within 5 %."""
    return abs(value / other - 1) <= 0.05


def cut_by_a_quarter(m: Means, metric: str) -> bool:
    floor = m[f"{metric}_floor"]
    return m[f"{metric}_background_alone"] - floor <= 0.75 * (m[f"{metric}_motion_off"] - floor)


def bars(values: Values) -> Iterator[Bar]:
    """Every bar whose figures were measured."""
    for number, (text, needs, holds) in CHECKS:
        if mean := matched_means(values, needs):
            found = ", ".join(f"{name} {mean[name]:.4f}" for name in needs)
            yield Bar(number=number, text=f"{text} ({found})", holds=holds(mean))
    yield from chance_bars(values)
    for mark, share in (("", 0.25), ("_64", 0.15)):
        for blocks in ("", *training_seeds(values, mark)):
            yield from motion_bars(values, blocks, mark=mark, share=share)
        yield from pooled_bars(values, mark=mark, share=share)
    identity = paired(values, "face_retrieval_identity", "face_retrieval_clip_only")
    if identity is not None:
        gain = identity[0]
        text = f"the ArcFace supplement raises face_retrieval by {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"
        yield Bar(number=10, text=text, holds=gain.low > 0)


def chance_bars(values: Values) -> Iterator[Bar]:
    """Without its branch, a reference is found no more often than by chance."""
    for name in ("cloth_retrieval_alpha_0", "face_retrieval_alpha_0"):
        if runs := values.get(name):
            found = bootstrap([[*noises.values()] for noises in runs.values()])
            chance = 1 / max(PEOPLE, len(runs))
            text = f"{name} at chance ({found.mean:.4f} [{found.low:.4f}, {found.high:.4f}], chance {chance:.4f})"
            yield Bar(number=3, text=text, holds=found.low <= chance)


def training_seeds(values: Values, mark: str) -> list[str]:
    """Motion blocks of other training seeds (`--motion seed1=FILE`), as figures' names have them: "_seed1"."""
    found = (re.fullmatch(rf"warp_error(_seed\d+){mark}", name) for name in values)
    return sorted(match[1] for match in found if match)


def title_of(blocks: str, mark: str, noise: str = "") -> str:
    words = [f"{64 if mark else 16} frames", f"noise {noise}" if noise else "", blocks.removeprefix("_")]
    return ", ".join(filter(None, words))


def cut_of(values: Values, metric: str, blocks: str, *, mark: str, noise: str = "") -> Interval | None:
    """By how much motion blocks cut the excess of a metric against none, with the same noise."""
    kind = f"_{noise}" if noise else ""
    names = f"{metric}{blocks}{kind}{mark}", f"{metric}_motion_off{kind}{mark}", f"{metric}_floor{mark}"
    return excess_cut(values, *names)


def cut_text(title: str, metric: str, cut: Interval) -> str:
    return f"{title}: motion cuts the excess of {metric} by {cut.mean:.1%} [{cut.low:.1%}, {cut.high:.1%}]"


def cut_bar(title: str, metric: str, cut: Interval, share: float) -> Bar:
    """Whether motion cuts an excess by its share, surely."""
    text = f"{cut_text(title, metric, cut)}, wanted {share:.0%}"
    return Bar(number=5, text=text, holds=cut.mean >= share and cut.low > 0)


def motion_bars(values: Values, blocks: str, *, mark: str, share: float) -> Iterator[Bar]:
    """Must-show 5 for one length and the motion blocks of one training seed ("" is the shipped one)."""
    title, middle = title_of(blocks, mark), "" if mark else "_16"
    for metric in ("warp_error", "delta_flicker"):
        cut = cut_of(values, metric, blocks, mark=mark)
        if cut is not None:
            yield cut_bar(title, metric, cut, share)
    for metric in ("sharpness", "motion_amplitude"):
        on, off = f"{metric}{middle}{blocks}{mark}", f"{metric}{middle}_motion_off{mark}"
        if mean := matched_means(values, (on, off)):
            text = f"{title}: {metric} within 5 % ({mean[on] / mean[off] - 1:+.1%})"
            yield Bar(number=5, text=text, holds=within(mean[on], mean[off]))
    on, off = f"joint_error{middle}{blocks}{mark}", f"joint_error{middle}_motion_off{mark}"
    compared = paired(values, on, off)
    if compared is not None:
        change = compared[0]
        text = f"{title}: joint_error no worse ({change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}])"
        yield Bar(number=5, text=text, holds=change.low <= 0)


def pooled_bars(values: Values, *, mark: str, share: float) -> Iterator[Bar]:
    """The same cut for all training seeds together."""
    blocks = ["", *training_seeds(values, mark)]
    for metric in ("warp_error", "delta_flicker"):
        names = [f"{metric}{own}{mark}" for own in blocks]
        if len(names) > 1 and all(name in values for name in names):
            together = values | {f"{metric}_together{mark}": pooled(values, names)}
            cut = cut_of(together, metric, "_together", mark=mark)
            if cut is not None:
                yield cut_bar(f"{title_of('', mark)}, {len(names)} training seeds", metric, cut, share)


def beside(values: Values, *, noise: str) -> Iterator[str]:
    """Rows beside the bars of must-show 5: what the blocks do with the kind of noise that the demo does not use."""
    for mark in ("", "_64"):
        for metric in ("warp_error", "delta_flicker"):
            cut = cut_of(values, metric, "", mark=mark, noise=noise)
            if cut is not None:
                yield cut_text(title_of("", mark, noise), metric, cut)


def unmeasured(values: Values) -> list[str]:
    """What of the must-show list has no figures: a bar nobody has measured does not hold."""
    texts = [f"{number:2} {text}" for number, (text, needs, _) in CHECKS if not matched_means(values, needs)]
    found = {bar.number for bar in bars(values)} | {number for number, _ in CHECKS}
    found |= {11} if any(comparisons(values)) else set()
    return texts + [f"{number:2}" for number in NUMBERS if number not in found]


def floors_that_pass(values: Values) -> Iterator[tuple[str, bool]]:
    """(what, whether it misses its bar as it must) for everything measured that knows nothing."""
    for text, needs, holds in MUST_FAIL:
        if mean := matched_means(values, needs):
            yield f"{text} ({mean[needs[0]]:.4f})", not holds(mean)


def comparisons(values: Values) -> Iterator[tuple[str, Interval, Interval]]:
    """DreaMoving against the peer wiring, paired, under each kind of noise: (metric and noise, difference, ratio)."""
    for name in sorted(values):
        metric, mark, noise = name.partition("_peer")
        if mark and not metric.endswith("_beside"):
            found = paired(values, f"{metric}_beside_peer{noise}", name)
            if found is not None:
                yield metric + noise, *found


def verdict(metric: str, difference: Interval) -> str:
    """ "wins", "loses" or "level" for an error or a likeness; sharpness and amplitude have no better side."""
    if metric.startswith(("sharpness", "motion_amplitude")):
        return ""
    if not difference.excludes(0):
        return "level"
    higher = any(metric.startswith(name) for name in HIGHER_IS_BETTER)
    return "wins" if (difference.mean > 0) == higher else "loses"
