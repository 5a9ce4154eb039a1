"""What was measured of the shipped Tiny, kept in the repository, belongs to the files and the demo that are shipped."""

import json
import re
from pathlib import Path

import pytest
from dreamoving.benchmarks import quality
from dreamoving.benchmarks._quality_figures import figures
from dreamoving.benchmarks._quality_graphs import SAMPLER, find
from dreamoving.benchmarks._quality_loaders import file_digest, fingerprint
from dreamoving.benchmarks._quality_report import TABLE, report
from dreamoving.benchmarks._quality_rows import Rows
from dreamoving.benchmarks.graph import load_graph

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "measured"


@pytest.fixture(scope="module")
def made_with():
    return json.loads((KEPT / "made_with.json").read_text(encoding="utf8"))


@pytest.fixture(scope="module")
def table():
    return (KEPT / TABLE).read_text(encoding="utf8").splitlines()


def test_the_kept_results_are_those_of_the_shipped_files_and_of_the_demo(made_with):
    sampler = load_graph()[find(load_graph(), SAMPLER)]["inputs"]
    given = quality.given_files(quality.arguments([]))

    assert made_with["Tiny"] == fingerprint(None)
    settings = ("steps", "cfg", "cfg_end_percent", "sampler_name", "scheduler", "noise")
    assert {name: made_with[name] for name in settings} == {name: sampler[name] for name in settings}
    assert made_with["--style-lora"] == file_digest(given.style_lora)
    assert made_with["--peer"] == fingerprint(given.peer)
    assert {name: made_with[f"--motion {name}"] for name, _ in given.motions} == {
        name: file_digest(path) for name, path in given.motions
    }


def test_the_kept_table_is_what_the_kept_rows_say(tmp_path, made_with, table):
    (tmp_path / "rows.jsonl").write_bytes((KEPT / "rows.jsonl").read_bytes())
    rows = Rows(tmp_path, made_with=made_with)
    found = figures(rows, frames=16, clip_frames=32, noise="shared")

    assert table == report(rows, *found, noise="shared")["table"]


def test_the_headline_of_the_readme_is_in_the_kept_table(table):
    """Rows of the README like "| `joint_error` | 0.0182 [0.0160, 0.0210] | ..."."""
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    shown = re.findall(r"^\| `(\w+)` \| ([\d.]+) \[([\d.]+), ([\d.]+)\]", readme, flags=re.MULTILINE)
    kept = {
        line.split()[0]: [float(n) for n in re.findall(r"-?\d+\.\d{4}", line)[:3]]
        for line in table
        if "   [" in line
    }

    assert len(shown) >= 8
    for name, *numbers in shown:
        for number, exact in zip(numbers, kept[name], strict=True):
            digits = len(number.partition(".")[2])
            assert float(number) == pytest.approx(exact, abs=0.51 * 10**-digits), name
