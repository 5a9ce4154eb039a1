"""Rows, figures and bars of the quality benchmark, on numbers whose answer is known, and truths on small clips."""

import json

import numpy as np
import pytest
import torch
from dreamoving.benchmarks import quality
from dreamoving.benchmarks._quality_bars import bars, comparisons, falling, floors_that_pass
from dreamoving.benchmarks._quality_figures import excess_cut, figures, paired, worst
from dreamoving.benchmarks._quality_floors import gallery_floor
from dreamoving.benchmarks._quality_report import contact_sheet, keep_pictures, report, sheets
from dreamoving.benchmarks._quality_rows import Row, Rows
from dreamoving.benchmarks._quality_scores import reference_scores, scene_scores
from dreamoving.benchmarks._quality_truth import CLOTHES, SCENES, Subject, candidates, other_scene, part_of
from dreamoving.benchmarks._quality_variants import Case, Variant
from dreamoving.dreamoving_core.errors import InputError
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
    assert Rows(tmp_path, made_with={"tiny": "a"}).scores("full/32", "psnr") == {0: [20.0], 1: [22.0]}
    assert rows.scores("full/32", "psnr") == {0: [20.0], 1: [21.0]}


def test_rows_hold_six_digits_in_memory_as_on_disk(tmp_path):
    rows = filled(tmp_path, {"full/32": {"psnr": [1 / 3]}})

    assert rows.scores("full/32", "psnr") == {0: [0.333333]}
    assert Rows(tmp_path, made_with={"tiny": "a"}).scores("full/32", "psnr") == {0: [0.333333]}


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


def test_the_cut_of_the_excess_is_over_the_floor_and_over_the_same_clips():
    values = {
        "on": {0: [3.0], 1: [5.0], 2: [9.0]},
        "off": {0: [4.0], 1: [7.0]},
        "floor": {0: [2.0], 1: [3.0], 2: [1.0]},
    }

    cut = excess_cut(values, "on", "off", "floor")
    assert (cut.mean, cut.low, cut.high) == pytest.approx((0.5, 0.5, 0.5))
    assert excess_cut(values, "on", "nothing", "floor") is None


def test_a_paired_difference_has_no_width_where_every_clip_changes_alike():
    values = {"a": {0: [1.0, 1.2], 1: [5.1]}, "b": {0: [1.0], 1: [5.0]}}

    difference, ratio = paired(values, "a", "b")
    assert (difference.low, difference.high) == pytest.approx((0.1, 0.1))
    assert ratio.mean == pytest.approx(6.2 / 6.0)


def test_the_worst_clips_are_those_with_large_errors_and_little_psnr():
    values = {7: [0.1, 0.3], 8: [0.5], 9: [0.0]}

    assert [clip for clip, _ in worst(values, "joint_error", 2)] == [8, 7]
    assert [clip for clip, _ in worst(values, "psnr_person", 2)] == [9, 7]


def holding(mean, values=None, number=None):
    return [
        bar.holds for bar in bars(mean, values or {}, noise="independent") if number in (None, bar.number)
    ]


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


def test_motion_must_cut_both_excesses_surely_without_blur_without_stillness_and_without_losing_the_pose():
    clips = range(6)
    values = {f"{metric}{mark}": {c: [value] for c in clips}
              for metric in ("warp_error", "delta_flicker")
              for mark, value in (("", 0.07), ("_motion_off", 0.1), ("_floor", 0.02))}  # fmt: skip
    values |= {
        "joint_error_16": {c: [0.03] for c in clips},
        "joint_error_16_motion_off": {c: [0.03] for c in clips},
    }
    mean = {
        "sharpness_16": 0.96,
        "sharpness_16_motion_off": 1.0,
        "motion_amplitude_16": 1.04,
        "motion_amplitude_16_motion_off": 1.0,
    }

    assert holding(mean, values, 5) == [True] * 5
    assert holding(mean | {"sharpness_16": 0.9}, values, 5).count(False) == 1
    worse = values | {"joint_error_16": {c: [0.04] for c in clips}}
    assert holding(mean, worse, 5).count(False) == 1
    little = values | {"warp_error": {c: [0.09] for c in clips}}
    assert holding(mean, little, 5).count(False) == 1
    unsure = values | {"warp_error": {c: [0.02 if c else 0.32] for c in clips}}
    assert holding(mean, unsure, 5).count(False) == 1


def test_other_training_seeds_are_judged_one_by_one_and_together():
    clips = range(6)
    marks = {"": 0.07, "_motion_off": 0.1, "_floor": 0.02, "_seed1": 0.06, "_seed2": 0.075}
    values = {f"{metric}{mark}": {c: [value] for c in clips} for metric in ("warp_error", "delta_flicker")
              for mark, value in marks.items()}  # fmt: skip

    found = [bar for bar in bars({}, values, noise="independent") if "seed" in bar.text]

    assert [bar.holds for bar in found] == [True] * 6
    assert "3 training seeds: motion cuts the excess of warp_error by 39.6% [39.6%, 39.6%]" in found[0].text
    worse = values | {"warp_error_seed2": {c: [0.085] for c in clips}}
    again = [bar for bar in bars({}, worse, noise="independent") if "seed" in bar.text]
    assert [bar.holds for bar in again].count(False) == 1
    other_noise = {
        n.replace("_seed1", "_seed1_independent"): v for n, v in values.items() if "_seed2" not in n
    }
    other_noise |= {f"{m}_independent": values[m] for m in ("warp_error", "delta_flicker")}
    other_noise |= {
        f"{m}_motion_off_independent": values[f"{m}_motion_off"] for m in ("warp_error", "delta_flicker")
    }
    there = [bar.text for bar in bars({}, other_noise, noise="independent") if "seed" in bar.text]
    assert [text[:40] for text in there[::2]] == ["16 frames, noise independent, 2 training"] * 2


def test_the_supplement_must_surely_find_more_faces():
    without = {c: [0.0] for c in range(8)}

    assert holding(
        {}, {"face_retrieval_identity": {c: [1.0] for c in range(8)}, "face_retrieval_clip_only": without}
    ) == [True]
    assert holding(
        {}, {"face_retrieval_identity": without | {0: [1.0]}, "face_retrieval_clip_only": without}
    ) == [False]


def test_what_knows_nothing_is_said_to_pass_when_it_does():
    found = dict(
        floors_that_pass(
            {"joint_error_train_mean": 0.2, "joint_error_floor": 0.01, "cloth_retrieval_alpha_0": 0.95}
        )
    )

    assert sorted(found.values()) == [False, True]
    assert found["cloth_retrieval of alpha_0 (0.9500)"] is False


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
