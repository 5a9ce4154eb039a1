"""Fit to Reference against ProcDance's truth: the same dance by the reference's person."""

import numpy as np
import pytest
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.pose_bones import bone_lengths, sits
from dreamoving.dreamoving_core.preprocess.pose_clip import (
    LEFT_ANKLE,
    LEFT_HIP,
    LEFT_KNEE,
    NECK,
    NOSE,
    RIGHT_ANKLE,
    PoseClip,
)
from dreamoving.dreamoving_core.preprocess.pose_fit import FitSettings, fit_to_reference
from dreamoving.dreamoving_core.preprocess.pose_report import outside
from pose_figures import dancing, pose_pairs, standing

WHOLE = FitSettings(mode="whole figure")


def bare(clip: PoseClip, joints) -> PoseClip:
    points = clip.points.copy()
    points[:, :, joints] = 0
    return clip.with_points(points)


@pytest.mark.parametrize("seed", range(8))
def test_a_complete_figure_is_within_two_percent_of_its_height_of_the_truth(seed):
    pair = pose_pairs.make_pair(seed, frames=16)

    fit = fit_to_reference(pair.dance, pair.reference)

    assert fit.clip.points.shape == pair.truth.shape
    assert (fit.clip.width, fit.clip.height) == (pair.reference.width, pair.reference.height)
    assert pose_pairs.joint_error(fit.clip, pair)["body"] < 0.02


def test_bones_of_their_own_are_nearer_to_the_truth_than_one_scale_for_all():
    pairs = [pose_pairs.make_pair(seed, frames=12) for seed in range(10)]

    errors = {
        mode: np.mean([
            pose_pairs.joint_error(fit_to_reference(p.dance, p.reference, FitSettings(mode=mode)).clip, p)["body"]
            for p in pairs
        ])
        for mode in ("bone by bone", "whole figure")
    }  # fmt: skip

    assert errors["bone by bone"] < 0.6 * errors["whole figure"]


@pytest.mark.parametrize("damage", pose_pairs.DAMAGES)
def test_what_is_cut_off_or_sits_goes_through_with_a_warning_and_every_frame(damage):
    for seed in range(3):
        pair = pose_pairs.make_pair(seed, frames=8, damage=damage)

        fit = fit_to_reference(pair.dance, pair.reference)

        assert fit.warnings
        assert len(fit.clip.points) == 8
        assert np.isfinite(fit.clip.points).all()
        assert np.array_equal(fit.clip.seen, pair.dance.seen)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("dance without legs", "The dance shows no legs: the figure is placed by its neck"),
        ("reference without legs", "The reference shows no legs: the figure is placed by its neck"),
        ("reference head", "The reference shows no body: the figure is placed by its head"),
        ("reference sits", "Nobody stands upright in the reference"),
    ],
)
def test_the_warning_says_what_is_missing(damage, said):
    pair = pose_pairs.make_pair(1, frames=8, damage=damage)

    assert any(said in warning for warning in fit_to_reference(pair.dance, pair.reference).warnings)


@pytest.mark.parametrize("seed", range(4))
def test_a_sitting_reference_does_not_shorten_the_legs(seed):
    pair = pose_pairs.make_pair(seed, frames=8, damage="reference sits")

    fit = fit_to_reference(pair.dance, pair.reference)

    assert fit.ratios["thigh"] == fit.ratios["shin"] == fit.scale
    mine, true = (bone_lengths(points[:, 0])["thigh"] for points in (fit.clip.points, pair.truth))
    assert mine > 0.7 * true


def test_a_dance_without_mistakes_needs_no_warning():
    clip = dancing(2)

    assert fit_to_reference(clip, standing(height=300)).warnings == ()


@pytest.mark.parametrize("settings", [None, WHOLE], ids=["bone by bone", "whole figure"])
def test_the_dancers_own_picture_as_reference_changes_nothing_much(settings):
    clip = standing(frames=5)

    fitted = fit_to_reference(clip, standing(), settings).clip

    np.testing.assert_allclose(fitted.points, clip.points, atol=1e-6)


def test_the_whole_figure_mode_is_a_similarity():
    clip, reference = dancing(2), standing(height=200, x=100, ground=300)

    fit = fit_to_reference(clip, reference, WHOLE)

    moved = fit.clip.points[..., :2] - fit.scale * clip.points[..., :2]
    assert np.ptp(moved.reshape(-1, 2), axis=0).max() < 1e-6
    assert len(set(fit.ratios.values())) == 1


@pytest.mark.parametrize("height", [150, 300, 450])
def test_the_dancer_stands_on_the_references_ground_and_is_as_tall(height):
    still, reference = standing(frames=3, height=400, x=200), standing(height=height, x=310, ground=470)

    fitted = fit_to_reference(still, reference).clip

    np.testing.assert_allclose(fitted.points[0], reference.points[0], atol=0.5)


def test_planted_feet_stay_planted():
    """The foot that carries the dancer slides no more than it did, on a body with other legs."""
    pair = pose_pairs.make_pair(11, frames=24)

    fit = fit_to_reference(pair.dance, pair.reference)

    for clip, factor in ((pair.dance, fit.scale), (fit.clip, 1.0)):
        ankles = clip.points[:, 0, [RIGHT_ANKLE, LEFT_ANKLE], :2] * factor
        lower = ankles[..., 1].argmax(axis=1)
        same = lower[1:] == lower[:-1]
        steps = np.hypot(*np.moveaxis(np.diff(ankles, axis=0), -1, 0))[np.arange(23), lower[1:]]
        slid = steps[same].mean() / pair.height
        if clip is pair.dance:
            before = slid
    assert slid < before + 0.002


def test_the_chosen_anchor_frame_stands_where_the_reference_stands():
    clip, reference = dancing(5, frames=30), standing(x=128)
    walking = clip.points.copy()
    walking[..., 0] += np.linspace(0, 200, 30)[:, None, None]
    clip = clip.with_points(walking)

    fitted = fit_to_reference(clip, reference, FitSettings(anchor_frame=20)).clip

    feet = [RIGHT_ANKLE, LEFT_ANKLE]
    assert fitted.points[20, 0, feet, 0].mean() == pytest.approx(
        reference.points[0, 0, feet, 0].mean(), abs=6
    )
    assert fitted.points[20, 0, feet, 1].max() == pytest.approx(reference.points[0, 0, feet, 1].max(), abs=3)


def test_off_passes_everybody_on_as_they_are():
    points = np.concatenate([dancing(1).points, dancing(2).points], axis=1)
    clip = PoseClip(points=points, width=512, height=512)

    fit = fit_to_reference(clip, standing(), FitSettings(mode="off"))

    assert fit.clip is clip
    assert fit.warnings == ()


def test_joints_that_leave_the_picture_are_named_with_their_frames():
    clip = dancing(2, frames=10)
    points = clip.points.copy()
    points[4:6, ..., 0] -= 700

    fit = fit_to_reference(clip.with_points(points), standing())

    assert outside(fit.clip)[4:6].any(axis=(1, 2)).all()
    assert any("leave the 512 x 512 picture in 2 of 10 frames, first in frame 4" in w for w in fit.warnings)


def test_frames_without_anybody_stay_empty_and_are_counted():
    points = dancing(2).points.copy()
    points[3:5] = 0

    fit = fit_to_reference(PoseClip(points=points, width=512, height=512), standing())

    assert fit.clip.seen.any(axis=(1, 2)).tolist() == [frame not in (3, 4) for frame in range(24)]
    assert any("2 of 24 frames show nobody" in warning for warning in fit.warnings)


def test_of_three_people_the_largest_dances_and_a_warning_says_so():
    small, large = standing(frames=6, height=150, x=80), standing(frames=6, height=400, x=300)
    three = np.concatenate([small.points, large.points, small.points + np.array([400, 0, 0])], axis=1)
    clip = PoseClip(points=three, width=512, height=512)

    fit = fit_to_reference(clip, standing())

    assert fit.clip.points.shape == (6, 1, 136, 3)
    assert fit.scale == pytest.approx(1.0)
    assert any("3 people were found in the dance; the largest is used" in warning for warning in fit.warnings)


def test_one_frame_is_enough():
    pair = pose_pairs.make_pair(5, frames=1)

    fit = fit_to_reference(pair.dance, pair.reference)

    assert fit.clip.points.shape == (1, 1, 136, 3)
    assert pose_pairs.joint_error(fit.clip, pair)["body"] < 0.06


@pytest.mark.parametrize(
    "joints", [[NECK], [NOSE], [NECK, NOSE], [LEFT_HIP], [LEFT_KNEE, LEFT_ANKLE], list(range(24, 136))]
)
def test_missing_joints_stay_missing_and_leave_the_others_in_place(joints):
    pair = pose_pairs.make_pair(4, frames=12)
    whole = fit_to_reference(pair.dance, pair.reference).clip

    fitted = fit_to_reference(bare(pair.dance, joints), bare(pair.reference, joints)).clip

    both = fitted.seen & whole.seen
    assert not fitted.seen[:, :, joints].any()
    assert np.hypot(*(fitted.points - whole.points)[both][:, :2].T).mean() < 0.05 * pair.height


@pytest.mark.parametrize("shown", [[NOSE], [LEFT_ANKLE], [LEFT_HIP, LEFT_KNEE], list(range(94, 115))])
def test_a_few_joints_alone_do_no_harm(shown):
    hidden = [joint for joint in range(136) if joint not in shown]
    pair = pose_pairs.make_pair(4, frames=4)

    for dance, reference in (
        (bare(pair.dance, hidden), pair.reference),
        (pair.dance, bare(pair.reference, hidden)),
    ):
        fit = fit_to_reference(dance, reference)

        assert np.isfinite(fit.clip.points).all()
        assert np.array_equal(fit.clip.seen, dance.seen)
        assert fit.warnings


def test_nobody_in_the_dance_or_the_reference_is_told_in_words():
    empty = PoseClip(points=np.zeros((2, 1, 136, 3)), width=64, height=48)

    with pytest.raises(InputError, match=r"No person was found in the dance \(2 frames, 64 x 48"):
        fit_to_reference(empty, standing())
    with pytest.raises(InputError, match=r"No person was found in the reference"):
        fit_to_reference(standing(), empty)


def test_unknown_modes_and_anchor_frames_are_refused_in_words():
    with pytest.raises(InputError, match=r"mode must be one of bone by bone, whole figure, off, got 'magic'"):
        fit_to_reference(standing(), standing(), FitSettings(mode="magic"))
    with pytest.raises(InputError, match=r"one of the dance's frames 0 to 2, or -1 .*got 3"):
        fit_to_reference(standing(frames=3), standing(), FitSettings(anchor_frame=3))


def test_a_length_does_not_depend_on_one_foreshortened_frame():
    clip = dancing(2, frames=40)
    squeezed = clip.points.copy()
    squeezed[:3, ..., 1] = 256 + 0.3 * (squeezed[:3, ..., 1] - 256)

    before, after = bone_lengths(clip.points[:, 0]), bone_lengths(squeezed[:, 0])

    assert set(before) == set(after)
    for group, length in before.items():
        assert after[group] == pytest.approx(length, rel=0.05), group


def test_who_stands_does_not_sit_and_who_sits_does():
    upright = standing().points
    assert not sits(upright[:, 0])
    assert sits(pose_pairs.sitting(upright)[:, 0])
    assert not any(sits(dancing(seed).points[:, 0]) for seed in range(6))
