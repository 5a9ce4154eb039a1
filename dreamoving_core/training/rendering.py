"""Draws training pictures from ProcDance's train split."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from ..preprocess.draw_pose import draw_keypoints
from ..preprocess.keypoints import encode_pose_keypoint
from ..preprocess.pose_clip import read_clip
from ..procdance.clip import ClipSpec, moments
from ..procdance.identity import BOTTOMS, HAIR_STYLES, PATTERNS, TOPS, sample_clothes, sample_person
from ..procdance.render import (
    Moment,
    attributes,
    render_frames,
    render_references,
    sample_moment,
    true_keypoints,
)
from .dances import SHOTS, DanceSet, as_bytes, person_cells
from .image_encoder import References
from .stages import Stage

COLOURS = {"face": ("skin", "hair"), "cloth": ("top", "bottom")}
CLASSES = {
    "face": ("glasses", "hair_style"),
    "cloth": ("top_kind", "bottom_kind", "pattern", "bottom_pattern"),
}
CLASS_COUNTS = {
    "face": (2, len(HAIR_STYLES)),
    "cloth": (len(TOPS), len(BOTTOMS), len(PATTERNS), len(PATTERNS)),
}


def picture_moment(seed: int, *, shots: Sequence[str] = SHOTS, style: int = 0) -> Moment:
    """One picture of the train split; the seed decides the shot too."""
    return sample_moment(seed, "train", shot=shots[seed % len(shots)], style=style)


def picture_pool(
    *, count: int, first_seed: int, styles: Sequence[int] = (0,), chunk: int = 64
) -> tuple[Tensor, Tensor]:
    """`count` pictures `n c h w` (uint8) and their person masks `n h w`, in these styles in turn, drawn once in large
    batches: a third of the time of drawing anew for every step, and no picture's crop comes up often enough to be learned
    by heart."""
    images, masks = [], []
    for start in range(first_seed, first_seed + count, chunk):
        seeds = range(start, min(start + chunk, first_seed + count))
        # a seed's last digit decides its shot already
        drawn = [picture_moment(seed, style=styles[seed // len(SHOTS) % len(styles)]) for seed in seeds]
        frames = render_frames(drawn, flow=False)
        images.append(as_bytes(rearrange(frames.images, "n h w c -> n c h w")))
        masks.append(frames.mask)
    return torch.cat(images), torch.cat(masks)


def clip_moments(seed: int, *, num_frames: int, shots: Sequence[str] = SHOTS, style: int = 0) -> list[Moment]:
    """The frames of one training clip."""
    shot = shots[seed % len(shots)]
    return moments(ClipSpec(seed=seed, num_frames=num_frames, shot=shot, style=style))


def danced(count: int, frames: int, *, shots: Sequence[str] = SHOTS, style: int = 0) -> list[list[Moment]]:
    """What a set of the train split shows, clips or pictures; row n is seed n."""
    if frames == 1:
        return [[picture_moment(seed, shots=shots, style=style)] for seed in range(count)]
    return [clip_moments(seed, num_frames=frames, shots=shots, style=style) for seed in range(count)]


def poses_of(count: int, stage: Stage) -> Tensor | None:
    """True poses of such a set, for a stage whose poses tremble or drop out; else its pictures serve."""
    trembling = stage.pose_jitter or stage.pose_dropout
    if not trembling or "pose" not in stage.controls:
        return None
    return pose_points(danced(count, stage.frames, shots=stage.shots, style=stage.style))


def pose_points(clips: list[list[Moment]], *, size: int = 128) -> Tensor:
    """True poses `n f 136 3` of clips of equal length, in pixels of pictures of `size`; no picture is drawn."""
    flat = [moment for clip in clips for moment in clip]
    frames = encode_pose_keypoint(true_keypoints(flat, size=size), width=size, height=size)
    points = torch.from_numpy(read_clip(frames).points[:, 0]).float()
    return rearrange(points, "(n f) j d -> n f j d", f=len(clips[0]))


def reference_pictures(
    firsts: list[Moment], seeds: list[int], *, style: int = 0, chunk: int = 64
) -> References:
    """Face and cloth references of each dancer, drawn in a style, with the true colours and kinds of the moments."""
    drawn: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(firsts), chunk):
        some = firsts[start : start + chunk]
        people, clothes = [m.person for m in some], [m.clothes for m in some]
        shown = {"seeds": seeds[start : start + chunk], "styles": [style] * len(some)}
        drawn.append(render_references(people, clothes, **shown))
    truths = [attributes(moment) for moment in firsts]
    return {
        branch: (
            as_bytes(rearrange(torch.cat(pictures), "n h w c -> n c h w")),
            torch.tensor([[value for name in COLOURS[branch] for value in truth[name]] for truth in truths]),
            torch.tensor([[int(truth[name]) for name in CLASSES[branch]] for truth in truths]),
        )
        for branch, pictures in zip(("face", "cloth"), zip(*drawn, strict=True), strict=True)
    }


def draw_set(clips: list[list[Moment]], seeds: list[int], *, chunk: int = 64) -> DanceSet:
    """Render and pack clips of equal length, each with references in other poses and other company."""
    flat = [moment for clip in clips for moment in clip]
    parts: dict[str, list[Tensor]] = {name: [] for name in ("images", "pose", "depth", "person")}
    captions: list[str] = []
    for start in range(0, len(flat), chunk):
        frames = render_frames(flat[start : start + chunk], flow=False)
        height, width = frames.mask.shape[-2:]
        pose = draw_keypoints(frames.keypoints, width=width, height=height)
        parts["images"].append(as_bytes(rearrange(frames.images, "f h w c -> f c h w")))
        parts["pose"].append(as_bytes(rearrange(pose, "f h w c -> f c h w")))
        parts["depth"].append(as_bytes(rearrange(frames.depth, "f h w -> f 1 h w")))
        parts["person"].append(person_cells(frames.mask))
        captions += frames.captions
    each = len(clips[0])
    packed = {
        name: rearrange(torch.cat(values), "(n f) ... -> n f ...", f=each) for name, values in parts.items()
    }
    references = reference_pictures([clip[0] for clip in clips], seeds, chunk=chunk)
    known = sorted(set(captions))
    return DanceSet(
        face=references["face"][0],
        cloth=references["cloth"][0],
        colours=torch.cat([references[branch][1] for branch in ("face", "cloth")], dim=1),
        kinds=torch.cat([references[branch][2] for branch in ("face", "cloth")], dim=1),
        caption=torch.tensor([known.index(c) for c in captions[::each]]),
        captions=tuple(known),
        **packed,
    )


def face_pool(*, people: int, pictures: int, first_seed: int) -> Tensor:
    """`people pictures 3 h w` (uint8): face references of each person at several times, in several clothes."""
    persons, seeds = [], []
    for number in range(people):
        persons += [sample_person(first_seed + number, "train")] * pictures
        seeds += [first_seed + number * pictures + i for i in range(pictures)]
    clothes = [sample_clothes(seed, "train") for seed in seeds]
    drawn = []
    for start in range(0, len(seeds), 64):
        some = slice(start, start + 64)
        drawn.append(as_bytes(render_references(persons[some], clothes[some], seeds=seeds[some])[0]))
    return rearrange(torch.cat(drawn), "(n s) h w c -> n s c h w", s=pictures)
