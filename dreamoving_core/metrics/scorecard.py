"""A finished video in five numbers that need no truth: identity, pose error, flicker, window seams, colour drift.

Frames come one after another, `h w c` in [0, 1], and are forgotten again: what stays is one number per frame and figure.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..preprocess.pose_clip import PoseClip
from ..video.pixels import rgb
from .colour_drift import colour_shift, drift, small_lab
from .flicker import flicker_between
from .pose_error import SAME_SHAPE, found_share, matched, pose_errors
from .window_seams import seam_ratios, window_borders

APART = 8  # [ours] worst frames lie at least an eighth of the clip apart: moments, not neighbours


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What one number means. `ideal`: of a perfect video; `higher`: whether more is better."""

    unit: str
    ideal: float
    higher: bool
    about: str


MEASURES: dict[str, Measure] = {
    "identity": Measure(
        unit="cosine", ideal=1.0, higher=True, about="How like the reference each frame is, as a recogniser or an image "
        "encoder sees it: the cosine between its two vectors, averaged over the frames. 1 is the same.",
    ),
    "pose_error": Measure(
        unit="of the height", ideal=0.0, higher=False, about="How far the dancer's joints are from where they should be: the "
        "mean distance of the body's joints that both have, in shares of the picture's height.",
    ),
    "flicker": Measure(
        unit="of white", ideal=0.0, higher=False, about="What comes and goes within one frame: how far each value is from the "
        "span between the frames before and after it, on average. Fades, cuts and edges that pass have none; thin things that "
        "move fast have some.",
    ),
    "window_seams": Measure(
        unit="times", ideal=1.0, higher=False, about="The change from frame to frame where a context window begins or ends, over the "
        "change in the three frames before and after. 1 is no seam.",
    ),
    "colour_drift": Measure(
        unit="Delta E", ideal=0.0, higher=False, about="How far the colours wander from the first quarter of the clip to the last, "
        "in CIE Lab: the median over the picture, which is mostly what stands still. About 2 is just seen.",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """`context_length` 0: not sampled in windows. `worst`: frames named per figure. `fit_poses`: see `pose_errors`."""

    context_length: int = 0
    context_overlap: int = 0
    fit_poses: bool = False
    worst: int = 3

    def __post_init__(self):
        if self.context_length:
            window_borders(1, context_length=self.context_length, context_overlap=self.context_overlap)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """`value` None: not measured, and `how` says why; else `how` says by what. `series`: per frame, NaN where there is none."""

    value: float | None
    how: str
    series: tuple[float, ...] = ()
    worst: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """Sizes in pixels."""

    num_frames: int
    width: int
    height: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Who judges identity: `judge` gives a frame's cosine to the reference, NaN without a face; `name` says who it is."""

    name: str
    judge: Callable[[Tensor], float]


class Scorer:
    """Takes a clip's frames in their order, then gives its scorecard.

    `likeness` is a Likeness, or the reason why there is none. Poses: what was wanted, and what was found in the result.
    Raises InputError for poses that do not fit each other, and for frames that are no pictures or of other sizes.
    """

    def __init__(
        self,
        settings: ScoreSettings,
        *,
        likeness: Likeness | str,
        wanted: PoseClip | None = None,
        found: PoseClip | None = None,
    ):
        self.settings, self.likeness = settings, likeness
        self._found = found
        self._pose = pose_figure(wanted, found, settings)
        self._recent: list[Tensor] = []
        self._lab: Tensor | None = None
        self._likeness: list[float] = []
        self._changes: list[float] = []
        self._flicker: list[float] = []
        self._shifts: list[Tensor] = []

    def add(self, frame: Tensor) -> None:
        """The next frame, `h w c` in [0, 1]."""
        frame = checked(frame, number=len(self._changes) + 1, like=self._recent[-1] if self._recent else None)
        if self._lab is None:
            refuse_other_pictures(self._found, frame)
            self._lab = small_lab(frame)
        if isinstance(self.likeness, Likeness):
            self._likeness.append(self.likeness.judge(frame))
        self._shifts.append(colour_shift(small_lab(frame), self._lab))
        change = (frame - self._recent[-1]).abs_().mean() if self._recent else math.nan
        self._changes.append(float(change))
        self._recent = [*self._recent[-2:], frame]
        if len(self._recent) == 3:
            self._flicker.append(flicker_between(*self._recent))

    def card(self) -> Scorecard:
        """The numbers of the frames so far."""
        count = len(self._changes)
        if not count:
            raise InputError("There is not one frame to judge. Choose a longer clip.")
        if self._found is not None and len(self._found.points) != count:
            raise InputError(
                f"result_keypoints has {len(self._found.points)} frames and the video {count}. Run Pose Extract on the very "
                "frames that are judged."
            )
        height, width = self._recent[-1].shape[:2]
        figures = {
            "identity": self._identity(),
            "pose_error": self._pose,
            "flicker": self._flickering(count),
            "window_seams": self._seams(count),
            "colour_drift": self._drift(count),
        }
        return Scorecard(num_frames=count, width=width, height=height, figures=figures)

    def _identity(self) -> Figure:
        if isinstance(self.likeness, str):
            return Figure(value=None, how=self.likeness)
        series = self._likeness
        known = [value for value in series if not math.isnan(value)]
        if not known:
            return Figure(
                value=None, how=f"{self.likeness.name} found no face in any of {len(series)} frames"
            )
        missing = (
            f"; no face in {len(series) - len(known)} of {len(series)} frames"
            if len(known) < len(series)
            else ""
        )
        return measured("identity", series, how=f"{self.likeness.name}{missing}", worst=self.settings.worst)

    def _flickering(self, count: int) -> Figure:
        if count < 3:
            return Figure(value=None, how=f"needs at least 3 frames, got {count}")
        series = [math.nan, *self._flicker, math.nan]
        return measured("flicker", series, how="all pixels", worst=self.settings.worst)

    def _seams(self, count: int) -> Figure:
        settings = self.settings
        if not settings.context_length:
            return Figure(value=None, how="context_length is 0: set it to what the clip was sampled with")
        windows = {"context_length": settings.context_length, "context_overlap": settings.context_overlap}
        borders = window_borders(count, **windows)
        if not borders:
            return Figure(value=None, how=f"{count} frames fit into one window of {settings.context_length}")
        series = seam_ratios(self._changes, borders)
        at = [series[frame] for frame in borders]
        if any(math.isnan(ratio) for ratio in at):
            return Figure(
                value=None, how="every change crosses a border, so there is nothing to compare with"
            )
        how = f"{len(borders)} borders: frames {', '.join(map(str, borders[:8]))}{' ...' if len(borders) > 8 else ''}"
        crossing = [ratio if frame in borders else math.nan for frame, ratio in enumerate(series)]
        worst = worst_frames("window_seams", crossing, count=settings.worst)
        return Figure(value=sum(at) / len(at), how=how, series=tuple(series), worst=worst)

    def _drift(self, count: int) -> Figure:
        if count < 2:
            return Figure(value=None, how=f"needs at least 2 frames, got {count}")
        shifts = torch.stack(self._shifts)
        series = shifts.norm(dim=1).tolist()
        worst = worst_frames("colour_drift", series, count=self.settings.worst)
        return Figure(value=drift(shifts), how="against the first quarter", series=tuple(series), worst=worst)


def pose_figure(wanted: PoseClip | None, found: PoseClip | None, settings: ScoreSettings) -> Figure:
    """Everything about poses, which are there before the first frame is."""
    lacking = [name for name, clip in (("keypoints", wanted), ("result_keypoints", found)) if clip is None]
    if wanted is None or found is None:
        return Figure(value=None, how=f"connect poses to {' and '.join(lacking)}")
    wanted, cut = matched(wanted, found)
    errors = pose_errors(wanted, found, fitted=settings.fit_poses)
    if np.isnan(errors).all():
        return Figure(
            value=None, how="no frame shows a joint that both have: no person was found in one of them"
        )
    share = "{} of {} wanted joints found".format(*found_share(wanted, found))
    fitted = "scale and place taken out" if settings.fit_poses else ""
    how = "; ".join(part for part in (share, fitted, cut) if part)
    return measured("pose_error", errors.tolist(), how=how, worst=settings.worst)


def measured(name: str, series: Sequence[float], *, how: str, worst: int) -> Figure:
    """The mean of what is known."""
    known = [value for value in series if not math.isnan(value)]
    return Figure(
        value=sum(known) / len(known),
        how=how,
        series=tuple(series),
        worst=worst_frames(name, series, count=worst),
    )


def worst_frames(name: str, series: Sequence[float], *, count: int) -> tuple[int, ...]:
    """The frames furthest from the ideal on the bad side, the worst first; none that is perfect."""
    measure = MEASURES[name]
    sign = -1.0 if measure.higher else 1.0
    bad = [
        (sign * (value - measure.ideal), frame) for frame, value in enumerate(series) if not math.isnan(value)
    ]
    chosen: list[int] = []
    for badness, frame in sorted(bad, key=lambda entry: (-entry[0], entry[1])):
        near = any(abs(frame - other) < max(1, len(series) // APART) for other in chosen)
        if badness > 1e-9 and not near and len(chosen) < count:
            chosen.append(frame)
    return tuple(chosen)


def checked(frame: Tensor, *, number: int, like: Tensor | None) -> Tensor:
    """`h w 3` in float32 on the CPU. `number` counts from 1, for the errors."""
    frame = rgb(frame, number=number).to("cpu", torch.float32)
    if not torch.isfinite(frame.sum()):
        raise InputError(f"Frame {number} holds NaN or infinite values. Check the node that makes it.")
    if like is not None and frame.shape != like.shape:
        sizes = [f"{picture.shape[1]} x {picture.shape[0]}" for picture in (frame, like)]
        raise InputError(
            f"Frame {number} is {sizes[0]} pixels and the one before {sizes[1]}. All need one size."
        )
    return frame


def refuse_other_pictures(found: PoseClip | None, frame: Tensor) -> None:
    """InputError when the result's poses were found in pictures of another shape."""
    height, width = frame.shape[:2]
    if found is not None and abs(found.width * height / (found.height * width) - 1) > SAME_SHAPE:
        raise InputError(
            f"result_keypoints is for {found.width} x {found.height} pixels, the video is {width} x {height}: another shape. "
            "Run Pose Extract on the very frames that are judged."
        )
