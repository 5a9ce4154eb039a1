"""`run.py train tiny` from nothing to the files that Load DreaMoving-Tiny reads, a step of each stage on a clip or two."""

import hashlib

import pytest
import torch
from dreamoving.dreamoving_core.bridge.tiny_files import load_tiny
from dreamoving.dreamoving_core.procdance.palette import STYLES
from dreamoving.dreamoving_core.tiny import files
from dreamoving.dreamoving_core.training import cli, tiny, tiny_sets
from dreamoving.dreamoving_core.training.stages import OPTIONAL, SCHEDULES
from dreamoving.dreamoving_core.training.tiny_sets import SETS
from dreamoving.dreamoving_core.weights.io import read_weights
from safetensors.torch import save

STAGES = [stage for stage in SCHEDULES if stage not in OPTIONAL]


def whole_run(folder):
    words = ["tiny", "--folder", str(folder / "run"), "--export", str(folder / "out"), "--device", "cpu"]
    return cli.main([*words, "--set", "steps=1", "--set", "clips=1"])


def digests(folder):
    """Of each file of the run; of an exported one without the order of its header's keys, which differs by chance."""
    found = {path.name: path.read_bytes() for path in (folder / "run").iterdir()}
    for path in (folder / "out").iterdir():
        weights = read_weights(path)
        found[path.name] = save(weights.state_dict) + repr(sorted(weights.metadata.items())).encode()
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a whole run in `run` and its files in `out`."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        few = {wanted: (name, 4 if wanted.frames == 1 else 1) for wanted, (name, _) in SETS.items()}
        patch.setattr(tiny_sets, "SETS", few)
        patch.setattr(tiny, "PICTURES", 4)
        assert whole_run(folder) == 0
        yield folder


def test_a_whole_run_from_nothing_ends_every_stage_and_writes_files_that_load(trained):
    assert {path.name for path in trained.glob("run/*.done.pt")} == {f"{stage}.done.pt" for stage in STAGES}
    assert {path.name for path in trained.glob("out/*")} == {*files.ALL, files.STYLE_LORA}
    loaded = load_tiny(trained / "out", style=STYLES[1])
    assert loaded.model.patches  # the LoRA's
    learned = torch.load(trained / "run" / "image_styles.done.pt")
    unet = loaded.model.model.diffusion_model.state_dict()
    assert all(
        torch.equal(value.half(), learned[f"base.diffusion_model.{key}"].half())
        for key, value in unet.items()
    )


def test_the_files_of_a_whole_run_tell_their_steps_and_have_no_parents(trained):
    headers = {path.name: read_weights(path).metadata for path in trained.glob("out/*")}

    steps = {name: int(header["training_steps"]) for name, header in headers.items()}
    assert {header["parents"] for header in headers.values()} == {"[]"}
    assert (steps[files.UNET], steps[files.CONTROL_POSE], steps[files.MOTION]) == (1, 2, 3)
    assert (steps[files.AUTOENCODER], steps[files.VISION], steps[files.STYLE_LORA]) == (2, 2, 1)


def test_every_stage_of_a_whole_run_hands_on_what_it_learned_and_nothing_else(trained):
    learns = {
        "motion16": ("motion.",),
        "long_frame": ("motion.",),
        "video_control": ("controls.",),
        "expression": ("motion.",),
        "image_styles": ("vision.",),
    }
    before = torch.load(trained / "run" / "base.done.pt")
    for stage, parts in learns.items():
        after = torch.load(trained / "run" / f"{stage}.done.pt")
        moved = [key for key, value in before.items() if not torch.equal(after[key], value)]
        assert moved, stage
        assert all(key.startswith(parts) for key in moved), stage
        before = after


def test_a_second_call_says_that_everything_is_done_and_changes_nothing(trained, capsys):
    before = digests(trained)

    assert whole_run(trained) == 0

    assert digests(trained) == before
    told = capsys.readouterr().err
    assert [stage for stage in STAGES if f" {stage} is done" in told] == STAGES
