"""Help pictures that no model makes: poses, fits, crops, formats. Clips are `f h w c` in [0, 1]."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..dreamoving_core.bridge.frame_plot import plot_over_frames
from ..dreamoving_core.bridge.keyframes import BETWEENS, parse_keyframes
from ..dreamoving_core.bridge.scorecard import score_clip
from ..dreamoving_core.metrics.scorecard import ScoreSettings
from ..dreamoving_core.metrics.scorecard_text import number
from ..dreamoving_core.preprocess.draw_pose import draw_pose
from ..dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from ..dreamoving_core.preprocess.pose_clean import CleanSettings, clean_clip
from ..dreamoving_core.preprocess.pose_clip import PoseClip, read_clip, write_clip
from ..dreamoving_core.preprocess.pose_edit import box_around, crop_with_picture, mirror_clip
from ..dreamoving_core.preprocess.pose_fit import FitSettings, fit_to_reference
from ..dreamoving_core.preprocess.pose_overlay import overlay_fit
from ..dreamoving_core.preprocess.pose_track import pick_person, track_people
from ..dreamoving_core.procdance.clip import Clip, ClipSpec, render_clip
from ..dreamoving_core.procdance.sample import driven_clip
from ..dreamoving_core.video.encode import encode_video
from ..dreamoving_core.video.playback import ImageClip

Tile = tuple[str, Tensor]
SEED, FRAMES, SIZE = 7, 16, 256


def danced(*, seed: int = SEED, frames: int = FRAMES, size: int = SIZE, shot: str = "whole", style: int = 0) -> Clip:  # fmt: skip
    return render_clip(
        ClipSpec(seed=seed, split="held_out", num_frames=frames, size=size, shot=shot, style=style)
    )


def poses_of(clip: Clip) -> PoseClip:
    return read_clip(encode_pose_keypoint(clip.keypoints, width=SIZE, height=SIZE))


def drawn(poses: PoseClip, **settings) -> Tensor:
    return draw_pose(write_clip(poses), width=poses.width, height=poses.height, **settings)


def pose_switches() -> list[Tile]:
    """Draw Pose's switches, on a close dancer."""
    poses = poses_of(danced(shot="half"))
    parts = {"body": True, "hands": False, "face": False}
    return [
        ("body", drawn(poses, **parts)),
        ("body, hands", drawn(poses, **{**parts, "hands": True})),
        ("body, hands, face", drawn(poses, body=True, hands=True, face=True)),
        ("stick_width 6", drawn(poses, body=True, hands=True, face=True, stick_width=6.0)),
    ]


def fits() -> list[Tile]:
    """A dance put on another body: grey is the reference, colours are the dance's anchor frame."""
    dance, model = danced(frames=FRAMES), danced(seed=21, frames=1)
    reference, image = poses_of(model), model.images
    modes = ("off", "whole figure", "bone by bone")
    tiles = [("reference", image)]
    for mode in modes:
        fit = fit_to_reference(poses_of(dance), reference, FitSettings(mode=mode))
        overlays = [overlay_fit(fit, image, frame=frame) for frame in range(FRAMES)]
        tiles.append((mode, torch.cat(overlays)))
    return tiles


def cleaned() -> list[Tile]:
    """A detector's trembling and leaps, and what Clean Pose makes of them."""
    poses = poses_of(danced(frames=24))
    noise = np.random.default_rng(0)
    points = poses.points.copy()
    points[..., :2] += noise.normal(0.0, 2.5, points[..., :2].shape)
    points[9, :, :18, :2] += 40.0
    rough = poses.with_points(points)
    return [
        ("as detected", drawn(rough)),
        ("smoothing 5", drawn(clean_clip(rough, CleanSettings(smoothing=5)))),
        ("smoothing 9", drawn(clean_clip(rough, CleanSettings(smoothing=9)))),
        ("smoothing 19", drawn(clean_clip(rough, CleanSettings(smoothing=19)))),
    ]


def tracked() -> list[Tile]:
    """Two dancers, and one of them."""
    near, far = poses_of(danced()), poses_of(danced(seed=21))
    small = far.points.copy()
    small[..., 0] = small[..., 0] * 0.6 + SIZE * 0.55
    small[..., 1] = small[..., 1] * 0.6 + SIZE * 0.3
    moved = near.points.copy()
    moved[..., 0] -= SIZE * 0.2
    both = near.with_points(np.concatenate([moved * (near.points[..., 2:] > 0), small], axis=1))
    people = track_people(both)
    return [
        ("everybody", drawn(both)),
        ("largest", drawn(pick_person(people, "largest"))),
        ("rightmost", drawn(pick_person(people, "rightmost"))),
    ]


def mirrored() -> list[Tile]:
    """A dance and its mirror image."""
    poses = poses_of(danced())
    return [("keypoints", drawn(poses)), ("mirrored", drawn(mirror_clip(poses)))]


def cropped() -> list[Tile]:
    """The same clip with more and less room around the dancer."""
    clip = danced()
    poses = poses_of(clip)
    tiles = [("images", clip.images)]
    for margin in (0.0, 0.15, 0.5):
        box = box_around(poses, margin=margin, aspect=1.0)
        _, images = crop_with_picture(poses, clip.images, box=box, width=SIZE, height=SIZE)
        tiles.append((f"margin {margin:g}", images))
    return tiles


def shots() -> list[Tile]:
    """What Sample Clip draws."""
    clip = driven_clip(ClipSpec(seed=SEED, split="held_out", num_frames=FRAMES, size=SIZE))
    return [
        ("driving", clip.driving),
        ("truth (whole)", clip.truth.images),
        ("half", danced(shot="half").images),
        ("face", danced(shot="face").images),
        ("outlined", danced(style=1).images),
    ]


def qualities() -> list[Tile]:
    """The same frames through Video Combine's formats, with the size of the file that they came from."""
    import av

    clip = danced(frames=FRAMES, size=SIZE).images
    tiles = []
    with tempfile.TemporaryDirectory() as folder:
        for form, quality in (("mp4", 20), ("mp4", 70), ("webm", 70), ("gif", 70)):
            path = Path(folder) / f"clip_{quality}.{form}"
            encode_video(path, clip, format=form, frame_rate=12, quality=quality)
            with av.open(str(path)) as file:
                frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
            pictures = torch.from_numpy(np.stack(frames)).float() / 255.0
            kilobytes = path.stat().st_size / 1000
            tiles.append((f"{form}, quality {quality}: {kilobytes:.0f} kB", pictures[:, 40:168, 64:192]))
    return tiles


def lines() -> list[Tile]:
    """Keyframes' plot, by what lies between."""
    keyframes = parse_keyframes("0:(0.2), 12:(1.0), 20:(0.6)")
    return [(between, plot_over_frames({"value": keyframes.at(25, between=between)})) for between in BETWEENS]


def scored() -> list[Tile]:
    """The same dance whole and spoilt in three ways, with the number that sees it."""
    clip = driven_clip(ClipSpec(seed=SEED, split="held_out", num_frames=FRAMES, size=128)).truth.images
    light = 1 + 0.15 * torch.randn(FRAMES, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    darker = clip * torch.linspace(1.0, 0.6, FRAMES)[:, None, None, None]
    jump = torch.cat([clip[: FRAMES // 2], clip[FRAMES // 2 :] * 0.75])
    settings = ScoreSettings(context_length=FRAMES // 2)
    tiles = []
    for name, spoilt in (
        ("flicker", clip),
        ("flicker", clip * light),
        ("window_seams", jump),
        ("colour_drift", darker),
    ):
        spoilt = spoilt.clamp(0, 1)
        value = score_clip(ImageClip(spoilt), settings, likeness="").figures[name].value
        tiles.append((f"{name} {number(value or 0.0)}", spoilt))
    return tiles


DRAWN: dict[str, Callable[[], list[Tile]]] = {
    "draw_pose": pose_switches,
    "fit_pose": fits,
    "clean_pose": cleaned,
    "track_person": tracked,
    "mirror_pose": mirrored,
    "crop_pose": cropped,
    "sample_clip": shots,
    "formats": qualities,
    "keyframes": lines,
    "scorecard": scored,
}
