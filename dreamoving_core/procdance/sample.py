"""A driving clip and what should come out of it, for graphs, the demo and the benchmarks."""

from dataclasses import dataclass, replace

from torch import Tensor

from .clip import Clip, ClipSpec, moments, render_clip
from .identity import Person
from .render import render_frames, sample_moment

OTHER = 1_000_003  # added to the seed for the dancer of the driving clip: somebody else, somewhere else
PROPORTIONS = ("height", "build", "head", "shoulder", "hip", "leg", "arm")


@dataclass(frozen=True, kw_only=True)
class DrivenClip:
    """`driving` (f h w c) shows another dancer; `truth` shows the person of the references doing the same."""

    driving: Tensor
    truth: Clip


def with_proportions(person: Person, like: Person) -> Person:
    """Another body of the same build: its poses fit `like` without retargeting."""
    return replace(person, **{name: getattr(like, name) for name in PROPORTIONS})


def driven_clip(spec: ClipSpec) -> DrivenClip:
    """The clip of `spec` and the same dance by another person, dressed otherwise, in another scene."""
    frames = moments(spec)
    other = sample_moment(spec.seed + OTHER, spec.split, shot=spec.shot, style=spec.style)
    stand_in = with_proportions(other.person, frames[0].person)
    danced = [replace(m, person=stand_in, clothes=other.clothes, scene=other.scene) for m in frames]
    return DrivenClip(
        driving=render_frames(danced, size=spec.size, flow=False).images, truth=render_clip(spec)
    )
