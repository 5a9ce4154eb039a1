"""`bench preprocess`: its bars, its random people and pairs, and (slow) its figures."""

import importlib
import json

import numpy as np
import pytest

preprocess = importlib.import_module("dreamoving.benchmarks.preprocess")
figures = importlib.import_module("dreamoving.benchmarks._pose_figures")
pairs = importlib.import_module("dreamoving.benchmarks._pose_pairs")


@pytest.mark.parametrize(
    ("figure", "held"),
    [
        ({"value": 0.0, "at_most": 0}, True), ({"value": 1.0, "at_most": 0}, False), ({"value": 3.0}, True),
        ({"value": 0.9, "at_least": 0.9}, True), ({"value": 0.8, "at_least": 0.9}, False),
        ({"value": float("nan"), "at_most": 1}, False), ({"value": float("nan")}, False),
    ],
)  # fmt: skip
def test_a_bar_holds_up_to_its_number_and_never_for_nan(figure, held):
    assert preprocess.holds(figure) is held


def test_the_report_and_the_exit_status_follow_the_bars(tmp_path, monkeypatch, capsys):
    values = {"good": {"value": 1, "at_most": 2, "against": "x"}, "plain": {"value": 5, "against": "y"}}
    part = type("Part", (), {"figures": staticmethod(lambda folder: values)})
    monkeypatch.setattr(preprocess.importlib, "import_module", lambda *args: part)
    out = tmp_path / "deep" / "preprocess.json"

    assert preprocess.main(["--out", str(out)]) == 0
    values["good"]["value"] = 3
    assert preprocess.main(["--out", str(out)]) == 1

    report = json.loads(out.read_text())
    assert report["figures"] == {"good": 3.0, "plain": 5.0}
    assert report["bars"] == {"good": False}
    assert "FAILS" in capsys.readouterr().out


def test_pairs_are_of_other_proportions_places_and_canvases_and_their_truth_is_the_references():
    made = [pairs.make_pair(seed, frames=3) for seed in range(12)]

    assert len({(p.dance.width, p.dance.height, p.reference.width, p.reference.height) for p in made}) > 6
    for pair in made:
        assert pair.dance.seen.all()
        assert pair.reference.seen.all()
        feet = [10, 13]
        lower = pair.truth[:, 0, feet, 1].max()
        assert abs(lower - pair.reference.points[0, 0, feet, 1].max()) < 0.1 * pair.height
        nose_to_feet = np.ptp(pair.reference.points[0, 0, :14, 1])
        assert 0.7 < nose_to_feet / pair.height < 1.1


def test_random_people_are_in_part_outside_and_lack_points():
    crowd = [figures.random_people(seed) for seed in range(8)]

    points = np.concatenate([person["body"] for people, *_ in crowd for person in people])
    assert (points[:, 2] == 0).any()
    assert (points[:, :2] < 0).any()
    assert {len(people) for people, *_ in crowd} == {1, 2, 3}


@pytest.mark.slow
def test_a_hundred_fitted_dances_are_within_two_percent_and_the_damaged_are_told():
    found = figures.fitting(count=100)

    assert [name for name, figure in found.items() if not preprocess.holds(figure)] == []


@pytest.mark.slow
def test_cleaning_and_resampling_keep_their_bars():
    found = figures.cleaning() | figures.resampling()

    assert [name for name, figure in found.items() if not preprocess.holds(figure)] == []


@pytest.mark.slow
def test_drawing_equals_controlnet_aux_to_the_pixel(tmp_path):
    """Installs controlnet_aux beside the environment."""
    assert figures.drawing(tmp_path, count=60)["draw_differing_pixels"]["value"] == 0
