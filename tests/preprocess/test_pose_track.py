import numpy as np
import pytest
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.pose_clip import PoseClip, people_in
from dreamoving.dreamoving_core.preprocess.pose_track import (
    CHOICES,
    TrackSettings,
    main_person,
    pick_person,
    similarity,
    track_people,
)
from pose_figures import dancing, standing


def shuffled(clip: PoseClip, *, seed: int = 0) -> PoseClip:
    """Detectors list people in any order."""
    draw = np.random.default_rng(seed)
    return clip.with_points(np.stack([frame[draw.permutation(len(frame))] for frame in clip.points]))


def crossing(*, gone: range = range(0)) -> PoseClip:
    """Two dancers who change sides; the second is not seen in the frames `gone`, on the way."""
    people = [dancing(seed, frames=40) for seed in (1, 2)]
    walk = np.linspace(60, 300, 40)
    points = np.concatenate([person.points for person in people], axis=1)
    points[:, 0, :, 0] += walk[:, None] - 180
    points[:, 1, :, 0] += walk[::-1, None] - 180
    points[list(gone), 1] = 0
    clip = PoseClip(points=points, width=512, height=512)
    return clip.with_points(clip.points)


@pytest.mark.parametrize("gone", [range(0), range(17, 23)], ids=["crossing", "crossing and lost"])
def test_people_keep_their_number_when_they_cross_and_when_one_is_lost(gone):
    truth = crossing(gone=gone)

    found = track_people(shuffled(truth))

    assert found.points.shape == truth.points.shape
    assert np.array_equal(found.points, truth.points)


def test_two_who_look_alike_walk_through_each_other():
    """Nothing but the way they walk tells them apart."""
    points = np.repeat(standing(frames=20, height=300).points, 2, axis=1)
    walk = np.linspace(-105, 105, 20)
    points[..., 0, :, 0] += walk[:, None]
    points[..., 1, :, 0] -= walk[:, None]
    truth = PoseClip(points=points, width=512, height=512)

    found = track_people(shuffled(truth))

    assert np.array_equal(found.points, truth.points)


def test_a_person_who_comes_later_gets_the_next_number():
    truth = crossing()
    points = truth.points.copy()
    points[:15, 0] = 0

    found = track_people(shuffled(truth.with_points(points)))

    assert np.array_equal(found.points[:, 1], points[:, 0])
    assert np.array_equal(found.points[:, 0], points[:, 1])


def test_somebody_who_was_away_for_too_long_is_new():
    truth = crossing(gone=range(4, 36))

    assert track_people(truth, TrackSettings(memory=5)).points.shape[1] == 3
    assert track_people(truth, TrackSettings(memory=60)).points.shape[1] <= 3


def test_similarity_is_one_for_the_same_pose_and_none_without_a_common_joint():
    pose = standing().points[0, 0]
    upper, lower = pose.copy(), pose.copy()
    upper[8:], lower[:8] = 0, 0

    assert similarity(pose, pose, spread=0.1) == pytest.approx(1.0)
    assert similarity(upper, lower, spread=0.1) == 0.0
    assert similarity(pose, pose + np.array([400, 0, 0]), spread=0.1) < 1e-6


def three() -> PoseClip:
    """Left: small, in every frame. Middle: tall, in most. Right: medium, in half of them."""
    points = np.concatenate(
        [standing(frames=8, height=h, x=x).points for h, x in ((150, 80), (420, 300), (250, 520))], axis=1
    )
    points[6:, 1] = 0
    points[4:, 2] = 0
    clip = PoseClip(points=points, width=600, height=512)
    return clip


@pytest.mark.parametrize(
    ("who", "number", "expected"),
    [
        ("largest", 1, 1), ("most central", 1, 1), ("longest seen", 1, 0), ("leftmost", 1, 0), ("rightmost", 1, 2),
        ("number", 1, 0), ("number", 3, 2),
    ],
)  # fmt: skip
def test_each_choice_finds_its_person(who, number, expected):
    clip = three()

    person = pick_person(track_people(shuffled(clip)), who, number=number)

    assert people_in(clip) == 3
    assert np.array_equal(person.points[:, 0], clip.points[:, expected])


def test_frame_n_in_is_frame_n_out_for_every_choice():
    clip = three()

    for who in CHOICES:
        person = pick_person(track_people(clip), who)

        assert person.points.shape == (8, 1, 136, 3)
        for frame in range(8):
            shown = person.points[frame, 0]
            assert not shown.any() or any(np.array_equal(shown, other) for other in clip.points[frame])


def test_nobody_an_unknown_choice_and_a_number_too_high_are_told_in_words():
    empty = PoseClip(points=np.zeros((5, 1, 136, 3)), width=320, height=240)

    with pytest.raises(InputError, match=r"No person was found in the poses \(5 frames, 320 x 240 pixels\)"):
        pick_person(empty)
    with pytest.raises(InputError, match=r"no person number 4: 3 people were found. Choose 1 to 3"):
        pick_person(track_people(three()), "number", number=4)
    with pytest.raises(InputError, match=r"chosen by one of largest, .*got 'tallest'"):
        pick_person(three(), "tallest")


def test_where_nobody_else_is_seen_a_leap_loses_no_frame():
    clip = dancing(1, frames=6)
    points = clip.points.copy()
    points[3:, ..., 0] += 2000
    points = np.concatenate([points, np.zeros_like(points)], axis=1)
    points[3:] = points[3:, ::-1]

    person = main_person(PoseClip(points=points, width=512, height=512))

    assert person.points.shape == (6, 1, 136, 3)
    assert person.seen.all()


def test_of_several_the_largest_is_the_main_person():
    clip = three()

    assert np.array_equal(main_person(shuffled(clip)).points[:, 0], clip.points[:, 1])


def test_one_frame_is_enough():
    clip = standing()

    assert np.array_equal(pick_person(track_people(clip)).points, clip.points)
