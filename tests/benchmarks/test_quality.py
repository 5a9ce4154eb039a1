"""Rows, figures and bars of the quality benchmark, on numbers whose answer is known, and truths on small clips."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from dreamoving.benchmarks import quality
from dreamoving.benchmarks._quality_bars import (
    bars,
    beside,
    comparisons,
    falling,
    floors_that_pass,
    unmeasured,
    verdict,
)
from dreamoving.benchmarks._quality_figures import figures, worst
from dreamoving.benchmarks._quality_floors import another_face, gallery_floor, old_colours
from dreamoving.benchmarks._quality_pairs import excess_cut, matched, paired
from dreamoving.benchmarks._quality_report import contact_sheet, keep_pictures, report, sheets
from dreamoving.benchmarks._quality_rows import NO_NOISE, Row, Rows
from dreamoving.benchmarks._quality_scores import reference_scores, scene_scores, scorecard
from dreamoving.benchmarks._quality_truth import CLOTHES, SCENES, Subject, candidates, other_scene, part_of
from dreamoving.benchmarks._quality_variants import Case, Variant
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.intervals import Interval
from einops import rearrange
from PIL import Image

SETTINGS = {"frames": 16, "clip_frames": 32, "noise": "independent"}
SEEDS = (6000, 6001, 6002)


def filled(folder, scores):
    """Rows of {variant: {metric: [value per clip]}}, from one noise."""
    rows = Rows(folder, made_with={"tiny": "a"})
    for variant, metrics in scores.items():
        for clip in range(len(next(iter(metrics.values())))):
            found = {metric: values[clip] for metric, values in metrics.items()}
            rows.add(Row(variant=variant, clip=clip, noise_seed=0, scores=found))
    return rows


def test_rows_of_a_run_that_was_cut_are_read_again_and_a_torn_line_is_measured_anew(tmp_path):
    rows = filled(tmp_path, {"full/32": {"psnr": [20.0, 21.0]}})
    path = tmp_path / "rows.jsonl"
    path.write_text(path.read_text()[:-9])

    again = Rows(tmp_path, made_with={"tiny": "a"})
    assert ("full/32", 0, 0) in again
    assert ("full/32", 1, 0) not in again
    again.add(Row(variant="full/32", clip=1, noise_seed=0, scores={"psnr": 22.0}))
    assert Rows(tmp_path, made_with={"tiny": "a"}).scores("full/32", "psnr") == {0: {0: 20.0}, 1: {0: 22.0}}
    assert rows.scores("full/32", "psnr") == {0: {0: 20.0}, 1: {0: 21.0}}


def test_rows_hold_six_digits_in_memory_as_on_disk(tmp_path):
    rows = filled(tmp_path, {"full/32": {"psnr": [1 / 3]}})

    assert rows.scores("full/32", "psnr") == {0: {0: 0.333333}}
    assert Rows(tmp_path, made_with={"tiny": "a"}).scores("full/32", "psnr") == {0: {0: 0.333333}}


def test_rows_of_other_weights_are_never_mixed_in(tmp_path):
    Rows(tmp_path, made_with={"tiny": "a", "noise": "shared"})

    with pytest.raises(InputError, match=r"holds results with other tiny\. Give another folder with --rows"):
        Rows(tmp_path, made_with={"tiny": "b", "noise": "shared"})


def test_a_file_that_is_given_later_joins_the_rows_and_another_under_its_name_does_not(tmp_path):
    Rows(tmp_path, made_with={"tiny": "a"})
    Rows(tmp_path, made_with={"tiny": "a", "--stage3": "x"})

    assert Rows(tmp_path, made_with={"tiny": "a"}).made_with == {"tiny": "a", "--stage3": "x"}
    with pytest.raises(InputError, match="other --stage3"):
        Rows(tmp_path, made_with={"tiny": "a", "--stage3": "y"})


def test_figures_are_means_over_clips_under_the_names_of_the_issue(tmp_path):
    rows = filled(
        tmp_path,
        {
            "full/32": {"joint_error": [0.02, 0.04], "psnr_person": [15.0, 17.0]},
            "control_off/16": {"joint_error": [0.2, 0.3]},
            "truth/32": {"joint_error": [0.01, 0.01]},
            "swapped/16": {"cloth_retrieval": [1.0, 0.0]},
            "motion_off_independent/64": {"warp_error": [0.1, 0.2]},
            "face_stage3/16": {"expression_error": [0.1, 0.3]},
        },
    )

    means = {name: found.mean for name, found in figures(rows, **SETTINGS)[0].items()}
    assert means["joint_error"] == pytest.approx(0.03)
    assert means["joint_error_control_off"] == pytest.approx(0.25)
    assert means["joint_error_floor"] == pytest.approx(0.01)
    assert means["psnr_person"] == pytest.approx(16)
    assert means["cloth_retrieval"] == pytest.approx(0.5)
    assert means["warp_error_motion_off_independent_64"] == pytest.approx(0.15)
    assert means["expression_error_stage3"] == pytest.approx(0.2)


def runs(*clips):
    """One value per noise of each clip."""
    return {clip: dict(enumerate(values)) for clip, values in enumerate(clips)}


def once(*clips):
    """What was made without noise."""
    return {clip: {NO_NOISE: value} for clip, value in enumerate(clips)}


def test_the_cut_of_the_excess_is_over_the_floor_and_over_the_same_clips():
    values = {"on": runs([3.0], [5.0], [9.0]), "off": runs([4.0], [7.0]), "floor": once(2.0, 3.0, 1.0)}

    cut = excess_cut(values, "on", "off", "floor")
    assert (cut.mean, cut.low, cut.high) == pytest.approx((0.5, 0.5, 0.5))
    assert excess_cut(values, "on", "nothing", "floor") is None


def test_only_the_same_noises_of_the_same_clips_are_compared():
    values = {
        "a": runs([1.0, 9.0], [5.0, 9.0], [7.0]),
        "b": runs([2.0], [6.0, 8.0]),
        "floor": once(0.5, 0.6, 0.7),
    }

    assert matched(values, "a", "b", "floor") == [
        [[1.0], [5.0, 9.0]],
        [[2.0], [6.0, 8.0]],
        [[0.5], [0.6, 0.6]],
    ]
    assert matched(values, "floor") == [[[0.5], [0.6], [0.7]]]
    assert matched({"a": {0: {0: 1.0}}, "b": {0: {1: 2.0}}}, "a", "b") == [[], []]
    assert matched(values, "a", "nothing") == [[], []]


def test_a_paired_difference_has_no_width_where_every_clip_changes_alike():
    values = {"a": runs([1.1, 77.0], [5.1]), "b": runs([1.0], [5.0])}

    difference, ratio = paired(values, "a", "b")
    assert (difference.low, difference.high) == pytest.approx((0.1, 0.1))
    assert ratio.mean == pytest.approx(6.2 / 6.0)


def test_the_worst_clips_are_those_with_large_errors_and_little_psnr():
    values = {7: {0: 0.1, 1: 0.3}, 8: {0: 0.5}, 9: {0: 0.0}}

    assert [clip for clip, _ in worst(values, "joint_error", 2)] == [8, 7]
    assert [clip for clip, _ in worst(values, "psnr_person", 2)] == [9, 7]


def values_of(mean):
    """Each figure the same on one clip."""
    return {name: once(value) for name, value in mean.items()}


def holding(mean, values=None, number=None):
    found = bars(values_of(mean) | (values or {}))
    return [bar.holds for bar in found if number in (None, bar.number)]


def test_a_bar_holds_up_to_its_limit_and_not_beyond():
    good = {"joint_error": 0.0349, "joint_error_floor": 0.01, "autoencoder_psnr": 25.0}

    assert holding(good) == [True, True]
    assert holding(good | {"joint_error": 0.0351, "autoencoder_psnr": 24.9}) == [False, False]


def test_control_off_must_be_three_times_worse_or_near_the_mean_pose():
    mean = {"joint_error_base": 0.04, "joint_error_control_off": 0.13, "joint_error_mean_pose": 0.2}

    assert holding(mean) == [True]
    assert holding(mean | {"joint_error_control_off": 0.11}) == [False]
    assert holding(mean | {"joint_error_control_off": 0.11, "joint_error_mean_pose": 0.13}) == [True]


def test_poses_off_the_mp4_may_cost_a_tenth_and_half_a_decibel():
    errors = {"joint_error": 0.02, "cloth_error": 0.1, "face_error": 0.08}
    true = {f"{name}_true_keypoints": value for name, value in errors.items()} | {
        "psnr_person_true_keypoints": 17.0
    }
    found = {f"{name}_base": 1.09 * value for name, value in errors.items()} | {"psnr_person_base": 16.6}

    assert holding(true | found, number=0) == [True] * 4
    worse = {f"{name}_base": 1.11 * value for name, value in errors.items()} | {"psnr_person_base": 16.4}
    assert holding(true | worse, number=0) == [False] * 4


MARKS = {"": 0.07, "_motion_off": 0.1, "_floor": 0.02}


def six(value):
    return runs(*[[value]] * 6)


def moving(marks=MARKS):
    """Figures of 16 frames with which everything about the shipped motion blocks holds."""
    values = {
        f"{metric}{mark}": six(value)
        for metric in ("warp_error", "delta_flicker")
        for mark, value in marks.items()
    }
    still = {"joint_error_16": 0.03, "joint_error_16_motion_off": 0.03, "sharpness_16": 0.96}
    still |= {
        "sharpness_16_motion_off": 1.0,
        "motion_amplitude_16": 1.04,
        "motion_amplitude_16_motion_off": 1.0,
    }
    return values | {name: six(value) for name, value in still.items()}


def test_motion_must_cut_both_excesses_surely_without_blur_without_stillness_and_without_losing_the_pose():
    values = moving()

    assert holding({}, values, 5) == [True] * 5
    for worse in (
        {"sharpness_16": six(0.9)},
        {"joint_error_16": six(0.04)},
        {"warp_error": six(0.09)},
        {"warp_error": runs([0.32], *[[0.02]] * 5)},  # on average enough, but not surely
    ):
        assert holding({}, values | worse, 5).count(False) == 1


def test_other_training_seeds_are_judged_one_by_one_and_together():
    values = moving(MARKS | {"_seed1": 0.06, "_seed2": 0.075})
    values |= {name: six(1.0) for name in ("sharpness_16_seed1", "motion_amplitude_16_seed1")}

    found = {bar.text: bar.holds for bar in bars(values) if "seed" in bar.text}

    assert list(found.values()) == [True] * 8
    assert any(
        t.startswith(
            "16 frames, 3 training seeds: motion cuts the excess of warp_error by 39.6% [39.6%, 39.6%]"
        )
        for t in found
    )
    assert "16 frames, seed1: sharpness within 5 % (+0.0%)" in found
    worse = {"warp_error_seed2": six(0.085), "motion_amplitude_16_seed1": six(0.9)}
    again = [bar.text for bar in bars(values | worse) if not bar.holds]
    assert [text[:16] for text in again] == ["16 frames, seed1", "16 frames, seed2"]


def test_the_other_kind_of_noise_stands_beside_the_bars():
    kind = {"warp_error_independent": six(0.09), "warp_error_motion_off_independent": six(0.1)}
    values = moving() | kind

    assert list(beside(values, noise="independent")) == [
        "16 frames, noise independent: motion cuts the excess of warp_error by 12.5% [12.5%, 12.5%]"
    ]
    assert holding({}, values, 5) == [True] * 5


def test_the_supplement_must_surely_find_more_faces():
    nobody = {"face_retrieval_clip_only": six(0.0)}

    assert holding({}, nobody | {"face_retrieval_identity": six(1.0)}) == [True]
    assert holding({}, nobody | {"face_retrieval_identity": runs([1.0], *[[0.0]] * 5)}) == [False]


def test_without_its_branch_a_reference_is_found_by_chance_alone():
    sometimes, often = runs([1.0], *[[0.0]] * 23), runs(*[[1.0]] * 12, *[[0.0]] * 12)

    assert holding({}, {"cloth_retrieval_alpha_0": sometimes}) == [True]
    assert holding({}, {"cloth_retrieval_alpha_0": often}) == [False]


def test_a_bar_that_nobody_measured_is_told():
    missing = unmeasured(moving())

    assert any(text.startswith(" 9 expression_error at most 0.8") for text in missing)
    assert {"10", "11"} <= set(missing)
    assert not any(text.startswith(" 5") for text in missing)
    supplement = {"face_retrieval_identity": six(1.0), "face_retrieval_clip_only": six(0.0)}
    peers = {"psnr_beside_peer": six(2.0), "psnr_peer": six(1.0)}
    assert {"10", "11"}.isdisjoint(unmeasured(moving() | supplement | peers))


def test_what_knows_nothing_is_said_to_pass_when_it_does():
    found = dict(
        floors_that_pass(
            values_of(
                {"joint_error_train_mean": 0.2, "joint_error_floor": 0.01, "cloth_retrieval_alpha_0": 0.95}
            )
        )
    )

    assert sorted(found.values()) == [False, True]
    assert found["cloth_retrieval of alpha_0 (0.9500)"] is False


def test_an_empty_scene_flickers_little_and_fails_for_its_stillness():
    still = {"warp_error_background_alone": once(*[0.01] * 6), "motion_amplitude_background_alone": six(0.1)}
    still |= {"sharpness_16_background_alone": six(1.0)}

    name = "warp_error and motion_amplitude of background_alone (0.0100)"
    assert dict(floors_that_pass(moving() | still)) == {name: True}
    lively = still | {"motion_amplitude_background_alone": six(0.98)}
    assert dict(floors_that_pass(moving() | lively)) == {name: False}


def test_falling_allows_a_rest_but_no_rise():
    assert falling([0.3, 0.2, 0.2, 0.1])
    assert not falling([0.3, 0.1, 0.2])


def test_peers_are_compared_on_every_metric_that_both_have(tmp_path):
    rows = filled(
        tmp_path,
        {
            "peer/16": {"psnr": [10.0, 12.0], "ssim": [0.5, 0.5]},
            "base/16": {"psnr": [11.0, 13.0]},
            "peer_independent/16": {"psnr": [9.0]},
            "motion_on_independent/16": {"psnr": [12.0]},
        },
    )
    values = figures(rows, **SETTINGS)[1]

    assert [(metric, difference.mean) for metric, difference, _ in comparisons(values)] == [
        ("psnr", pytest.approx(1.0)),
        ("psnr_independent", pytest.approx(3.0)),
    ]


@pytest.mark.parametrize(
    ("metric", "low", "high", "said"),
    [
        ("psnr_person", 1.0, 2.0, "wins"),
        ("psnr_person_shared", -2.0, -1.0, "loses"),
        ("face_retrieval", 0.1, 0.2, "wins"),
        ("joint_error", -0.2, -0.1, "wins"),
        ("warp_error_shared", 0.1, 0.2, "loses"),
        ("warp_error", -0.1, 0.2, "level"),
        ("motion_amplitude_person", 0.1, 0.2, ""),
    ],
)
def test_the_verdict_beside_the_peers_knows_which_way_is_better(metric, low, high, said):
    assert verdict(metric, Interval(mean=(low + high) / 2, low=low, high=high)) == said


def test_the_report_is_json_with_flat_figures_and_every_row(tmp_path):
    rows = filled(
        tmp_path, {"full/32": {"joint_error": [0.02, 0.5]}, "truth/32": {"joint_error": [0.01, 0.01]}}
    )
    found = report(rows, *figures(rows, **SETTINGS), noise="independent")

    again = json.loads(json.dumps(found))
    assert again["figures"]["joint_error"] == pytest.approx(0.26)
    assert again["intervals"]["joint_error"] == pytest.approx([0.02, 0.5])
    assert len(again["rows"]) == 4
    assert again["worst"]["joint_error"][0] == [1, 0.5]
    assert any(line.startswith("FAILS") and "joint_error at most" in line for line in again["table"])


def test_the_judge_of_scenes_names_the_place_and_the_light_that_are_shown():
    own = Subject(seed=6000, frames=2)
    elsewhere = Subject(seed=6000, frames=2, scene=other_scene(own.moments[0].scene, 0))

    assert scene_scores(own.truth.images, own) == {
        "caption": 1,
        "caption_place": 1,
        "caption_light": 1,
        "caption_rank": 0,
    }
    assert scene_scores(elsewhere.truth.images, own)["caption"] == 0
    assert len({(scene.place, scene.light) for scene in SCENES}) == 64


def test_the_judge_of_references_finds_whose_clothes_and_face_are_shown():
    own = Subject(seed=6000, frames=2)
    dressed = Subject(seed=6000, frames=2, clothes_seed=6001)
    faced = Subject(seed=6000, frames=2, face_seed=6002)

    for shown, asked, cloth, face in (
        (own, own, 1, 1),
        (dressed, dressed, 1, 1),
        (faced, faced, 1, 1),
        (own, dressed, 0, 1),
        (own, faced, 1, 0),
    ):
        scores = reference_scores(shown.truth.images, asked, SEEDS)
        assert (scores["cloth_retrieval"], scores["face_retrieval"]) == (cloth, face)


def test_a_face_is_found_among_many_more_than_there_are_clips():
    case = Case(seed=6001, noise_seed=0, index=1, others=SEEDS)

    assert len(set(case.gallery)) == len(case.gallery) == 192
    assert case.gallery[:3] == SEEDS
    sharp = gallery_floor(case, 1, autoencode=lambda pictures: pictures)
    assert sharp == {"face_retrieval": 1, "face_rank": 0}
    grey = gallery_floor(case, 1, autoencode=lambda pictures: torch.full_like(pictures, 0.5))
    assert grey["face_retrieval"] == 0
    assert grey["face_rank"] > 10


def test_floors_without_sampling_ignore_the_reference_and_the_driving_face():
    case = Case(seed=6000, noise_seed=0, index=0, others=SEEDS)
    own = Subject(seed=6000, frames=4, shot="face")

    colours = old_colours(replace(case, others=(6000, 6002)), 2, autoencode=lambda pictures: pictures)
    assert set(colours) == {"cloth_error", "face_error"}
    assert min(colours.values()) > 0.05
    assert (
        another_face(case, 4)["expression_error"] > 1.5 * scorecard(own.truth.images, own)["expression_error"]
    )


def test_candidates_differ_in_their_branch_alone():
    own = Subject(seed=6000, frames=2)
    images, mask = candidates(own, SEEDS, "face")

    away = (images - images[0]).abs().mean(-1).amax(0)
    assert torch.equal(images[0], own.truth.images[own.few])
    assert away[mask].mean() > 0.1
    assert away[~mask].mean() < 0.002
    assert part_of(own.truth.labels[own.few], CLOTHES)[mask].float().mean() < 0.1


def test_another_face_keeps_body_dance_and_clothes():
    own, other = Subject(seed=6000, frames=3), Subject(seed=6000, frames=3, face_seed=6002)

    assert torch.equal(own.truth.keypoints, other.truth.keypoints)
    assert own.moments[0].clothes == other.moments[0].clothes
    assert own.moments[0].person.skin != other.moments[0].person.skin


def test_a_sheet_shows_each_variant_below_the_truth_in_its_style(tmp_path):
    case = Case(seed=6000, noise_seed=0, index=0, others=(6000, 6001))
    variants = [
        Variant(name="styled", group="x", frames=2, style=1),
        Variant(name="plain", group="x", frames=2),
    ]
    for number, variant in enumerate(variants):
        keep_pictures(tmp_path, variant, case, torch.full((2, 128, 128, 3), float(number)))

    (path,) = sheets(tmp_path, [case], variants)

    pixels = torch.from_numpy(np.array(Image.open(path)))[16:, 190:] / 255
    rows = rearrange(pixels, "(n h) w c -> n h w c", h=128)
    truths = [Subject(seed=6000, frames=2, style=style).truth.images[1] for style in (0, 1)]
    expected = [truths[0], torch.ones(128, 128, 3), truths[1], torch.zeros(128, 128, 3)]
    assert len(rows) == 4
    assert all((row - picture).abs().max() < 0.01 for row, picture in zip(rows, expected, strict=True))


def test_a_contact_sheet_has_room_for_every_picture_and_leaves_gaps_white():
    picture = Image.new("RGB", (20, 10), "black")
    sheet = contact_sheet([("one", [picture, None]), ("two", [None, picture])], ["a", "b"])

    assert sheet.size == (190 + 40, 16 + 20)
    assert sheet.getpixel((190 + 5, 16 + 5)) == (0, 0, 0)
    assert sheet.getpixel((190 + 25, 16 + 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--motion", "stage2"], "--motion wants NAME=FILE, got 'stage2'"),
        (["--motion", "stage2=nowhere.safetensors"], "There is no file nowhere.safetensors"),
        (["--stage3", "nowhere.safetensors"], "There is no file nowhere.safetensors"),
        (["--tiny", "nowhere"], "--tiny wants a folder with files of Tiny's"),
    ],
)
def test_files_that_are_not_there_are_refused_in_words(words, message):
    with pytest.raises(InputError, match=message):
        quality.given_files(quality.arguments(words))


def test_tinys_own_style_lora_is_measured_unless_another_is_given(tmp_path):
    own, other = tmp_path / "dreamoving_tiny_style_lora.safetensors", tmp_path / "other.safetensors"
    words = ["--tiny", str(tmp_path)]

    assert quality.given_files(quality.arguments(words)).style_lora is None
    own.touch()
    other.touch()

    assert quality.given_files(quality.arguments(words)).style_lora == own
    assert quality.given_files(quality.arguments([*words, "--style-lora", str(other)])).style_lora == other


def test_the_shipped_tiny_is_compared_with_what_lies_beside_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "BESIDE", tmp_path)
    seed, long_frame = tmp_path / "seed1.safetensors", tmp_path / "long_frame.safetensors"
    seed.touch()
    long_frame.touch()
    (tmp_path / "peer").mkdir()

    found = quality.given_files(quality.arguments([]))

    assert found.motions == (("seed1", seed), ("stage2", long_frame))
    assert (found.stage3, found.peer, found.identity) == (long_frame, tmp_path / "peer", None)
    named = quality.given_files(quality.arguments(["--motion", f"other={seed}", "--stage3", str(seed)]))
    assert (named.motions, named.stage3) == ((("other", seed),), seed)
    another = quality.given_files(quality.arguments(["--tiny", str(tmp_path)]))
    assert (another.motions, another.stage3, another.peer) == ((), None, None)
