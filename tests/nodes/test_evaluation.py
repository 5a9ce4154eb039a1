"""Scorecard as a node: a drawn dance that is known, whole and spoilt, from pictures and from a file."""

import json

import pytest
import torch
from comfy_api.latest import InputImpl
from dreamoving.dreamoving_core.bridge.pose_extract import TINY
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from dreamoving.dreamoving_core.procdance.clip import ClipSpec
from dreamoving.dreamoving_core.procdance.sample import driven_clip
from dreamoving.dreamoving_core.video.encode import encode_video
from dreamoving.nodes.evaluation import Scorecard
from dreamoving.nodes.pose_extract import PoseExtract
from small_vision import vision

FRAMES, SIZE = 18, 128
WINDOWS = {"context_length": 6, "context_overlap": 0}


@pytest.fixture(scope="module")
def dance():
    return driven_clip(ClipSpec(seed=7, split="held_out", num_frames=FRAMES, size=SIZE))


@pytest.fixture(scope="module")
def keypoints(dance):
    return encode_pose_keypoint(dance.truth.keypoints, width=SIZE, height=SIZE)


def figures(images, **inputs):
    return json.loads(Scorecard.execute(images, **inputs).args[0])["figures"]


def test_a_dance_is_scored_in_five_numbers_with_a_plot_and_its_worst_frames(dance, keypoints):
    found = PoseExtract.execute(dance.truth.images, TINY, TINY).args[0]

    output = Scorecard.execute(
        dance.truth.images, **WINDOWS, worst=2, reference=dance.truth.face_reference[None], keypoints=keypoints,
        result_keypoints=found, clip_vision=vision(),
    )  # fmt: skip
    scorecard, plot, worst, report = output.args

    card = json.loads(scorecard)
    assert set(card["figures"]) == {"identity", "pose_error", "flicker", "window_seams", "colour_drift"}
    assert 0 < card["figures"]["pose_error"] < 0.03, "Tiny's detectors find a drawn dancer"
    assert card["figures"]["colour_drift"] < 0.5, "the light of a drawn dance stays"
    assert all(len(detail["series"]) == FRAMES for detail in card["details"].values())
    assert plot.shape[0] == 1
    assert len(worst) == sum(len(detail["worst"]) for detail in card["details"].values())
    assert output.ui["text"] == (report,)
    assert len(output.ui["images"]) == 1
    assert report.startswith(f"{FRAMES} frames, {SIZE} x {SIZE}\nidentity: ")


def test_each_kind_of_damage_is_seen_by_its_own_figure(dance):
    clip = dance.truth.images
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(0)) * 0.05
    whole = figures(clip, **WINDOWS)
    noisy = figures((clip + noise).clamp(0, 1), **WINDOWS)
    brighter = (clip + torch.linspace(0, 0.1, FRAMES)[:, None, None, None]).clamp(0, 1)
    seam = clip.clone()
    seam[6:12] = (seam[6:12] + 0.08).clamp(0, 1)

    assert noisy["flicker"] > 5 * whole["flicker"]
    assert figures(brighter, **WINDOWS)["colour_drift"] > 5 > 10 * whole["colour_drift"]
    assert figures(seam, **WINDOWS)["window_seams"] > 2 > whole["window_seams"]


def test_another_dance_has_a_larger_pose_error(dance, keypoints):
    other = driven_clip(ClipSpec(seed=21, split="held_out", num_frames=FRAMES, size=SIZE))
    wrong = encode_pose_keypoint(other.truth.keypoints, width=SIZE, height=SIZE)

    own = figures(dance.truth.images, keypoints=keypoints, result_keypoints=keypoints)["pose_error"]
    for fitted in (False, True):
        given = {"keypoints": wrong, "result_keypoints": keypoints, "fit_poses": fitted}
        assert figures(dance.truth.images, **given)["pose_error"] > 0.03 > own == 0.0


def test_a_video_file_is_scored_as_its_frames_are(dance, tmp_path):
    path = tmp_path / "dance.mkv"
    encode_video(path, dance.truth.images, format="mkv ffv1", frame_rate=12)

    streamed = figures(InputImpl.VideoFromFile(str(path)), **WINDOWS)

    assert streamed == pytest.approx(figures(dance.truth.images, **WINDOWS), rel=0.02)


def test_one_picture_is_no_error():
    scorecard, plot, worst, report = Scorecard.execute(torch.zeros(1, 8, 8, 3)).args

    assert json.loads(scorecard)["figures"] == {}
    assert report.count("not measured") == 5
    assert len(plot) == len(worst) == 1


def test_bad_poses_are_refused_in_words(dance, keypoints):
    clip = dance.truth.images
    with pytest.raises(InputError, match="empty POSE_KEYPOINT list"):
        Scorecard.execute(clip, keypoints=keypoints, result_keypoints=[])
    with pytest.raises(InputError, match=f"keypoints has 6 frames and result_keypoints {FRAMES}"):
        Scorecard.execute(clip, keypoints=keypoints[:6], result_keypoints=keypoints)
    with pytest.raises(InputError, match=f"result_keypoints has {FRAMES} frames and the video 9"):
        Scorecard.execute(clip[:9], keypoints=keypoints, result_keypoints=keypoints)
    with pytest.raises(InputError, match="cannot share 6"):
        Scorecard.execute(clip, context_length=6, context_overlap=6)


def test_a_face_recogniser_of_insightfaces_kind_tells_the_same_face_from_a_frame_without_one(tmp_path):
    pytest.importorskip("insightface", reason="optional; requirements-dev.txt has it")
    from dreamoving.benchmarks._face_pack import picture_with_a_spot, write_face_pack
    from dreamoving.dreamoving_core.preprocess.face_identity import load_face_recogniser

    write_face_pack(tmp_path)
    recogniser = load_face_recogniser(tmp_path, name="random")
    face = torch.from_numpy(picture_with_a_spot())[None]
    clip = torch.cat([face, torch.zeros_like(face), face])

    scorecard, *_ = Scorecard.execute(
        clip, reference=face, face_recogniser=recogniser, clip_vision=vision()
    ).args

    detail = json.loads(scorecard)["details"]["identity"]
    assert detail["how"] == "faces by random; no face in 1 of 3 frames"
    assert detail["series"] == [pytest.approx(1.0, abs=1e-5), None, pytest.approx(1.0, abs=1e-5)]
    with pytest.raises(InputError, match="No face was found in reference picture 1 of 1"):
        Scorecard.execute(clip, reference=torch.zeros_like(face), face_recogniser=recogniser)
