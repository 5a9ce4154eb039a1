"""The quality benchmark from its command line to its report, with the renderer in the place of the networks."""

import json

import pytest
from dreamoving.benchmarks import quality
from dreamoving.benchmarks._quality_graphs import CLIP, find
from dreamoving.benchmarks._quality_truth import Subject
from dreamoving.dreamoving_core.procdance.palette import STYLES


class Unchanged:
    """An autoencoder without loss."""

    def encode(self, pictures):
        return pictures

    def decode(self, latents):
        return latents


class TrueRunner:
    """Shows the true clip of every graph, whatever else the graph asks for."""

    def __init__(self):
        self.sampled = 0

    def outputs(self, graph, title):
        if title != "VAEDecode":
            return None, None, Unchanged()
        self.sampled += 1
        clip = graph[find(graph, CLIP)]["inputs"]
        subject = Subject(clip["seed"], clip["frames"], shot=clip["shot"], style=STYLES.index(clip["style"]))
        return (subject.truth.images,)

    def forget(self, keep):
        pass


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Runs the benchmark and returns its report and how many clips were sampled for it."""
    monkeypatch.setattr(quality, "PEOPLE", 3)

    def run(*words):
        runner = TrueRunner()
        monkeypatch.setattr(quality, "new_runner", lambda: runner)
        common = ["--clips", "2", "--seeds", "1", "--frames", "2", "--clip-frames", "2", "--few", "1"]
        places = ["--rows", str(tmp_path / "rows"), "--out", str(tmp_path / "quality.json")]
        code = quality.main([*common, *places, *words])
        return json.loads((tmp_path / "quality.json").read_text()), runner.sampled, code

    return run


def test_a_perfect_model_meets_its_own_bars_and_is_found_out_where_it_ignores_what_was_asked(
    measured, tmp_path
):
    found, sampled, code = measured("--only", "base", "full", "swapped", "other_caption", "control_off")
    figures = found["figures"]

    assert sampled == 10
    assert code == 1  # it ignores swapped pictures, another caption, and that control is off
    assert figures["joint_error"] == figures["joint_error_floor"] == figures["joint_error_control_off"]
    assert figures["cloth_error"] == figures["background_error"] == 0
    assert (
        figures["caption_accuracy_own"]
        == figures["cloth_retrieval_own"]
        == figures["face_retrieval_own"]
        == 1
    )
    assert figures["caption_accuracy"] == figures["cloth_retrieval"] == figures["face_retrieval"] == 0
    assert {floor["what"].split(" (")[0] for floor in found["floors"] if not floor["fails"]} == {
        "joint_error of control_off"
    }
    assert figures["joint_error_train_mean"] > 3 * figures["joint_error"]
    assert list((tmp_path / "rows").glob("sheet_2.png"))
    assert (tmp_path / "rows" / "table.txt").read_text(encoding="utf8").splitlines() == found["table"]
    assert any(line.endswith("]   2 clips, 2 results") for line in found["table"])


def test_a_second_run_samples_only_what_is_missing(measured):
    first = measured("--only", "full", "--clips", "1")
    second = measured("--only", "full", "base")
    third = measured("--only", "full", "base")

    assert [sampled for _, sampled, _ in (first, second, third)] == [1, 3, 0]
    assert second[0]["figures"] == third[0]["figures"]
    assert set(second[0]["per_clip"]["joint_error"]) == {"6000", "6001"}


def test_rows_beside_the_bars_are_measured_on_few_clips(measured):
    found, sampled, _ = measured("--only", "motion_windows", "face")

    assert sampled == 1 + 2
    assert set(found["per_clip"]["warp_error_windows_64"]) == {"6000"}
    assert found["figures"]["expression_error"] == found["figures"]["expression_error_floor"]


def test_an_unknown_group_is_refused_with_the_known_ones(measured, capsys, monkeypatch):
    monkeypatch.setattr(quality, "new_runner", TrueRunner)

    assert quality.main(["--only", "colour"]) == 1
    assert "error: --only knows no colour. There are the groups full, control" in capsys.readouterr().out
