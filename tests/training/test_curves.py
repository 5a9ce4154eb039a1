"""The curves of a run's logs."""

import json
from xml.etree import ElementTree

import pytest
from dreamoving.dreamoving_core.training import cli, curves

SVG = "{http://www.w3.org/2000/svg}"


def log_of(folder, stage, losses):
    lines = [json.dumps({"step": step, "loss": loss}) for step, loss in losses]
    (folder / f"{stage}.jsonl").write_text("\n".join(lines) + "\n")


def test_every_stage_has_its_curve_from_its_highest_to_its_lowest_loss(tmp_path):
    log_of(tmp_path, "base", [(20, 2.0), (40, 1.5), (60, 1.0)])
    log_of(tmp_path, "motion16", [(20, 0.5), (40, 0.7)])

    assert cli.main(["curves", str(tmp_path), "--out", str(tmp_path / "c.svg")]) == 0

    found = ElementTree.parse(tmp_path / "c.svg").getroot()
    words = [text.text for text in found.iter(f"{SVG}text")]
    assert "base: 60 steps, loss 1.75 to 1.25" in words  # means over neighbours
    assert any(text.startswith("motion16: 40 steps") for text in words)
    lines = [line.get("points").split() for line in found.iter(f"{SVG}polyline")]
    falling = [float(point.split(",")[1]) for point in lines[0]]
    frame = found.findall(f"{SVG}rect")[1]
    top, height = float(frame.get("y")), float(frame.get("height"))
    assert (falling[0], falling[-1]) == (top, top + height)
    assert [len(line) for line in lines] == [3, 2]


def test_lines_about_the_run_itself_are_no_part_of_the_curve(tmp_path):
    (tmp_path / "base.jsonl").write_text(
        '{"run": {"seed": 1}}\n{"step": 20, "loss": 2.0}\n{"run": {"seed": 1}}\n'
    )

    assert curves.read_losses(tmp_path / "base.jsonl") == [(20, 2.0)]


def test_steps_that_were_taken_twice_count_once_and_half_a_line_does_not(tmp_path):
    log_of(tmp_path, "base", [(20, 2.0), (40, 9.0), (40, 1.0)])
    with (tmp_path / "base.jsonl").open("a") as lines:
        lines.write('{"step": 60, "lo')

    assert curves.read_losses(tmp_path / "base.jsonl") == [(20, 2.0), (40, 1.0)]


def test_a_level_curve_has_a_place_too():
    assert "polyline" in curves.picture({"base": [(20, 1.0), (40, 1.0)]})


def test_a_folder_without_logs_is_refused(tmp_path, caplog):
    assert cli.main(["curves", str(tmp_path)]) == 1
    assert "There are no logs" in caplog.text


@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_panels_lie_within_the_picture(count):
    stages = {f"stage{i}": [(20, 1.0), (40, 0.5)] for i in range(count)}
    found = ElementTree.fromstring(curves.picture(stages))

    for rect in found.iter(f"{SVG}rect"):
        assert float(rect.get("x", 0)) + float(rect.get("width")) <= float(found.get("width"))
        assert float(rect.get("y", 0)) + float(rect.get("height")) <= float(found.get("height"))
