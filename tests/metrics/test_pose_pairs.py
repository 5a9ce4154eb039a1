"""Joints off two videos: DreaMoving-Tiny's own networks find a drawn dancer, the true one and another."""

import sys

import pytest
import torch
from dreamoving.dreamoving_core.metrics import __main__ as command
from dreamoving.dreamoving_core.metrics.pose_pairs import pose_figures
from dreamoving.dreamoving_core.preprocess.dwpose import ExtractSettings, open_extractor
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.tiny import files
from metrics.picture_folders import write_pictures

pytestmark = pytest.mark.skipif(not files.FOLDER.is_dir(), reason="this copy has no trained weights")


@pytest.fixture(scope="module")
def dances(tmp_path_factory):
    """Folders of three frames: a dancer, the same one shifted by a tenth of the height, and nobody."""
    folder = tmp_path_factory.mktemp("dances")
    truth = render_clip(ClipSpec(seed=1, num_frames=3, size=128)).images
    aside = truth.roll(13, dims=2)
    for name, clip in (("true", truth), ("aside", aside), ("nobody", torch.full_like(truth, 0.5))):
        write_pictures(folder / name / "a", clip)
    return folder


@pytest.fixture(scope="module")
def extractor():
    people, points = (files.FOLDER / name for name in (files.PERSON_DETECTOR, files.POINT_DETECTOR))
    return open_extractor(people, points, ExtractSettings())


def test_a_dancer_beside_itself_has_no_error_and_a_tenth_of_the_height_aside_a_tenth(dances, extractor):
    same, _ = pose_figures(dances / "true" / "a", dances / "true" / "a", extractor)
    aside, notes = pose_figures(dances / "aside" / "a", dances / "true" / "a", extractor)

    assert same == {"pose_error": 0.0, "joints_found": 1.0}
    assert aside["pose_error"] == pytest.approx(13 / 128, abs=0.02)
    assert aside["joints_found"] > 0.9
    assert notes == []


def test_where_nobody_is_found_there_is_no_pose_error_and_it_is_said(dances, extractor):
    lost, notes = pose_figures(dances / "nobody" / "a", dances / "true" / "a", extractor)
    empty, said = pose_figures(dances / "true" / "a", dances / "nobody" / "a", extractor)

    assert lost == {"joints_found": 0.0}
    assert "no joint of the dancer in" in notes[0]
    assert empty == {}
    assert "no person was found in" in said[0]


def run(monkeypatch, capsys, *words):
    """Exit code, what was printed, what was refused."""
    monkeypatch.setattr(sys, "argv", ["metrics", *map(str, words)])
    code = command.main()
    return code, *capsys.readouterr()


def test_the_command_takes_tinys_networks_for_drawn_dancers(dances, monkeypatch, capsys):
    words = ("--truth", dances / "true", "--detector", "tiny", "--pose-model", "tiny")

    code, said, _ = run(monkeypatch, capsys, dances / "aside", *words)

    assert code == 0
    assert {"pose_error", "joints_found", "warp_error"} <= {line.split()[0] for line in said.splitlines()}


def test_detectors_that_lack_something_are_refused_before_any_video_is_read(dances, monkeypatch, capsys):
    truth, points = ("--truth", dances / "true"), files.FOLDER / files.POINT_DETECTOR

    for words, said in (
        ((*truth, "--detector", "tiny"), "--detector and --pose-model go together"),
        (("--detector", "tiny", "--pose-model", "tiny"), "give --truth too"),
        (
            (*truth, "--detector", "tiny", "--pose-model", "no.onnx"),
            "There is no no.onnx. Check --pose-model",
        ),
        ((*truth, "--detector", points, "--pose-model", "tiny"), "is no person detector"),
    ):
        code, _, refused = run(monkeypatch, capsys, dances / "nowhere", *words)
        assert code == 1
        assert said in refused
