"""What stands beside the results without any sampling: the best there can be, and what must fail."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ..dreamoving_core.metrics.joints import point_error
from ..dreamoving_core.metrics.point_network import POINTS
from ..dreamoving_core.procdance.render import render_frames, sample_moment
from ._quality_scores import Scores, reference_scores, scene_scores, scorecard
from ._quality_truth import Autoencode, Subject
from ._quality_variants import OTHER_DANCE, Case, in_other_scene, swapped

TRAIN_SEED = 500_000_000  # of the train split; no stage uses these
TRAIN_PICTURES = 192


def train_mean(shot: str = "whole") -> tuple[Tensor, Tensor]:
    """The mean picture `h w c` of the train split and its mean pose `133 2`, pixels: what knows nothing of the clip."""
    moments = [sample_moment(TRAIN_SEED + i, "train", shot=shot) for i in range(TRAIN_PICTURES)]
    frames = render_frames(moments, flow=False)
    return frames.images.mean(dim=0), frames.keypoints[..., :2].mean(dim=0)


def floors(
    case: Case, frames: int, *, autoencode: Autoencode, mean: tuple[Tensor, Tensor]
) -> Iterator[tuple[str, Scores]]:
    """Rows of one clip: (name, scores). `mean` is what `train_mean` returns."""
    own = Subject(seed=case.seed, frames=frames)
    shown = own.shown_by(autoencode)
    yield "truth", scorecard(own.truth.images, own)
    yield (
        "autoencoder",
        {
            **scorecard(shown, own),
            **scene_scores(shown, own),
            **reference_scores(shown, own, case.others),
        },
    )
    changed = swapped(own, case)
    yield "autoencoder_swapped", reference_scores(changed.shown_by(autoencode), changed, case.others)
    # The same pictures judged as if the swap had been asked for: what ignores the new reference must not be found.
    yield "old_reference", reference_scores(shown, changed, case.others)
    elsewhere = in_other_scene(own, case)
    yield "old_caption", scene_scores(shown, elsewhere)
    still = own.background[None].expand(frames, -1, -1, -1)
    yield "background_alone", scorecard(still, own)
    picture, pose = mean
    average = picture[None].expand(frames, -1, -1, -1)
    scores = {
        **scorecard(average, own),
        **scene_scores(average, own),
        **reference_scores(average, own, case.others),
    }
    yield "train_mean", {**scores, "joint_error_mean_pose": mean_pose_error(own, pose)}
    other = replace(own, dance_seed=case.seed + OTHER_DANCE)
    yield "truth_of_another_dance", scorecard(other.truth.images, own)


def mean_pose_error(subject: Subject, pose: Tensor) -> float:
    """The error of always naming the mean pose."""
    truth = subject.truth.keypoints[:, POINTS["joints"]]
    guess = pose[list(POINTS["joints"])].expand(len(truth), -1, -1)
    return point_error(guess, truth[..., :2], truth[..., 2], height=subject.spec.size)


def old_colours(case: Case, frames: int, *, autoencode: Autoencode) -> Scores:
    """The clip's own clothes and face, judged as if somebody else's had been asked for: what ignores the reference."""
    own = Subject(seed=case.seed, frames=frames)
    scores = scorecard(own.shown_by(autoencode), swapped(own, case))
    return {name: scores[name] for name in ("cloth_error", "face_error")}


def another_face(case: Case, frames: int) -> Scores:
    """The same face in another dance, whose expressions are others: what ignores the driving clip."""
    own = Subject(seed=case.seed, frames=frames, shot="face")
    other = replace(own, dance_seed=case.seed + OTHER_DANCE)
    return scorecard(other.truth.images, own)


def gallery_floor(case: Case, frames: int, *, autoencode: Autoencode) -> Scores:
    """How well the autoencoder's own picture of somebody else's face is found among many."""
    changed = swapped(Subject(seed=case.seed, frames=frames, shot="face"), case)
    return reference_scores(changed.shown_by(autoencode), changed, case.gallery, branches=("face",))


def long_floor(case: Case, frames: int, *, autoencode: Autoencode, shot: str = "whole") -> Scores:
    """The autoencoder alone on a clip of another length or shot."""
    own = Subject(seed=case.seed, frames=frames, shot=shot)
    with torch.inference_mode():
        return scorecard(own.shown_by(autoencode), own)
