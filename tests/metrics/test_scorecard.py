"""The scorecard of clips whose flicker, seams and drift are known, and what it says where something is missing."""

import json
import math

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.colour_drift import to_lab
from dreamoving.dreamoving_core.metrics.scorecard import (
    MEASURES,
    Likeness,
    Scorer,
    ScoreSettings,
    worst_frames,
)
from dreamoving.dreamoving_core.metrics.scorecard_text import as_data, as_json, as_text
from dreamoving.dreamoving_core.metrics.window_seams import FLOOR

from .test_pose_error import dance, moved

WINDOWS = ScoreSettings(context_length=8, context_overlap=0)


def scored(clip, settings=WINDOWS, *, likeness="no reference", **poses):
    scorer = Scorer(settings, likeness=likeness, **poses)
    for frame in clip:
        scorer.add(frame)
    return scorer.card()


def still(frames=16, level=0.5):
    return torch.full((frames, 24, 12, 3), level)


def test_a_still_clip_is_perfect():
    card = scored(
        still(), likeness=Likeness(name="one", judge=lambda frame: 1.0), wanted=dance(16), found=dance(16)
    )

    assert {name: figure.value for name, figure in card.figures.items()} == {
        name: pytest.approx(measure.ideal, abs=1e-12) for name, measure in MEASURES.items()
    }
    assert all(figure.worst == () for figure in card.figures.values())


def test_one_bright_frame_is_its_own_flicker_and_no_drift():
    clip = still()
    clip[5] = 0.9

    card = scored(clip)

    assert card.figures["flicker"].value == pytest.approx(0.4 / 14)
    assert card.figures["flicker"].worst == (5,)
    assert card.figures["colour_drift"].value == 0.0


def test_a_jump_at_a_window_is_a_seam_and_a_drift_but_no_flicker():
    clip = still()
    clip[8:] = 0.6

    figures = scored(clip).figures

    assert figures["window_seams"].value == pytest.approx((0.1 + FLOOR) / FLOOR, rel=1e-4)
    assert figures["window_seams"].worst == (8,)
    assert figures["flicker"].value == 0.0
    light = to_lab(torch.tensor([[0.5] * 3, [0.6] * 3]))[:, 0].diff()
    assert figures["colour_drift"].value == pytest.approx(float(light), rel=1e-4)


def test_a_jump_elsewhere_is_no_seam():
    clip = still()
    clip[5:] = 0.6

    assert scored(clip).figures["window_seams"].value < 1


def test_pose_error_and_its_worst_frames_come_from_the_poses():
    found = moved(dance(16), (0, 2))
    points = found.points.copy()
    points[11, ..., 1] += 38

    figure = scored(still(), wanted=dance(16), found=found.with_points(points)).figures["pose_error"]

    assert figure.value == pytest.approx((15 * 0.01 + 0.2) / 16)
    assert figure.worst[0] == 11
    assert figure.how == "288 of 288 wanted joints found"


def test_identity_averages_over_the_frames_with_a_face_and_tells_of_the_others():
    values = iter([0.5, math.nan, 0.7, 0.3])

    figure = scored(
        still(4), likeness=Likeness(name="faces by me", judge=lambda frame: next(values))
    ).figures["identity"]

    assert figure.value == pytest.approx(0.5)
    assert figure.how == "faces by me; no face in 1 of 4 frames"
    assert figure.worst == (3, 0, 2)


def test_worst_frames_are_three_moments_and_not_three_neighbours():
    bump = [math.exp(-((frame - 10) ** 2) / 8) for frame in range(40)]
    bump[30] = 0.2

    assert worst_frames("flicker", bump, count=3) == (10, 30, 5)
    assert worst_frames("identity", [1.0, 0.2, 0.9], count=1) == (1,)


def test_what_was_not_measured_says_why_in_text_and_json():
    card = scored(still(2), ScoreSettings(), likeness="connect a picture of the person to reference")

    assert as_text(card).splitlines() == [
        "2 frames, 12 x 24",
        "identity: not measured (connect a picture of the person to reference)",
        "pose_error: not measured (connect poses to keypoints and result_keypoints)",
        "flicker: not measured (needs at least 3 frames, got 2)",
        "window_seams: not measured (context_length is 0: set it to what the clip was sampled with)",
        "colour_drift: 0 Delta E (against the first quarter)",
    ]
    assert json.loads(as_json(card)) == as_data(card)
    assert as_data(card)["figures"] == {"colour_drift": 0.0}


@pytest.mark.parametrize(
    ("frames", "settings", "name", "words"),
    [
        (1, WINDOWS, "colour_drift", "needs at least 2 frames, got 1"),
        (8, WINDOWS, "window_seams", "8 frames fit into one window of 8"),
        (3, ScoreSettings(context_length=1), "window_seams", "every change crosses a border"),
    ],
)
def test_short_clips_have_no_figure_where_there_is_nothing_to_tell(frames, settings, name, words):
    figure = scored(still(frames), settings).figures[name]

    assert figure.value is None
    assert words in figure.how


def test_a_result_without_a_person_has_no_pose_error_and_is_no_error():
    nobody = dance(16).with_points(dance(16).points * 0)

    assert "no person was found" in scored(still(), wanted=dance(16), found=nobody).figures["pose_error"].how


def test_a_face_in_no_frame_is_told():
    figure = scored(still(4), likeness=Likeness(name="me", judge=lambda frame: math.nan)).figures["identity"]

    assert (figure.value, figure.how) == (None, "me found no face in any of 4 frames")


def test_poses_of_other_frames_or_other_pictures_are_refused():
    wide = dance(16, width=400)

    with pytest.raises(InputError, match="result_keypoints has 16 frames and the video 12"):
        scored(torch.zeros(12, 24, 12, 3), wanted=dance(16), found=dance(16))
    with pytest.raises(InputError, match="result_keypoints is for 400 x 200 pixels, the video is 12 x 24"):
        scored(still(), wanted=wide, found=wide)


def test_frames_that_cannot_be_judged_are_refused_in_words():
    with pytest.raises(InputError, match="not one frame"):
        scored([])
    with pytest.raises(InputError, match="Frame 2 holds NaN"):
        scored([torch.zeros(4, 4, 3), torch.full((4, 4, 3), math.nan)])
    with pytest.raises(InputError, match="Frame 2 is 6 x 4 pixels and the one before 4 x 4"):
        scored([torch.zeros(4, 4, 3), torch.zeros(4, 6, 3)])
    with pytest.raises(InputError, match="Windows of 8 frames cannot share 9"):
        ScoreSettings(context_length=8, context_overlap=9)


def test_no_frame_is_kept_but_the_last_three():
    scorer = Scorer(WINDOWS, likeness="no reference")
    for frame in still(20):
        scorer.add(frame)

    kept = [value for value in vars(scorer).values() if isinstance(value, list)]
    assert (
        sum(tensor.numel() for items in kept for tensor in items if isinstance(tensor, torch.Tensor))
        <= 3 * 864 + 60
    )
