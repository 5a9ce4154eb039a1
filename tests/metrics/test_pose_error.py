"""Distances between poses that are known: shifted, scaled, missing, of another length."""

import numpy as np
import pytest
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.pose_error import found_share, matched, pose_errors
from dreamoving.dreamoving_core.preprocess.pose_clip import BODY, NUM_JOINTS, PoseClip


def dance(frames=5, *, width=100, height=200, people=1, seed=0):
    draw = np.random.default_rng(seed)
    points = np.zeros((frames, people, NUM_JOINTS, 3))
    points[..., :2] = draw.uniform(0.2, 0.8, points[..., :2].shape) * (width, height)
    points[..., 2] = 1.0
    return PoseClip(points=points, width=width, height=height)


def moved(clip, by, *, times=1.0):
    points = clip.points.copy()
    points[..., :2] = points[..., :2] * times + by
    return clip.with_points(points)


def test_the_same_poses_have_no_error():
    assert pose_errors(dance(), dance()).tolist() == [0.0] * 5


def test_a_dancer_a_tenth_of_the_height_aside_has_an_error_of_a_tenth():
    assert pose_errors(dance(), moved(dance(), (12, 16))) == pytest.approx([0.1] * 5)


def test_the_wanted_poses_may_be_of_another_size_but_not_of_another_shape():
    small, other = dance(), dance(width=150)
    large = PoseClip(points=small.points * (2, 2, 1), width=200, height=400)

    assert pose_errors(small, large) == pytest.approx([0.0] * 5)
    with pytest.raises(InputError, match="for 150 x 200 pixels, the result's for 100 x 200: another shape"):
        pose_errors(other, small)


def test_one_scale_and_one_place_are_taken_out_and_nothing_else():
    wanted = dance()
    cropped = PoseClip(points=moved(wanted, (7, -9), times=1.5).points, width=300, height=150)
    leaping = cropped.points.copy()
    leaping[2, ..., :2] += 30

    assert pose_errors(wanted, cropped, fitted=True) == pytest.approx([0.0] * 5, abs=1e-9)
    assert np.argmax(pose_errors(wanted, cropped.with_points(leaping), fitted=True)) == 2


def test_another_dance_keeps_its_size_when_it_is_fitted():
    errors = pose_errors(dance(), dance(seed=1), fitted=True)

    assert errors.mean() > 0.2, "two independent places in a box are about half its side apart"


def test_joints_that_one_of_them_lacks_do_not_count():
    found = moved(dance(), (0, 20))
    points = found.points.copy()
    points[1, 0, BODY.start : BODY.stop - 1, 2] = 0
    points[3, ..., 2] = 0

    errors = pose_errors(dance(), found.with_points(points))

    assert errors[[0, 1, 2, 4]] == pytest.approx([0.1] * 4)
    assert np.isnan(errors[3])
    assert found_share(dance(), found.with_points(points)) == (3 * 18 + 1, 5 * 18)


def test_a_smaller_person_in_the_background_does_not_count():
    two = dance(people=2)
    points = two.points.copy()
    points[:, 1, :, :2] = points[:, 1, :, :2] * 0.2 + 3
    wanted = PoseClip(points=points[:, :1], width=100, height=200)

    assert pose_errors(wanted, two.with_points(points[:, ::-1])) == pytest.approx([0.0] * 5)


def test_one_frame_more_is_rounding_and_is_told_and_more_is_refused():
    wanted, told = matched(dance(6), dance(5))
    short, told_short = matched(dance(4), dance(5))

    assert (len(wanted.points), told) == (5, "6 poses for 5 frames: the first 5 were compared")
    assert not short.seen[4].any()
    assert told_short == "4 poses for 5 frames: the first 4 were compared"
    with pytest.raises(InputError, match="keypoints has 15 frames and result_keypoints 5"):
        matched(dance(15), dance(5))
