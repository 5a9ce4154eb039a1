"""Every story, run in a real server on DreaMoving-Tiny: the file that it makes is what the story says."""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from dreamoving.dreamoving_core.batch.client import Client, output_files
from dreamoving.tools.check_workflows import api_problems, bare
from dreamoving.tools.workflows import STORIES, TINY, described, tiny_path
from one_server import ROOT

pytestmark = pytest.mark.workflows


@dataclass(frozen=True, kw_only=True)
class Product:
    frames: int = 8  # one second of a clip at 12 frames per second, brought to 8
    size: int = 128
    rate: int = 8
    seconds: float = 1.0  # of sound


AS_DRIVEN = {"frames": 12, "rate": 12}  # all frames of the clip
PRODUCTS = {
    "Pose and depth": Product(**AS_DRIVEN),
    "Video to video": Product(**AS_DRIVEN),
    "Face pass": Product(frames=6, size=192, rate=12, seconds=0.5),
    "Long video": Product(frames=16, seconds=2.0),
    "Finish": Product(frames=23, size=256, rate=24, seconds=23 / 24),  # one between any two
    "Evaluation": Product(**AS_DRIVEN),
    "Wan-Animate": Product(frames=9, rate=12, seconds=9 / 12),  # 4 n + 1 of the clip's 12
    "SCAIL": Product(frames=5, seconds=5 / 8),  # of 8
}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_makes_what_it_says(name: str, client: Client, object_info: dict, tmp_path: Path) -> None:
    story, expected = STORIES[name], PRODUCTS.get(name, Product())
    graph = json.loads((ROOT / tiny_path(story)).read_text(encoding="utf-8"))
    workflow = described(story, TINY, object_info, ROOT).ui()
    assert list(api_problems(graph, object_info)) == []

    entry = client.run(graph, workflow=workflow, limit_s=1800)
    (video,) = [file for file in output_files(entry) if file.type == "output"]
    client.download(video, tmp_path / video.filename)
    pictures, rate, sound, metadata = read(tmp_path / video.filename)

    assert pictures.shape == (expected.frames, expected.size, expected.size, 3)
    assert rate == expected.rate
    assert sound == pytest.approx(expected.seconds, abs=1 / expected.rate)
    assert bare(json.loads(metadata["prompt"])) == bare(graph)
    assert json.loads(metadata["workflow"]) == workflow
    assert pictures.std() > 10, "the pictures are of one colour"
    assert np.abs(np.diff(pictures.astype(float), axis=0)).mean() > 0.1, "nothing moves"


def read(path: Path) -> tuple[np.ndarray, Fraction, float, dict[str, str]]:
    """Frames, frames per second, seconds of sound, metadata."""
    with av.open(str(path)) as file:
        metadata, rate = dict(file.metadata), file.streams.video[0].average_rate
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        samples = sum(frame.samples for frame in file.decode(stream))
        return pictures, rate, samples / stream.rate, metadata
