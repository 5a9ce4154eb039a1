"""What the quality benchmark compares with: one held-out clip, or the same dance in other clothes, face, scene or style.

Everything is drawn when it is first asked for and kept. Clips: f h w c in [0, 1]; masks: f h w.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from ..dreamoving_core.metrics.warp import visible_along
from ..dreamoving_core.procdance.clip import ClipSpec, moments
from ..dreamoving_core.procdance.render import LABELS, Frames, Moment, render_frames, sample_moment
from ..dreamoving_core.procdance.sample import with_proportions
from ..dreamoving_core.procdance.scene import HELD_OUT_SCENES, LIGHTS, PLACES, Scene, caption, draw_scene

Autoencode = Callable[[Tensor], Tensor]
CLOTHES = ("top", "bottom")
FACE = ("hair", "skin")
HEAD = ("hair", "skin", "eyes", "mouth", "brows", "glasses")
SCENES = tuple(Scene(place=place, light=light) for place in PLACES for light in LIGHTS)
JUDGED_FRAMES = 4  # of a clip, spread evenly, where every candidate must be drawn


@dataclass(frozen=True)
class Subject:
    """A held-out clip. The seeds that are set replace the clothes, the face, the dance or the scene by another's."""

    seed: int
    frames: int
    shot: str = "whole"
    style: int = 0
    clothes_seed: int | None = None
    face_seed: int | None = None
    dance_seed: int | None = None
    scene: Scene | None = None

    @property
    def spec(self) -> ClipSpec:
        return ClipSpec(
            seed=self.seed,
            split="held_out",
            num_frames=self.frames,
            shot=self.shot,
            style=self.style,
            dance_seed=self.dance_seed,
        )

    @cached_property
    def moments(self) -> list[Moment]:
        """The frames' moments; another face keeps the body's proportions, which the poses were made for."""
        frames = moments(self.spec)
        changes: dict = {}
        if self.clothes_seed is not None:
            changes["clothes"] = sample_moment(self.clothes_seed, "held_out").clothes
        if self.face_seed is not None:
            other = sample_moment(self.face_seed, "held_out").person
            changes["person"] = with_proportions(other, frames[0].person)
        if self.scene is not None:
            changes["scene"] = self.scene
        return [replace(frame, **changes) for frame in frames] if changes else frames

    @cached_property
    def truth(self) -> Frames:
        return render_frames(self.moments, size=self.spec.size)

    @cached_property
    def background(self) -> Tensor:
        """The empty scene, `h w c`."""
        return draw_scene(self.moments[0].scene, style=self.style, size=self.spec.size)

    @property
    def caption(self) -> str:
        return caption(self.moments[0].scene, shot=self.shot, style=self.style)

    @cached_property
    def visible(self) -> Tensor:
        """Pixels that can be followed to the next frame."""
        return visible_along(self.truth.images, self.truth.flow, self.truth.labels)

    def part(self, names: Sequence[str]) -> Tensor:
        """Pixels of these parts."""
        return part_of(self.truth.labels, names)

    def shown_by(self, autoencode: Autoencode) -> Tensor:
        """The truth through the autoencoder; kept."""
        if "_shown" not in self.__dict__:
            self.__dict__["_shown"] = autoencode(self.truth.images)
        return self.__dict__["_shown"]

    @cached_property
    def few(self) -> list[int]:
        """Frames at which candidates are compared."""
        count = min(JUDGED_FRAMES, self.frames)
        return [round((i + 0.5) * self.frames / count - 0.5) for i in range(count)]


def part_of(labels: Tensor, names: Sequence[str]) -> Tensor:
    numbers = torch.tensor([LABELS.index(name) for name in names])
    return torch.isin(labels, numbers.to(labels.dtype))


@lru_cache(maxsize=16)
def drawn_once(subject: Subject) -> Subject:
    """The subject equal to this one that was asked for first, with all that it has drawn already."""
    return subject


@lru_cache(maxsize=8)
def candidates(subject: Subject, seeds: tuple[int, ...], branch: str) -> tuple[Tensor, Tensor]:
    """The subject's judged frames with everybody's clothes (or face): `k f h w c`, and where any of them differs, f h w.

    `branch` is "cloth" or "face". The place of a seed in `seeds` is its number among the candidates.
    """
    names, change = (CLOTHES, "clothes_seed") if branch == "cloth" else (HEAD, "face_seed")
    drawn = []
    for seed in seeds:
        other = replace(subject, **{change: seed})
        drawn.append(
            render_frames([other.moments[i] for i in subject.few], size=subject.spec.size, flow=False)
        )
    images = torch.stack([frames.images for frames in drawn])
    parts = torch.stack([part_of(frames.labels, names) for frames in drawn]).any(dim=0)
    return images, parts & (images.amax(0) - images.amin(0)).amax(-1).gt(0.02)


def scene_pictures(*, style: int, size: int) -> list[Tensor]:
    """Every place in every light, as SCENES lists them: `h w c`."""
    return [draw_scene(scene, style=style, size=size) for scene in SCENES]


def other_scene(own: Scene, index: int) -> Scene:
    """One of the held-out scenes, not the clip's own; all occur about as often over the clips."""
    others = [
        Scene(place=p, light=light) for p, light in HELD_OUT_SCENES if (p, light) != (own.place, own.light)
    ]
    return others[index % len(others)]
