"""Moments to pictures: any people, clothes, scenes, dances, times, shots and styles in one batch, with the truth.

`render_frames` is the primitive; a frame has the same pixels alone and in any batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..errors import InputError
from .dance import Dance, Pose, pose_at, sample_dance
from .draw import Canvas
from .figure import Figure
from .flow import bone_frames, flow_between
from .identity import Clothes, Person, mannequin, sample_clothes, sample_person
from .palette import Palette, restyle
from .parts import LABELS, NUM_BONES
from .scene import PLAIN, Scene, caption, draw_scene, sample_scene
from .seeds import SPLITS, Draw
from .skeleton import SHOTS, Body, build_body, keypoints_133

__all__ = ["LABELS", "Frames", "Moment", "attributes", "render_frames", "render_references", "sample_moment"]

CHUNK = 128  # [ours] frames drawn at once: enough to hide the cost of calls, little enough memory


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One frame to draw. `time` and `step` (to the next frame, for the flow) in seconds."""

    person: Person
    clothes: Clothes
    scene: Scene
    dance: Dance
    time: float
    shot: str = "whole"
    style: int = 0
    step: float = 1 / 12


@dataclass(frozen=True)
class Frames:
    """Pictures and the truth about them, one row per moment."""

    images: Tensor  # f h w c in [0, 1], multiples of 1/255
    keypoints: Tensor  # f 133 (x y visible), pixels, origin top left
    depth: Tensor  # f h w in [0, 1], near is bright, background 0
    labels: Tensor  # f h w uint8, see LABELS
    mask: Tensor  # f h w bool, the person
    flow: Tensor  # f h w (x y), pixels to where the surface is one step later, background 0
    captions: tuple[str, ...]


def sample_moment(
    seed: int,
    split: str = "train",
    *,
    time: float | None = None,
    shot: str = "whole",
    style: int = 0,
    fps: float = 12.0,
) -> Moment:
    """A random person in random clothes at a random place, all from the seed; `time` None draws one too."""
    check_split(split)
    return Moment(
        person=sample_person(seed, split),
        clothes=sample_clothes(seed, split),
        scene=sample_scene(seed, split),
        dance=sample_dance(seed, split),
        time=Draw("time", split, seed).uniform("time", 0, 8) if time is None else time,
        shot=shot,
        style=style,
        step=1 / fps,
    )


def render_frames(moments: Sequence[Moment], *, size: int = 128, flow: bool = True) -> Frames:
    """Draw every moment at `size` x `size` pixels; without `flow` that tensor is zeros and the rest costs less."""
    if not moments or size < 16:
        raise InputError(
            f"ProcDance draws at least 1 moment at 16 pixels or more, got {len(moments)} at {size}."
        )
    for moment in moments:
        check_shot(moment.shot, moment.style)
    parts = [_render(moments[i : i + CHUNK], size, flow) for i in range(0, len(moments), CHUNK)]
    joined = [
        sum((getattr(p, f.name) for p in parts), ())
        if f.name == "captions"
        else torch.cat([getattr(p, f.name) for p in parts])
        for f in fields(Frames)
    ]
    return Frames(*joined)


def render_references(
    people: Sequence[Person],
    clothes: Sequence[Clothes],
    *,
    seeds: Sequence[int],
    split: str = "train",
    styles=None,
    size: int = 64,
) -> tuple[Tensor, Tensor]:
    """Face and clothes pictures, `n h w c` each, on a plain background in another pose.

    The face picture shows the person in other, random clothes; the clothes picture a grey body without a head.
    """
    styles = [0] * len(people) if styles is None else styles
    faces, outfits = [], []
    for person, worn, seed, style in zip(people, clothes, seeds, styles, strict=True):
        draw = Draw("reference", split, seed)
        common = {
            "scene": Scene(place=PLAIN, light="day"),
            "dance": sample_dance(1_000_000 + seed, split),
            "style": style,
        }
        other = sample_clothes(1_000_000 + seed, split)
        faces.append(
            Moment(
                person=person, clothes=other, time=draw.uniform("face", 0, 8), shot="face_reference", **common
            )
        )
        body = mannequin(person)
        outfits.append(
            Moment(
                person=body, clothes=worn, time=draw.uniform("cloth", 0, 8), shot="cloth_reference", **common
            )
        )
    drawn = render_frames(faces + outfits, size=size, flow=False).images
    return drawn[: len(faces)], drawn[len(faces) :]


def attributes(moment: Moment) -> dict:
    """True colours as the moment's style shows them (RGB tuples) and catalogue indices."""
    person, clothes = moment.person, moment.clothes
    colours = {"skin": person.skin, "hair": person.hair, "top": clothes.top, "bottom": clothes.bottom}
    shown = {k: tuple(restyle(torch.tensor(v), moment.style).tolist()) for k, v in colours.items()}
    kinds = ("top_kind", "bottom_kind", "pattern", "bottom_pattern")
    return {
        **shown,
        **{name: getattr(clothes, name) for name in kinds},
        "glasses": person.glasses,
        "hair_style": person.hair_style,
    }


def check_split(split: str) -> None:
    """Raises InputError for an unknown split."""
    if split not in SPLITS:
        raise InputError(f"The split must be one of {', '.join(SPLITS)}, got {split!r}.")


def check_shot(shot: str, style: int) -> None:
    """Raises InputError for an unknown shot or style."""
    if shot not in SHOTS:
        raise InputError(f"The shot must be one of {', '.join(SHOTS)}, got {shot!r}.")
    if style not in (0, 1):
        raise InputError(f"The drawing style must be 0 or 1, got {style!r}.")


def true_keypoints(moments: Sequence[Moment], *, size: int = 128) -> Tensor:
    """`Frames.keypoints` alone, without drawing anything."""
    return keypoints_133(_body(moments, [m.time for m in moments], size), size=size)


def _render(moments: Sequence[Moment], size: int, with_flow: bool) -> Frames:
    body = _body(moments, [m.time for m in moments], size)
    styles = [m.style for m in moments]
    outline = torch.tensor(styles).float() * max(size / 150, 0.6)
    canvas = Canvas(_backgrounds(moments, size), outline=outline, cel=torch.tensor(styles) == 1)
    palette = Palette(styles)
    Figure(canvas, body, [m.person for m in moments], [m.clothes for m in moments], palette).draw()
    pixels, codes = canvas.finished()
    labels = codes // NUM_BONES
    mask = labels > 0
    moved = torch.zeros(len(moments), size, size, 2)
    if with_flow:
        later = _body(moments, [m.time + m.step for m in moments], size)
        moved = flow_between(bone_frames(body), bone_frames(later), codes % NUM_BONES, mask)
    return Frames(
        images=torch.round(pixels[..., :3].clamp(0, 1) * 255) / 255,
        keypoints=keypoints_133(body, size=size),
        depth=torch.round(pixels[..., 3].clamp(0, 1) * 255) / 255,
        labels=labels,
        mask=mask,
        flow=moved,
        captions=tuple(caption(m.scene, shot=m.shot, style=m.style) for m in moments),
    )


def _body(moments: Sequence[Moment], times: Sequence[float], size: int) -> Body:
    pose = _calm_references(pose_at([m.dance for m in moments], times), moments)
    return build_body([m.person for m in moments], pose, [m.shot for m in moments], size=size)


def _calm_references(pose: Pose, moments: Sequence[Moment]) -> Pose:
    """Reference pictures: arms low, open eyes, no crouching, so that face and clothes can be seen whole."""
    still = torch.tensor([m.shot.endswith("reference") for m in moments])
    drop = torch.where(still, torch.zeros_like(pose.pelvis[:, 1]), pose.pelvis[:, 1])
    return replace(
        pose,
        arms=torch.where(still[:, None, None], 0.3 * pose.arms, pose.arms),
        pelvis=torch.stack([pose.pelvis[:, 0], drop], dim=1),
        eyes=torch.where(still, torch.ones_like(pose.eyes), pose.eyes),
    )


def _backgrounds(moments: Sequence[Moment], size: int) -> Tensor:
    needed = list(dict.fromkeys((m.scene, m.style) for m in moments))
    drawn = torch.stack([draw_scene(scene, style=style, size=size) for scene, style in needed])
    place = {key: i for i, key in enumerate(needed)}
    return drawn[torch.tensor([place[m.scene, m.style] for m in moments])]
