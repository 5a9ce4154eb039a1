"""Figures of `bench preprocess` on Pose Extract: from a real mp4 against the renderer's truth, decoding, speed, memory."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from ..dreamoving_core.preprocess.dwpose import ExtractSettings, PoseExtractor, open_extractor
from ..dreamoving_core.preprocess.dwpose_simcc import decode_simcc
from ..dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from ..dreamoving_core.preprocess.pose_clean import CleanSettings, clean_clip
from ..dreamoving_core.preprocess.pose_clip import PoseClip, read_clip
from ..dreamoving_core.procdance.clip import ClipSpec
from ..dreamoving_core.procdance.sample import driven_clip
from ..dreamoving_core.tiny.files import FOLDER, PERSON_DETECTOR, POINT_DETECTOR
from ..dreamoving_core.video.clip_file import FileClip
from ..dreamoving_core.video.encode import encode_video
from ._resident import peak_bytes, start_counting

SEEDS = range(1000, 1008)  # of held-out dancers, as in `bench demo`
FRAMES, SIZE = 32, 128
CLEAN = CleanSettings(smoothing=7)  # as the demo has it: its dance has 12 frames a second
NEAR = 0.03  # of the picture's height
LONG_FRAMES, LONG_SIZE = 1800, (1280, 720)


def figures(folder: Path) -> dict[str, dict]:
    """Name -> value, bar and how it was measured."""
    return {**against_truth(), **decoding(), **speed(), **long_video()}


def tiny_extractor(folder: Path = FOLDER, **settings) -> PoseExtractor:
    """Pose Extract's networks as a graph without model files has them."""
    files = folder / PERSON_DETECTOR, folder / POINT_DETECTOR
    return open_extractor(*files, ExtractSettings(**settings), device="CPU")


def through_mp4(seed: int, folder: Path, *, shot: str = "whole") -> tuple[Path, PoseClip]:
    """A held-out driving clip as an mp4, and its true poses."""
    spec = ClipSpec(seed=seed, split="held_out", num_frames=FRAMES, size=SIZE, shot=shot)
    clip = driven_clip(spec)
    path = folder / f"{shot}_{seed}.mp4"
    encode_video(path, clip.driving, format="mp4", frame_rate=spec.fps)
    return path, read_clip(encode_pose_keypoint(clip.truth.keypoints, width=SIZE, height=SIZE))


def misses(found: PoseClip, truth: PoseClip) -> np.ndarray:
    """Distance of each truly visible joint `f j` to its place, in heights; infinite where it was not found, NaN where
    there is nothing to find."""
    person = found.points[:, 0] if found.points.shape[1] else np.zeros_like(truth.points[:, 0])
    true = truth.points[:, 0]
    error = np.linalg.norm(person[..., :2] - true[..., :2], axis=-1) / truth.height
    error[person[..., 2] == 0] = np.inf
    error[true[..., 2] == 0] = np.nan
    return error


def trembling(found: PoseClip, truth: PoseClip) -> float:
    """RMS second difference over frames of estimate minus truth, in pixels, where both know three frames in a row."""
    person, true = found.points[:, 0], truth.points[:, 0]
    known = (person[..., 2] > 0) & (true[..., 2] > 0)
    change = np.diff(person[..., :2] - true[..., :2], n=2, axis=0)
    return float(np.sqrt(np.square(change[known[:-2] & known[1:-1] & known[2:]]).sum(axis=-1).mean()))


def against_truth(weights: Path = FOLDER) -> dict[str, dict]:
    """Tiny's detectors on held-out dancers, from the file to the pose."""
    extractor = tiny_extractor(weights)
    errors, parts = [], {"raw": [], "clean": []}
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            path, truth = through_mp4(seed, Path(folder))
            found = read_clip(extractor.extract(FileClip(str(path)).pictures()))
            errors.append(misses(found, truth))
            parts["raw"].append(trembling(found, truth))
            parts["clean"].append(trembling(clean_clip(found, CLEAN), truth))
    seen = np.concatenate(errors)
    body = seen[:, :18][~np.isnan(seen[:, :18])]
    every = seen[~np.isnan(seen)]
    raw, clean = (float(np.sqrt(np.mean(np.square(parts[name])))) for name in ("raw", "clean"))
    how = f"{len(SEEDS)} held-out clips of {FRAMES} frames, {SIZE} pixels, through a real mp4"
    return {
        "pck": {
            "value": (every <= NEAR).mean(),
            "at_least": 0.9,
            "against": f"truth, all visible joints; {how}",
        },
        "pck_body": {"value": (body <= NEAR).mean(), "against": "truth, the body's 18 joints"},
        "pose_median_error_pixels": {"value": np.median(every) * SIZE, "against": "truth"},
        "jitter_raw_pixels": {"value": raw, "against": "RMS second difference of estimate minus truth"},
        "jitter_clean_pixels": {
            "value": clean,
            "at_most": raw / 2,
            "against": "after Clean Pose as in the demo; bar: half of raw",
        },
    }


def plain_decoding(simcc_x: np.ndarray, simcc_y: np.ndarray) -> tuple[list, list]:
    """What the authors' decoding says, value by value."""
    points, scores = [], []
    for line_x, line_y in zip(simcc_x, simcc_y, strict=True):
        best_x, best_y = 0, 0
        for i, value in enumerate(line_x):
            best_x = i if value > line_x[best_x] else best_x
        for i, value in enumerate(line_y):
            best_y = i if value > line_y[best_y] else best_y
        score = min(line_x[best_x], line_y[best_y])
        points.append((best_x / 2.0, best_y / 2.0) if score > 0 else (-0.5, -0.5))
        scores.append(score)
    return points, scores


def decoding() -> dict[str, dict]:
    """Our decoding against the plain loop, on random answers."""
    draw = np.random.default_rng(0)
    simcc_x = draw.normal(-1.0, 1, (3, 133, 576)).astype(np.float32)
    simcc_y = draw.normal(-1.0, 1, (3, 133, 768)).astype(np.float32)
    simcc_x[0, :9] -= 9
    points, scores = decode_simcc(simcc_x, simcc_y)
    worst = 0.0
    for person in range(3):
        plain = plain_decoding(simcc_x[person], simcc_y[person])
        worst = max(worst, np.abs(points[person] - plain[0]).max(), np.abs(scores[person] - plain[1]).max())
    return {
        "simcc_difference": {
            "value": worst,
            "at_most": 0.0,
            "against": "a plain loop, 3 x 133 random answers",
        }
    }


def speed() -> dict[str, dict]:
    """Frames per second of Tiny's detectors on the CPU, a search in each frame."""
    pictures = [np.random.default_rng(i).integers(0, 255, (SIZE, SIZE, 3), np.uint8) for i in range(FRAMES)]
    extractor = tiny_extractor(every=1)
    extractor.extract(pictures[:2])
    start = time.perf_counter()
    extractor.extract(pictures)
    rate = FRAMES / (time.perf_counter() - start)
    return {
        "extract_frames_per_second": {
            "value": rate,
            "against": f"Tiny's detectors, {SIZE} pixels, {torch.get_num_threads()} thread",
        }
    }


def write_long_video(path: Path) -> None:
    """A dancer who walks through a 720p picture, drawn once and moved."""
    clip = driven_clip(ClipSpec(seed=1000, split="held_out", num_frames=8, size=720))
    frames = torch.zeros(8, LONG_SIZE[1], LONG_SIZE[0], 3)

    def moved():
        for i in range(LONG_FRAMES):
            frame = frames[i % 8]
            left = 3 * i % (LONG_SIZE[0] - 720)
            frame.fill_(0.4)
            frame[:, left : left + 720] = clip.driving[i % 8]
            yield frame

    encode_video(path, moved(), format="mp4", frame_rate=30, preset="ultrafast")


LONG_RUN = """
import sys, importlib.util
from pathlib import Path
root = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location("dreamoving", root / "__init__.py", submodule_search_locations=[str(root)])
module = importlib.util.module_from_spec(spec)
sys.modules["dreamoving"] = module
spec.loader.exec_module(module)
from dreamoving.benchmarks._pose_extract_figures import long_run
long_run(sys.argv[2])
"""


def long_run(path: str) -> None:
    """In a process of its own: how much more memory the whole video takes than two frames of it, and how many came."""
    torch.set_num_threads(1)
    extractor = tiny_extractor(every=5)
    extractor.extract([np.zeros((LONG_SIZE[1], LONG_SIZE[0], 3), np.uint8)] * 2)
    idle, start = start_counting(), time.perf_counter()
    frames = extractor.extract(FileClip(path).pictures())
    seconds = time.perf_counter() - start
    print(len(frames), (peak_bytes() - idle) / 1e6, len(frames) / seconds)


def long_video() -> dict[str, dict]:
    """1,800 frames of 720p."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        write_long_video(path)
        command = [sys.executable, "-c", LONG_RUN, str(root), str(path)]
        said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout
    count, memory, rate = (float(word) for word in said.split())
    how = f"{LONG_FRAMES} frames of {LONG_SIZE[0]} x {LONG_SIZE[1]}, a search every 5 frames"
    return {
        "long_video_frames": {
            "value": count,
            "at_least": LONG_FRAMES,
            "at_most": LONG_FRAMES,
            "against": how,
        },
        "long_video_extra_mb": {
            "value": memory,
            "at_most": 600,
            "against": "above the process with its networks loaded",
        },
        "long_video_frames_per_second": {
            "value": rate,
            "against": "Tiny's detectors, one core, decoding included",
        },
    }


def environment() -> dict[str, str]:
    """Ours, with ComfyUI where the child finds it."""
    import os

    return {**os.environ, "PYTHONPATH": os.environ.get("COMFYUI_PATH", "")}
