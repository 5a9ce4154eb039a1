"""What `bench train-sd15` counts as a failure, and the files that it makes."""

import pytest
import torch
from dreamoving.benchmarks._sd15_files import motion
from dreamoving.benchmarks.train_sd15 import TAKES, WRITTEN, arguments, checksums, holds
from dreamoving.dreamoving_core.training import sd15_cli
from dreamoving.dreamoving_core.training.stages_sd15 import STAGES
from dreamoving.dreamoving_core.weights.io import WeightsFile
from dreamoving.dreamoving_core.weights.motion import read_motion
from torch import nn

GOOD = {"moved": 5, "strangers_moved": [], "tensors_that_differ_in_the_node": 0}


@pytest.mark.parametrize(
    "bad", [{"moved": 0}, {"strangers_moved": ["base.x"]}, {"tensors_that_differ_in_the_node": 1}]
)
def test_a_stage_fails_when_nothing_moves_or_a_stranger_does_or_the_node_loads_something_else(bad):
    assert holds(GOOD)
    assert not holds(GOOD | bad)


def test_every_single_number_of_a_parameter_counts():
    layer = nn.Linear(3, 2)
    before = checksums(layer)

    with torch.no_grad():
        layer.weight[1, 2] += 1e-6

    changed = {name for name, value in checksums(layer).items() if value != before[name]}
    assert changed == {"weight"}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_is_called_as_a_person_would_with_what_the_one_before_wrote(stage, tmp_path):
    files = {
        name: tmp_path / name for name in ("base", "motion", "control", "clip_vision", "face_recogniser")
    }

    words = arguments(stage, files, data=tmp_path / "data", export=tmp_path / "out", folder=tmp_path / "run")

    args = sd15_cli.parsed(words)
    changed = sd15_cli.stage_of(args)
    assert (args.stage, args.base) == (stage, files["base"])
    assert (changed.size, changed.schedule.steps, changed.learns) == (64, 2, STAGES[stage].learns)
    if stage in ("video_control", "expression"):
        assert args.motion == tmp_path / "out" / WRITTEN["long_frame"]
    if stage == "expression":
        assert args.control == tmp_path / "out" / WRITTEN["video_control"]
    assert list(TAKES) == list(STAGES)


@pytest.mark.slow  # 1.7 GB
def test_the_motion_file_is_taken_for_the_papers_starting_point():
    found = read_motion(WeightsFile(name="motion", state_dict=motion()))

    assert found.info.version == "AnimateDiff v1"
    assert found.info.positions == 24
