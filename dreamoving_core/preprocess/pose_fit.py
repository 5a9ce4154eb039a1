"""Fit to Reference: one person's dance on another's body, where that one stands in the reference picture.

Axes: f frame, j joint; pixels. `scale` is the reference's size over the dancer's. Bone by bone, every bone gets its
own ratio; what a single picture cannot tell for sure (a turned shoulder, a foreshortened arm) is pulled towards `scale`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .pose_bones import GROUPS, LEGS, bone_lengths, head_marks, necks, rebuilt, sits
from .pose_clip import LEFT_ANKLE, NECK, NOSE, RIGHT_ANKLE, PoseClip, figure_size, people_in, require_somebody
from .pose_report import fit_warnings
from .pose_track import main_person

MODES = ("bone by bone", "whole figure", "off")
_UPRIGHT = ("torso", "thigh", "shin", "neck")  # what makes a figure tall
_REST = ("head", "shoulder", "upper arm", "forearm", "hip")


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """`mode` one of MODES; `anchor_frame` -1 places the clip as a whole, n places its frame n on the reference."""

    mode: str = "bone by bone"
    anchor_frame: int = -1
    # Shares of a ratio's logarithm that are believed. [ours] found on drawn dancers of the train split
    shorter: float = (
        0.8  # an arm or head that looks shorter than the scale says: perhaps it points to the camera
    )
    width: float = 0.6  # shoulders and hips, which turn
    nod: float = 0.7  # the neck's length changes with every nod: so much of its ratio is the head's
    limit: float = 2.0  # no bone gets longer or shorter than this, beside the scale
    planted: float = 0.02  # of the figure's size: a foot this much higher than the other counts e times less


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The fitted clip on the reference's canvas, the reference `1 1 j 3`, and what there is to say about both."""

    clip: PoseClip
    reference: PoseClip
    scale: float
    ratios: Mapping[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A place on the ground, or the neck's where no feet are seen, in the dancer's picture and in the reference's."""

    joints: tuple[int, ...]
    dancer: np.ndarray
    reference: np.ndarray


ANKLES = (RIGHT_ANKLE, LEFT_ANKLE)


def fit_to_reference(dance: PoseClip, reference: PoseClip, settings: FitSettings | None = None) -> Fit:
    """The dance, frame by frame, on the reference's canvas. Of several people the largest are taken, with a warning.

    Raises InputError when either shows nobody, for an unknown mode and for an anchor frame that there is not.
    """
    settings = settings or FitSettings()
    _check(dance, settings)
    require_somebody(dance, what="the dance")
    require_somebody(reference, what="the reference")
    counts = people_in(dance), people_in(reference)
    dancer, model = main_person(dance), main_person(reference)
    old, target = dancer.points[:, 0], model.points[:, 0]
    if settings.mode == "off":
        return Fit(clip=dance, reference=model, scale=1.0, ratios=dict.fromkeys(GROUPS, 1.0), warnings=())
    ratios, scale = bone_ratios(old, target, settings)
    anchor = find_anchor(old, target, settings)
    points = _placed(old, ratios, scale, anchor, settings)
    clip = PoseClip(points=points[:, None], width=model.width, height=model.height)
    warnings = fit_warnings(old, target, clip, counts=counts, scale=scale)
    return Fit(clip=clip, reference=model, scale=scale, ratios=ratios, warnings=warnings)


def _check(dance: PoseClip, settings: FitSettings) -> None:
    if settings.mode not in MODES:
        raise InputError(f"The mode must be one of {', '.join(MODES)}, got {settings.mode!r}.")
    if not -1 <= settings.anchor_frame < len(dance.points):
        raise InputError(
            f"The anchor frame must be one of the dance's frames 0 to {len(dance.points) - 1}, or -1 for the whole clip, "
            f"got {settings.anchor_frame}."
        )


def bone_ratios(
    dancer: np.ndarray, model: np.ndarray, settings: FitSettings
) -> tuple[dict[str, float], float]:
    """Length of the model's bones over the dancer's, per group, and the figures' scale; `f 136 3` each."""
    mine, theirs = bone_lengths(dancer), bone_lengths(model)
    if head_marks(dancer) != head_marks(model):  # two measures of a head that can't be compared
        mine.pop("head", None)
    bent = sits(dancer) or sits(model)
    known = {g: theirs[g] / mine[g] for g in mine if g in theirs and not (bent and g in LEGS)}
    scale = _scale(mine, known) or _box_scale(dancer, model)
    if settings.mode != "bone by bone":
        return dict.fromkeys(GROUPS, scale), scale
    ratios = dict.fromkeys(GROUPS, scale)
    if {"neck", "head"} <= set(known):
        known["neck"] = known["neck"] ** (1 - settings.nod) * known["head"] ** settings.nod
    for group, ratio in known.items():
        log = np.log(ratio / scale)
        share = settings.shorter if log < 0 and group not in _UPRIGHT else 1.0
        if group in ("shoulder", "hip"):
            share = settings.width
        ratios[group] = float(
            scale * np.exp(np.clip(share * log, -np.log(settings.limit), np.log(settings.limit)))
        )
    return ratios, scale


def _scale(mine: Mapping[str, float], known: Mapping[str, float]) -> float:
    """Summed lengths of the bones that make a figure tall; of all others where those are not to be had; else 0."""
    for groups in (_UPRIGHT, _REST):
        found = [g for g in groups if g in known]
        if found:
            return sum(known[g] * mine[g] for g in found) / sum(mine[g] for g in found)
    return 0.0


def _box_scale(dancer: np.ndarray, model: np.ndarray) -> float:
    sizes = figure_size(dancer)
    mine, theirs = np.median(sizes[sizes > 0]) if (sizes > 0).any() else 0.0, figure_size(model).max()
    return float(theirs / mine) if mine > 0 and theirs > 0 else 1.0


def find_anchor(dancer: np.ndarray, model: np.ndarray, settings: FitSettings) -> Anchor:
    """The ground between the feet where both show feet; else the neck, the nose, or whatever both show."""
    for joints in (ANKLES, (NECK,), (NOSE,)):
        mine, theirs = _place(dancer, joints, settings.anchor_frame), _place(model, joints, -1)
        if mine is not None and theirs is not None:
            return Anchor(joints=joints, dancer=mine, reference=theirs)
    return Anchor(
        joints=(), dancer=np.median(_middle(dancer), axis=0), reference=np.median(_middle(model), axis=0)
    )


def _place(points: np.ndarray, joints: tuple[int, ...], frame: int) -> np.ndarray | None:
    """Of the lowest of `joints`, and between them from left to right; over the clip, or in one frame."""
    chosen = points[:, list(joints)]
    shown = np.flatnonzero((chosen[..., 2] > 0).all(axis=1))
    if not len(shown):
        return None
    if frame >= 0:
        shown = shown[[np.abs(shown - frame).argmin()]]
    x = np.median(chosen[shown, :, 0].mean(axis=1))
    lowest = chosen[shown, :, 1].max(axis=1)
    return np.array(
        [x, np.percentile(lowest, 80 if joints == ANKLES else 50)]
    )  # feet are down most of the time


def _middle(points: np.ndarray) -> np.ndarray:
    seen = points[..., 2] > 0
    shown = seen.any(axis=1)
    return (points[shown, :, :2] * seen[shown, :, None]).sum(axis=1) / seen[shown].sum(axis=1)[:, None]


def _placed(
    points: np.ndarray, ratios: Mapping[str, float], scale: float, anchor: Anchor, settings: FitSettings
) -> np.ndarray:
    """Rebuilt on the reference's body; then every frame is moved so that its feet do what the dancer's do."""

    def moved(places: np.ndarray) -> np.ndarray:
        return anchor.reference + scale * (places - anchor.dancer)

    built = rebuilt(points, ratios, moved(necks(points)))
    joints = list(anchor.joints)
    if not joints or settings.mode == "whole figure":
        return built
    seen = points[:, joints, 2] > 0
    low = np.where(seen, points[:, joints, 1], -np.inf)
    shown = seen.any(axis=1)
    size = max(float(np.median(figure_size(points)[shown])), 1.0)
    weight = np.zeros(seen.shape)
    highest = low[shown].max(axis=1, keepdims=True)
    weight[shown] = np.exp((low[shown] - highest) / (settings.planted * size))
    missed = moved(points[:, joints, :2]) - built[:, joints, :2]
    shift = (missed * weight[..., None]).sum(axis=1)[shown] / weight[shown].sum(axis=1, keepdims=True)
    frames = np.arange(len(points))
    shift = np.stack([np.interp(frames, np.flatnonzero(shown), shift[:, axis]) for axis in range(2)], axis=1)
    built[..., :2] += shift[:, None] * (built[..., 2:] > 0)
    return built
