"""The memory benchmark itself, at a size that runs in a minute; it wants a process of its own for its attention."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_memory_benchmark_counts_what_must_hold_at_any_size(tmp_path):
    out = tmp_path / "memory.json"
    words = ["bench", "memory", "--frames", "2", "--size", "128", "--out", str(out)]
    subprocess.run(
        [sys.executable, str(ROOT / "tools" / "inside.py"), *words], check=True, env=dict(os.environ)
    )

    report = json.loads(out.read_text())
    figures = report["figures"]

    assert all(isinstance(value, (int, float)) for value in figures.values())
    assert figures["peak_step_stock_gib"] <= figures["peak_step_motion_gib"] <= figures["peak_step_full_gib"]
    assert figures["peak_step_full_apart_gib"] < figures["peak_step_full_gib"]
    largest = report["details"]["largest_at_peak"]["stock"][0]
    assert largest["shape"] == [4, 256, 2560], (
        "core's GEGLU at the highest resolution: 2 x 2 frames, 16 x 16 positions"
    )
    parts = sum(figures[f"at_peak_full_{name}_gib"] for name in ("core", "controlnets", "motion", "guider"))
    assert parts == pytest.approx(figures["peak_step_full_gib"], abs=1e-3)
