"""The benchmark of the sampler's preview, at a size that runs in seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_benchmark_counts_the_previews_and_compares_pairs(tmp_path):
    out = tmp_path / "preview.json"
    words = ["--pairs", "2", "--frames", "4", "--steps", "2", "--out", str(out)]

    command = [sys.executable, str(ROOT / "tools" / "inside.py"), "bench", "preview", *words]
    done = subprocess.run(command, env=dict(os.environ), stdout=subprocess.PIPE, text=True)

    report = json.loads(out.read_text())
    figures = report["figures"]
    assert done.returncode in (0, 1)  # how dear it is, is not for a clip of 4 frames to say
    assert 1 <= figures["previews_per_run"] <= 2
    assert len(report["details"]["ratios"]) == 2
    assert report["details"]["bytes_per_preview"] > 1000
