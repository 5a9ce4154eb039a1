"""How far the dancer of a video is from the true one's joints, both found by the same pose networks."""

from pathlib import Path

import numpy as np

from ..preprocess.dwpose import PoseExtractor
from ..preprocess.pose_clip import PoseClip, read_clip
from ..video.clip_file import FileClip
from .pose_error import found_share, pose_errors


def pose_figures(clip: Path, truth: Path, extractor: PoseExtractor) -> tuple[dict[str, float], list[str]]:
    """`pose_error` (shares of the height), `joints_found` (share of the truth's), and what is missing, in words.

    The same picture gives the same joints, so that a clip beside itself has no error: nothing is cleaned or fitted.
    """
    found, wanted = poses_in(clip, extractor), poses_in(truth, extractor)
    if not wanted.seen.any():
        return {}, [f"no person was found in {truth}, so there is no pose_error"]
    ours, all_of_them = found_share(wanted, found)
    figures, errors = {"joints_found": ours / all_of_them}, pose_errors(wanted, found)
    if np.isnan(errors).all():
        return figures, [f"no joint of the dancer in {truth} was found in {clip}, so it has no pose_error"]
    return {"pose_error": float(np.nanmean(errors)), **figures}, []


def poses_in(path: Path, extractor: PoseExtractor) -> PoseClip:
    """Everybody's joints, frame by frame."""
    return read_clip(extractor.extract(FileClip(str(path)).pictures()))
