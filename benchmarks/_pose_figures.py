"""Figures of `bench preprocess` on key points: drawing against controlnet_aux, cleaning and fitting against the truth."""

import time
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..dreamoving_core.preprocess.draw_pose import draw_pose
from ..dreamoving_core.preprocess.pose_clean import CleanSettings, clean_clip
from ..dreamoving_core.preprocess.pose_clip import PARTS, PoseClip, read_clip, write_clip
from ..dreamoving_core.preprocess.pose_edit import resample_clip
from ..dreamoving_core.preprocess.pose_fit import FitSettings, fit_to_reference
from ..dreamoving_core.preprocess.pose_track import track_people
from ..dreamoving_core.procdance.dance import sample_dance
from ..dreamoving_core.procdance.identity import sample_person
from ._pose_pairs import DAMAGES, body_joints, joint_error, make_pair
from ._reference_drawer import load_drawer, reference_picture

CANVASES = ((512, 512), (512, 768), (768, 512), (1024, 576))
NOISE = 2.5  # pixels, of a detector at 512
RATE = 30


def figures(folder: Path) -> dict[str, dict]:
    """Name -> value, bar and how it was measured."""
    return {**drawing(folder), **cleaning(), **fitting(), **fitting_hard(), **resampling(), **speed()}


def random_people(seed: int) -> tuple[list[dict[str, np.ndarray]], int, int]:
    """One to three people of ProcDance anywhere, also out of the frame, with missing joints."""
    draw = np.random.default_rng(seed)
    width, height = CANVASES[seed % len(CANVASES)]
    people = []
    for person in range(1 + seed % 3):
        joints = body_joints(
            sample_person(seed * 3 + person, "train"), sample_dance(seed, "train"), [draw.uniform(0, 8)]
        )[0]
        points = joints.copy()
        points[:, :2] = points[:, :2] * draw.uniform(0.4, 1.6) + draw.uniform(-150, 250, 2)
        points[:, :2] += draw.normal(0, 3, points[:, :2].shape)
        points[draw.random(len(points)) < 0.1] = 0
        people.append(points)
    clip = PoseClip(points=np.stack(people)[None], width=width, height=height)
    ends = np.cumsum(list(PARTS.values()))[:-1]
    exact = read_clip(write_clip(clip)).points[0]  # float32, as everybody gets them
    return [dict(zip(PARTS, np.split(points, ends), strict=True)) for points in exact], width, height


def drawing(folder: Path, *, count: int = 200) -> dict[str, dict]:
    """Pixels that differ from controlnet_aux's own drawing, over `count` random people."""
    drawer = load_drawer(folder)
    differing = lit = people = seed = 0
    while people < count:
        parts, width, height = random_people(seed)
        points = np.concatenate([np.stack([person[name] for person in parts]) for name in PARTS], axis=1)
        ours = draw_pose(
            write_clip(PoseClip(points=points[None], width=width, height=height)), width=width, height=height
        )
        theirs = reference_picture(drawer, parts, width=width, height=height)
        differing += int(((ours[0] * 255).round().numpy() != theirs).any(axis=-1).sum())
        lit += int(theirs.any(axis=-1).sum())
        people, seed = people + len(parts), seed + 1
    how = f"controlnet_aux 0.0.10's draw_bodypose, draw_handpose and draw_facepose, {people} people in {seed} pictures, {lit} pixels drawn"
    return {"draw_differing_pixels": {"value": differing, "at_most": 0, "against": how}}


def noisy_dance(seed: int, *, seconds: float = 3.0, still: bool = False) -> tuple[PoseClip, PoseClip]:
    """Truth and what a trembling detector makes of it, with leaps and gaps; 30 frames per second at 512 pixels."""
    times = np.arange(round(seconds * RATE)) / RATE
    person, dance = sample_person(seed, "held_out"), sample_dance(seed, "held_out")
    joints = body_joints(person, dance, [0.0] * len(times) if still else times.tolist())
    draw = np.random.default_rng(seed)
    noisy = joints.copy()
    noisy[..., :2] += draw.normal(0, NOISE, noisy[..., :2].shape)
    leaps = draw.random(noisy.shape[:2]) < 0.01
    noisy[leaps, :2] += draw.normal(0, 60, (int(leaps.sum()), 2))
    gaps = draw.random(noisy.shape[:2]) < 0.02
    noisy[gaps] = 0
    return tuple(PoseClip(points=points[:, None], width=512, height=512) for points in (joints, noisy))


def distances(found: PoseClip, truth: PoseClip) -> tuple[float, float]:
    """Root mean square error and jitter (second difference of the error) over the body's joints, in pixels."""
    both = (found.seen & truth.seen)[:, 0, :18]
    error = np.where(both[..., None], (found.points - truth.points)[:, 0, :18, :2], np.nan)
    jitter = error[2:] - 2 * error[1:-1] + error[:-2]
    return float(np.sqrt(np.nanmean((error**2).sum(-1)))), float(np.sqrt(np.nanmean((jitter**2).sum(-1))))


def cleaning() -> dict[str, dict]:
    """How much nearer to the truth, and how much calmer."""
    rows = {"clean": [], "raw": [], "smooth_only": []}
    for seed in range(8):
        truth, noisy = noisy_dance(seed)
        rows["raw"].append(distances(noisy, truth))
        rows["clean"].append(distances(clean_clip(noisy), truth))
        rows["smooth_only"].append(distances(clean_clip(truth), truth))
    mean = {name: np.mean(values, axis=0) for name, values in rows.items()}
    how = f"8 dances at 30 frames/s, {NOISE} px noise, 1 % leaps of 60 px, 2 % missing points; ProcDance's truth"
    return {
        "clean_rmse_ratio": {"value": mean["clean"][0] / mean["raw"][0], "at_most": 0.5, "against": how},
        "clean_jitter_ratio": {"value": mean["clean"][1] / mean["raw"][1], "at_most": 0.5, "against": how},
        "clean_rmse_px": {"value": mean["clean"][0], "against": how},
        "raw_rmse_px": {"value": mean["raw"][0], "against": how},
        "clean_error_on_truth_px": {
            "value": mean["smooth_only"][0],
            "at_most": 1.0,
            "against": "the same dances without any noise",
        },
    }


def fitting(*, count: int = 100) -> dict[str, dict]:
    """The fitted dance against the same dance by the reference's person."""
    found: dict[str, list[float]] = {}
    for seed in range(count):
        pair = make_pair(seed)
        for mode, name in (("bone by bone", "fit"), ("whole figure", "fit_similarity")):
            error = joint_error(
                fit_to_reference(pair.dance, pair.reference, FitSettings(mode=mode)).clip, pair
            )
            found.setdefault(f"{name}_body", []).append(error["body"])
            found.setdefault(f"{name}_all", []).append(error["all"])
    warned = 0
    for seed in range(count):
        pair = make_pair(seed, damage=DAMAGES[seed % len(DAMAGES)])
        fit = fit_to_reference(pair.dance, pair.reference)
        warned += (
            bool(fit.warnings)
            and np.isfinite(fit.clip.points).all()
            and len(fit.clip.points) == len(pair.dance.points)
        )
    how = f"{count} pairs of other proportions, places and canvases (ProcDance, held out), share of the person's height"
    return {
        "fit_body_mean": {"value": float(np.mean(found["fit_body"])), "at_most": 0.02, "against": how},
        "fit_body_worst_pair": {"value": max(found["fit_body"]), "at_most": 0.02, "against": how},
        "fit_all_mean": {"value": float(np.mean(found["fit_all"])), "at_most": 0.02, "against": how + ", all 136 joints"},
        "fit_all_worst_pair": {"value": max(found["fit_all"]), "against": how + ", all 136 joints"},
        "fit_similarity_body_mean": {"value": float(np.mean(found["fit_similarity_body"])), "against": how + "; one scale for all"},
        "fit_damaged_without_warning": {
            "value": count - int(warned),
            "at_most": 0,
            "against": f"{count} pairs, each with one of: {', '.join(DAMAGES)}",
        },
    }  # fmt: skip


def fitting_hard(*, count: int = 50) -> dict[str, dict]:
    """What the bars leave out: a detector's noise on both pictures, and a reference that dances. Told, not barred."""
    noisy, dancing = [], []
    for seed in range(count):
        pair, draw = make_pair(seed), np.random.default_rng(seed)
        seen = [trembling(clip, draw, share=0.006) for clip in (pair.dance, pair.reference)]
        noisy.append(joint_error(fit_to_reference(clean_clip(seen[0]), seen[1]).clip, pair)["body"])
        pair = make_pair(seed, calm=False)
        dancing.append(joint_error(fit_to_reference(pair.dance, pair.reference).clip, pair)["body"])
    return {
        "fit_noisy_body_mean": {"value": float(np.mean(noisy)), "against": f"{count} pairs, noise of 0.6 % of the figure on both, dance cleaned"},
        "fit_dancing_reference_body_mean": {"value": float(np.mean(dancing)), "against": f"{count} pairs, the reference caught in a dance"},
    }  # fmt: skip


def trembling(clip: PoseClip, draw: np.random.Generator, *, share: float) -> PoseClip:
    """Every point with noise, in shares of the figure's height."""
    points = clip.points.copy()
    points[..., :2] += draw.normal(0, share * np.ptp(points[..., 1]), points[..., :2].shape)
    return clip.with_points(points)


def resampling() -> dict[str, dict]:
    """Every second frame taken out and put in again."""
    errors = []
    for seed in range(8):
        truth, _ = noisy_dance(seed)
        half = truth.with_points(truth.points[::2])
        back = resample_clip(half, rate=Fraction(15), new_rate=Fraction(30))
        errors.append(distances(back.with_points(back.points[:-1]), truth.with_points(truth.points[:-1]))[0])
    return {
        "resample_rmse_px": {
            "value": float(np.mean(errors)),
            "at_most": 1.0,
            "against": "8 dances, 30 to 15 to 30 frames/s at 512",
        }
    }


def speed() -> dict[str, dict]:
    """Frames per second and peak memory of each step on one core, 300 frames of one person."""
    truth, noisy = noisy_dance(0, seconds=10)
    reference = make_pair(0).reference
    keypoints = write_clip(noisy)
    steps = {
        "read": lambda: read_clip(keypoints),
        "track": lambda: track_people(noisy),
        "clean": lambda: clean_clip(noisy, CleanSettings()),
        "fit": lambda: fit_to_reference(truth, reference),
        "draw_512": lambda: draw_pose(keypoints[:60], width=512, height=512),
    }
    found = {}
    for name, step in steps.items():
        frames = 60 if name == "draw_512" else len(keypoints)
        start = time.perf_counter()
        step()
        found[f"{name}_frames_per_second"] = {
            "value": frames / (time.perf_counter() - start),
            "against": "one core",
        }
        tracemalloc.start()
        step()
        found[f"{name}_peak_mb"] = {
            "value": tracemalloc.get_traced_memory()[1] / 1e6,
            "against": "Python and numpy memory",
        }
        tracemalloc.stop()
    return found
