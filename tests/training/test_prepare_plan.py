"""Where `prepare` cuts: shots that it finds, clips inside them, frames kept back, bars, names, tables."""

import itertools
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from dreamoving.dreamoving_core.preprocess.pose_clip import LEFT_EYE, NOSE, RIGHT_EYE, read_clip
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.training.prepare.captions import read_table
from dreamoving.dreamoving_core.training.prepare.people import PeopleBars, key_frame, largest_face
from dreamoving.dreamoving_core.training.prepare.plan import PlanSettings, plan_clips
from dreamoving.dreamoving_core.training.prepare.quality import Measuring, QualityBars, unfit
from dreamoving.dreamoving_core.training.prepare.shots import find_cuts
from dreamoving.dreamoving_core.training.prepare.sources import find_sources

RATE = Fraction(24000, 1001)


@pytest.mark.parametrize("seed", range(20))
def test_clips_last_what_was_asked_and_stay_away_from_cuts_and_from_their_references(seed):
    draw = np.random.default_rng(seed)
    frames = int(draw.integers(200, 6000))
    cuts = sorted(set(draw.integers(1, frames, size=int(draw.integers(0, 12))).tolist()))
    settings = PlanSettings(reserve=float(seed % 2))

    clips, short = plan_clips(cuts, frames, RATE, settings)

    guard = round(settings.guard * RATE)
    bounds = [0, *cuts, frames]
    shot_of = {n: i for i, (a, b) in enumerate(itertools.pairwise(bounds)) for n in range(a, b)}
    trained = [n for clip in clips for n in range(clip.start, clip.stop)]
    assert len(trained) == len(set(trained))
    for clip in clips:
        assert 8 <= (clip.stop - clip.start) / RATE <= 10
        assert shot_of[clip.start] == shot_of[clip.stop - 1]
        assert all(
            cut + guard <= clip.start or clip.stop <= cut - guard for cut in cuts if cut in bounds[1:-1]
        )
        assert bool(clip.references) == bool(settings.reserve)
        assert len(clip.references) <= 8
        assert not set(clip.references) & set(trained)
        assert {shot_of[n] for n in clip.references} <= {shot_of[clip.start]}
    assert {shot_of[clip.start] for clip in clips} | {shot_of[shot.start] for shot in short} == set(
        range(len(bounds) - 1)
    )


def test_a_shot_that_holds_no_clip_says_what_it_lacks():
    clips, short = plan_clips(
        [240], 480, Fraction(24), PlanSettings()
    )  # twice ten seconds, less guard and reserve

    assert [clip.stop - clip.start for clip in clips] == [210, 210]
    clips, short = plan_clips([200], 480, Fraction(24), PlanSettings())
    assert len(clips) == 1
    assert (short[0].start, short[0].stop) == (0, 200)
    assert short[0].usable == pytest.approx(194 / 24)
    assert short[0].needed == 9.0


@pytest.mark.parametrize(("seconds", "guard"), [((0.0, 10.0), 0.2), ((9.0, 8.0), 0.2), ((8.0, 10.0), -1.0)])
def test_times_that_make_no_sense_are_refused(seconds, guard):
    with pytest.raises(InputError, match=r"from a shortest to a longest time.*--seconds 8 10"):
        PlanSettings(seconds=seconds, guard=guard)


def dance(seed, count):
    images = render_clip(ClipSpec(seed=seed, num_frames=count, size=128)).images
    return list((images * 255).round().byte().numpy())


def test_a_jump_of_the_picture_is_a_cut_and_a_dance_is_none():
    one, other = dance(1, 15), dance(2, 15)

    assert find_cuts(iter(one + other), Fraction(12)) == ([15], 30)
    assert find_cuts(iter(other), Fraction(12)) == ([], 15)


def test_a_fade_through_black_is_a_cut():
    one, other = dance(1, 12), dance(2, 12)
    fading = [
        (picture * share).astype(np.uint8)
        for picture, share in zip(one[-4:], (0.6, 0.3, 0.1, 0), strict=True)
    ]
    rising = [
        (picture * share).astype(np.uint8) for picture, share in zip(other, (0, 0.1, 0.3, 0.6), strict=False)
    ]

    cuts, frames = find_cuts(iter(one + fading + rising + other), Fraction(12))

    assert frames == 32
    assert any(12 < cut < 20 for cut in cuts)


def figures(pictures, rate=12.0):
    measuring = Measuring(rate=rate)
    for picture in pictures:
        measuring.add(picture)
    return measuring.figures()


def blurred(picture):
    import cv2

    return cv2.GaussianBlur(picture, (0, 0), 4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda dance: dance, ""),
        (lambda dance: [blurred(p) for p in dance], r"blurred: sharpness \d"),
        (lambda dance: [(p * 0.05).astype(np.uint8) for p in dance], "too dark: brightness 0.0"),
        (lambda dance: [(255 - p * 0.02).astype(np.uint8) for p in dance], "too bright: brightness 0.9"),
        (lambda dance: dance[:1] * 12, "still: motion 0.0"),
        (
            lambda dance: [p[::4, ::4] for p in dance],
            "too small: 32 pixels on the shorter side, the bar is 64",
        ),
    ],
)
def test_every_bar_tells_its_number(change, reason):
    said = unfit(figures(change(dance(1, 12))), QualityBars(min_side=64))

    if reason:
        assert re.match(reason, said), said
    else:
        assert said == ""


def test_a_picture_is_not_still():
    assert unfit(figures(dance(1, 1), rate=0), QualityBars(min_side=64)) == ""


def posed(*places, width=100, height=100):
    """A body of one spot, 10 pixels wide, around each of the places."""
    points = torch.zeros(len(places), 133, 3)
    for f, (x, y) in enumerate(places):
        points[f, :17] = torch.tensor([x, y, 1.0])
        points[f, :8, 0] += 5
        points[f, 8:17, 0] -= 5
    return read_clip(encode_pose_keypoint(points, width=width, height=height))


def test_the_key_frame_shows_the_person_in_the_middle():
    places = [(20.0, 50.0)] * 27
    places[13] = (30.0, 50.0)
    places[19] = (50.0, 50.0)  # the key frames are 1, 4, 7, ...

    assert key_frame(posed(*places), 27) == 19
    assert key_frame(None, 27) == 13
    assert key_frame(posed(*[(50.0, 50.0)] * 27), 27) == 13  # of equal ones the middle


def test_faces_that_look_this_way_and_are_large_come_first():
    front, side = (posed((50.0, 50.0)) for _ in range(2))
    head = {LEFT_EYE: (65.0, 40.0), RIGHT_EYE: (35.0, 40.0)}
    for clip, nose in ((front, (50.0, 52.0)), (side, (80.0, 52.0))):
        for joint, place in {**head, NOSE: nose}.items():
            clip.points[0, 0, joint] = (*place, 1.0)

    bars = PeopleBars(face_side=10)

    assert largest_face(front, bars)[0] > largest_face(side, bars)[0] > 0
    assert largest_face(front, PeopleBars(face_side=1000)) == (0.0, None)
    assert largest_face(None, bars) == (0.0, None)


def test_files_get_names_of_their_own(tmp_path):
    for name in (
        "b/dance.mp4",
        "b/dance.mov",
        "b/dance.pose.mp4",
        "a b.JPG",
        ".hidden.mp4",
        "notes.txt",
        "set/x.mp4",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    found = find_sources(tmp_path, out=tmp_path / "set")

    assert [(s.shown, s.name) for s in found] == [
        ("a b.JPG", "a_b"),
        ("b/dance.mov", "b_dance_mov"),
        ("b/dance.mp4", "b_dance_mp4"),
    ]
    assert [s.is_picture for s in found] == [True, False, False]
    assert found[1].caption == tmp_path / "b" / "dance.txt"


def test_files_that_would_share_a_name_are_named(tmp_path):
    for name in ("x.mp4", "x_0001.png"):  # the second clip of x would be x_0001
        (tmp_path / name).write_bytes(b"x")

    with pytest.raises(InputError, match=r"would get one name in the set: .*x_0001\.png"):
        find_sources(tmp_path, out=tmp_path / "set")


def test_a_folder_without_videos_and_one_that_is_its_own_set_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no video and no picture"):
        find_sources(tmp_path, out=tmp_path / "set")
    with pytest.raises(InputError, match="cannot be written among its videos"):
        find_sources(tmp_path, out=tmp_path)
    with pytest.raises(InputError, match="There is no folder"):
        find_sources(tmp_path / "none", out=tmp_path)


def test_webvids_table_and_a_plain_one_are_read(tmp_path):
    webvid = tmp_path / "webvid.csv"
    webvid.write_text(
        "videoid,contentUrl,duration,page_dir,name\n"
        '21179416,https://example.org/21179416/preview/clip-1.mp4,PT00H00M11S,006001_006050,"Sea,  and sky"\n'
        "5,,,,\n"
    )
    plain = tmp_path / "plain.csv"
    plain.write_text("file,caption\nsub/dance.mp4,a dance\n")

    assert read_table(webvid) == {"21179416": "Sea, and sky", "clip-1": "Sea, and sky"}
    assert read_table(plain) == {"dance": "a dance"}


def test_a_table_without_the_columns_says_which_it_wants(tmp_path):
    (tmp_path / "x.csv").write_text("id,words\n1,two\n")

    with pytest.raises(
        InputError, match=r"x\.csv has the columns id, words\. Expected one of videoid, .*WebVid's"
    ):
        read_table(tmp_path / "x.csv")
