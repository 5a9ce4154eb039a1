import numpy as np
import pytest
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.pose_clean import CleanSettings, clean_clip
from dreamoving.dreamoving_core.preprocess.pose_clip import LEFT_WRIST, PoseClip
from pose_figures import dancing, standing

OFF = CleanSettings(smoothing=0, gaps=0, outliers=0)
GAPS = CleanSettings(smoothing=0, outliers=0, gaps=4)
OUTLIERS = CleanSettings(smoothing=0, gaps=0)


def changed(clip: PoseClip, frames, joints=slice(None), *, by=None) -> PoseClip:
    """A copy whose joints are moved, or missing when `by` is None."""
    points = clip.points.copy()
    if by is None:
        points[frames, :, joints] = 0
    else:
        points[frames, :, joints, :2] += by
    return clip.with_points(points)


def body_error(one: PoseClip, other: PoseClip) -> float:
    return float(np.sqrt((((one.points - other.points)[:, 0, :18, :2]) ** 2).sum(-1).mean()))


def test_a_still_dancer_stays_still():
    still = standing(frames=30)

    cleaned = clean_clip(still)

    np.testing.assert_allclose(cleaned.points, still.points, atol=1e-9)


def test_a_still_dancer_seen_by_a_trembling_detector_becomes_calmer():
    still = standing(frames=60)
    trembling = changed(still, slice(None), by=np.random.default_rng(0).normal(0, 2.0, (60, 1, 136, 2)))

    cleaned = clean_clip(trembling)

    assert body_error(cleaned, still) < 0.6 * body_error(trembling, still)
    assert (
        np.abs(np.diff(cleaned.points, 2, axis=0)).mean()
        < 0.2 * np.abs(np.diff(trembling.points, 2, axis=0)).mean()
    )


def test_everything_off_changes_nothing():
    clip = changed(dancing(1), slice(5, 8), LEFT_WRIST)

    assert np.array_equal(clean_clip(clip, OFF).points, clip.points)


@pytest.mark.parametrize("rate", [12, 30, 60])
def test_a_dance_without_mistakes_is_hardly_touched(rate):
    clip = dancing(4, frames=3 * rate, rate=rate)
    smoothing = {12: 5, 30: 9, 60: 9}[rate]

    cleaned = clean_clip(clip, CleanSettings(smoothing=smoothing))

    assert body_error(cleaned, clip) < 1.5  # of 512 pixels


def test_a_single_leap_comes_back_and_its_neighbours_stay():
    clip = dancing(2)
    leaping = changed(clip, [11], LEFT_WRIST, by=[80.0, -60.0])

    cleaned = clean_clip(leaping, OUTLIERS)

    off = np.hypot(*(cleaned.points - clip.points)[11, 0, LEFT_WRIST, :2])
    assert off < 5
    others = np.delete(cleaned.points, 11, axis=0)
    assert np.array_equal(others, np.delete(leaping.points, 11, axis=0))


def test_short_gaps_are_closed_in_a_straight_line_and_long_ones_stay():
    clip = dancing(3)
    broken = changed(changed(clip, slice(4, 8), LEFT_WRIST), slice(12, 17), LEFT_WRIST)

    cleaned = clean_clip(broken, GAPS)

    path, seen = cleaned.points[:, 0, LEFT_WRIST, :2], cleaned.seen[:, 0, LEFT_WRIST]
    assert seen.tolist() == [not 12 <= frame < 17 for frame in range(24)]
    np.testing.assert_allclose(np.diff(path[3:9], 2, axis=0), 0, atol=1e-9)


def test_nothing_is_invented_before_the_first_and_after_the_last_frame():
    clip = changed(changed(dancing(3), slice(0, 3)), slice(20, None))

    cleaned = clean_clip(clip)

    assert cleaned.seen.any(axis=(1, 2)).tolist() == [3 <= frame < 20 for frame in range(24)]


def test_a_long_gap_separates_two_movements():
    clip = changed(dancing(3, frames=40), slice(15, 28))
    moved = changed(clip, slice(28, None), by=[100.0, 0.0])

    first = clean_clip(clip).points[:15]

    assert np.array_equal(clean_clip(moved).points[:15], first)


def test_people_who_change_places_in_the_list_are_not_smoothed_into_each_other():
    points = np.concatenate([standing(frames=20, x=150).points, standing(frames=20, x=380).points], axis=1)
    mixed = points.copy()
    mixed[::2] = mixed[::2, ::-1]
    clip = PoseClip(points=mixed, width=512, height=512)

    cleaned = clean_clip(clip)

    np.testing.assert_allclose(cleaned.points, points, atol=1e-9)


def test_a_cut_in_the_video_is_not_smoothed_over():
    clip = dancing(1, frames=30)
    cut = changed(clip, slice(15, None), by=[300.0, 40.0])

    cleaned = clean_clip(cut)

    expected = np.concatenate([
        clean_clip(clip.with_points(part)).points for part in (cut.points[:15], cut.points[15:])
    ])  # fmt: skip
    assert np.array_equal(cleaned.points, expected)
    assert body_error(cleaned, cut) < 1


def test_a_figure_that_is_elsewhere_for_one_frame_is_put_back():
    clip = dancing(1, frames=30)
    jumped = changed(clip, [15], by=[300.0, 40.0])

    assert body_error(clean_clip(jumped), clip) < 1.5


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_very_short_clips_go_through(frames):
    clip = dancing(1, frames=frames)

    cleaned = clean_clip(clip)

    assert cleaned.points.shape == clip.points.shape
    assert body_error(cleaned, clip) < 3


def test_a_clip_without_people_stays_empty():
    empty = PoseClip(points=np.zeros((5, 1, 136, 3)), width=320, height=240)

    assert not clean_clip(empty).points.any()


def test_negative_settings_are_refused_in_words():
    with pytest.raises(InputError, match=r"can't be negative .*got 4, -1 and 9"):
        clean_clip(standing(), CleanSettings(gaps=-1))
