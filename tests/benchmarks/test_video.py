"""The benchmark of Video Combine, at a size that runs in seconds; memory is counted in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")


def bench(*words):
    command = [sys.executable, str(ROOT / "tools" / "inside.py"), "bench", "video", *words]
    done = subprocess.run(command, env=dict(os.environ), stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


def test_a_long_video_takes_hardly_more_memory_than_the_encoder_itself():
    code, text = bench("--case", "streamed:mp4:400", "--size", "320x192")

    found = json.loads(text.splitlines()[-1])
    all_frames = 400 * 320 * 192 * 3 * 4 / 2**20
    assert code == 0
    assert found["frames"] == 400
    assert all_frames > 250
    assert found["peak_mib"] < 100, "the frames alone would be 281 MiB"


@pytest.mark.slow
def test_the_benchmark_reports_every_format(tmp_path):
    from dreamoving.dreamoving_core.video.formats import FORMATS

    out = tmp_path / "video.json"
    code, _ = bench(
        "--images", "30", "--streamed", "60", "--each", "12", "--size", "320x192", "--out", str(out)
    )

    figures = json.loads(out.read_text())["figures"]
    assert code == 0
    assert figures["images_30_peak_mib"] < 400
    for name in FORMATS:
        assert figures[f"{name.replace(' ', '_')}_12_frames_per_second"] > 0
