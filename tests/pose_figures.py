"""Figures for the tests of pose tools: ProcDance's dancers without pictures, and a plain standing person."""

import importlib

import numpy as np
from dreamoving.dreamoving_core.preprocess.pose_clip import PoseClip
from dreamoving.dreamoving_core.procdance.dance import sample_dance
from dreamoving.dreamoving_core.procdance.identity import sample_person

pose_pairs = importlib.import_module("dreamoving.benchmarks._pose_pairs")


def dancing(seed: int, *, frames: int = 24, rate: float = 30.0) -> PoseClip:
    """One dancer on 512 x 512 pixels, every joint seen."""
    times = [0.3 * seed + frame / rate for frame in range(frames)]
    joints = pose_pairs.body_joints(sample_person(seed, "train"), sample_dance(seed, "train"), times)
    return PoseClip(points=joints[:, None], width=512, height=512)


def standing(*, frames: int = 1, height: float = 400.0, x: float = 256.0, ground: float = 480.0) -> PoseClip:
    """One person who does not move: a frame of a dance, `height` pixels tall, feet on `ground`."""
    joints = dancing(1, frames=1).points[0, 0]
    low, high = joints[:, :2].min(axis=0), joints[:, :2].max(axis=0)
    scale = height / (high[1] - low[1])
    placed = joints.copy()
    placed[:, 0] = (joints[:, 0] - (low[0] + high[0]) / 2) * scale + x
    placed[:, 1] = (joints[:, 1] - high[1]) * scale + ground
    return PoseClip(points=np.repeat(placed[None, None], frames, axis=0), width=512, height=512)
