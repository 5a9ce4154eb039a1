"""ProcDance's front door: a clip of one procedural dancer with references, caption and truth.

Another dance for the same person, or another person's references, are one `dataclasses.replace` away: see
`moments`, which turns a spec into the frames' moments.
"""

from dataclasses import dataclass

from torch import Tensor

from ..errors import InputError
from .render import (
    Frames,
    Moment,
    attributes,
    check_shot,
    check_split,
    render_frames,
    render_references,
    sample_moment,
)
from .seeds import Draw


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """What to draw; equal specs give equal pixels. `shot` is "whole", "half" or "face"; `style` 0 or 1.

    `dance_seed` replaces the dance of `seed`, everything else stays: the same person dances differently.
    """

    seed: int
    split: str = "train"
    num_frames: int = 32
    size: int = 128
    shot: str = "whole"
    style: int = 0
    fps: float = 12.0
    dance_seed: int | None = None


@dataclass(frozen=True)
class Clip(Frames):
    """Frames plus what belongs to the whole clip; references are `h w c` in [0, 1]."""

    caption: str
    face_reference: Tensor
    cloth_reference: Tensor
    attributes: dict
    spec: ClipSpec


def moments(spec: ClipSpec) -> list[Moment]:
    """One moment per frame of the clip."""
    check_split(spec.split)
    check_shot(spec.shot, spec.style)
    if spec.num_frames < 1 or spec.fps <= 0:
        raise InputError(
            f"A clip needs at least 1 frame and a positive frame rate, got {spec.num_frames} at {spec.fps}."
        )
    start = Draw("start", spec.split, spec.seed).uniform("time", 0, 8)
    look = {"shot": spec.shot, "style": spec.style, "fps": spec.fps}
    first = sample_moment(spec.seed, spec.split, time=start, **look)
    danced = (
        first if spec.dance_seed is None else sample_moment(spec.dance_seed, spec.split, time=start, **look)
    )
    return [
        Moment(
            person=first.person,
            clothes=first.clothes,
            scene=first.scene,
            dance=danced.dance,
            time=start + frame / spec.fps,
            shot=spec.shot,
            style=spec.style,
            step=1 / spec.fps,
        )
        for frame in range(spec.num_frames)
    ]


def render_clip(spec: ClipSpec) -> Clip:
    """Draw the clip and its two references (half the clip's size, at least 64 pixels)."""
    frames = moments(spec)
    first = frames[0]
    drawn = render_frames(frames, size=spec.size)
    face, cloth = render_references(
        [first.person],
        [first.clothes],
        seeds=[spec.seed],
        split=spec.split,
        styles=[spec.style],
        size=max(spec.size // 2, 64),
    )
    return Clip(
        **{name: getattr(drawn, name) for name in Frames.__dataclass_fields__},
        caption=drawn.captions[0],
        face_reference=face[0],
        cloth_reference=cloth[0],
        attributes=attributes(first),
        spec=spec,
    )
