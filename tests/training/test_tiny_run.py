"""A run of Tiny from the shipped weights: what each stage starts from, what it moves, and what it leaves behind."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.file_digest import sha256_of
from dreamoving.dreamoving_core.tiny import files
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from dreamoving.dreamoving_core.training import cli, tiny_sets
from dreamoving.dreamoving_core.training.networks import new_networks
from dreamoving.dreamoving_core.training.rendering import danced
from dreamoving.dreamoving_core.training.run_options import add_run_options, settings_of
from dreamoving.dreamoving_core.training.stages import STAGES
from dreamoving.dreamoving_core.training.tiny import TinyRun
from dreamoving.dreamoving_core.training.tiny_sets import SetSpec, set_of
from dreamoving.dreamoving_core.training.trainer import new_accelerator, save_atomically
from dreamoving.dreamoving_core.training.warm_start import NETWORKS, Results, read_shipped
from dreamoving.dreamoving_core.video.decode import probe_video
from dreamoving.dreamoving_core.weights.io import read_weights

pytestmark = pytest.mark.skipif(not files.FOLDER.is_dir(), reason="this copy has no trained weights")


@pytest.fixture(scope="module")
def small_sets():
    """Two clips of four frames instead of hundreds of sixteen."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_sets, "SETS", {SetSpec(): ("pictures", 4), SetSpec(frames=4): ("clips", 2)})
        patch.setattr(tiny_sets, "DRAWN_FRAMES", 8)
        yield


def a_run(folder, **beside):
    settings = {"steps": 2, "frames": 4, "preview_every": 2} | beside.pop("settings", {})
    given = {"warm_start": "shipped", "settings": settings} | beside
    return TinyRun(folder, accelerator=new_accelerator(device="cpu"), **given)


@pytest.fixture(scope="module")
def trained(small_sets, tmp_path_factory):
    """A folder in which the stages motion16 and video_control are done."""
    folder = tmp_path_factory.mktemp("tiny")
    run = a_run(folder)
    run.stage("motion16")
    run.stage("video_control")
    return folder


def test_every_set_has_a_file_of_its_own():
    sets = [set_of(stage) for stage in STAGES.values()]
    sets += [SetSpec(frames=8), SetSpec(frames=8, style=1), SetSpec(frames=8, shots=("face", "face", "half"))]

    assert len({wanted.name for wanted in sets}) == len(set(sets))
    assert sets[-1].name == "clips8_2face_1half"
    assert set_of(STAGES["expression"]).name == "long_close_ups"


def test_the_expression_stage_sees_faces_and_the_style_the_other_drawing():
    faces = [clip[0].shot for clip in danced(20, 2, shots=set_of(STAGES["expression"]).shots)]
    cartoon = set_of(STAGES["style_lora"]).draw(1)
    close = SetSpec(frames=2, shots=("face",)).draw(1)

    assert faces.count("face") == 6
    assert cartoon.captions[0].startswith("cartoon of a person")
    assert (cartoon.images.shape[:2], close.images.shape[:2]) == ((1, 1), (1, 2))
    assert close.captions[0].endswith("close-up")


def test_a_style_is_trained_beside_the_chain_and_exported_with_it(small_sets, tmp_path):
    run = a_run(tmp_path, settings={"frames": 1, "preview_every": 0})

    run.stage("style_lora")
    run.export(tmp_path / "out")

    style = read_weights(tmp_path / "out" / files.STYLE_LORA).state_dict
    assert any(value.any() for key, value in style.items() if key.endswith("lora_up.weight"))
    unet = read_weights(tmp_path / "out" / files.UNET).state_dict
    shipped = read_weights(files.FOLDER / files.UNET).state_dict
    assert all(torch.equal(unet[key], value) for key, value in shipped.items())


def test_the_image_encoder_learns_the_other_style_and_nothing_else_does(small_sets, tmp_path):
    a_run(tmp_path).image_styles()

    before, after = read_shipped(NETWORKS), done(tmp_path, "image_styles")
    moved = {key for key, value in before.items() if not torch.equal(after[key].float(), value)}
    assert moved
    assert all(key.startswith("vision.") for key in moved)
    handed_on = a_run(tmp_path).networks(before="style_lora").vision.state_dict()
    assert all(torch.equal(handed_on[key.removeprefix("vision.")], after[key]) for key in moved)


def test_one_branch_takes_the_face_branch_and_learns_it_alone(small_sets, tmp_path):
    settings = {"frames": 1, "preview_every": 0, "clips": 2}
    run = a_run(tmp_path, one_branch=True, settings=settings)

    run.stage("content_guider")

    before, after = read_shipped(NETWORKS), done(tmp_path, "content_guider")
    moved = {
        key for key, value in before.items() if key in after and not torch.equal(after[key].float(), value)
    }
    assert moved
    assert all(key.startswith("guider.face.") for key in moved)
    assert not any(key.startswith("guider.cloth.") for key in after)


def done(folder, stage):
    return torch.load(folder / f"{stage}.done.pt")


def test_the_shipped_weights_are_a_whole_set_of_networks():
    networks = new_networks(TinyConfig())

    networks.load(read_shipped(NETWORKS))

    stored = read_weights(files.FOLDER / files.MOTION).state_dict
    found = networks.motion.state_dict()
    assert all(torch.equal(found[key], value.float()) for key, value in stored.items())


def test_motion16_starts_its_motion_anew_and_moves_nothing_else(trained):
    shipped, learned = read_shipped(NETWORKS), done(trained, "motion16")

    moved = {key for key, value in shipped.items() if not torch.equal(learned[key].float(), value)}

    assert moved
    assert all(key.startswith("motion.") for key in moved)
    last = learned["motion.down_blocks.0.motion_modules.0.temporal_transformer.proj_out.weight"]
    assert float(last.abs().max()) < 0.1  # two steps away from zero


def test_the_video_control_starts_from_the_motion_of_the_stage_before(trained, small_sets):
    before, learned = done(trained, "motion16"), done(trained, "video_control")
    key = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"

    moved = {key for key, value in before.items() if not torch.equal(learned[key], value)}

    assert all(key.startswith("controls.") for key in moved)
    distance = (learned[f"controls.pose.motion.{key}"] - before[f"motion.{key}"]).norm()
    other = (before[f"controls.pose.motion.{key}"] - before[f"motion.{key}"]).norm()
    assert distance < 0.1 * other


def test_a_run_leaves_its_log_and_previews_that_play(trained):
    lines = [json.loads(line) for line in (trained / "motion16.jsonl").read_text().splitlines()]
    preview = probe_video(trained / "previews" / "video_control-000002.webp")

    begun, *others = lines
    assert begun["run"]["settings"] == {"frames": 4, "steps": 2, "preview_every": 2}
    assert [line["step"] for line in others] == [2]
    assert (preview.width, preview.height) == (128, 256)  # the clip, its control below
    assert (trained / "previews" / "motion16-000002.webp").is_file()


def test_another_run_starts_from_this_one_and_says_so(trained, small_sets, tmp_path, caplog):
    caplog.set_level("INFO")

    networks = a_run(tmp_path, warm_start=trained).networks(before="long_frame")

    assert f"warm start: 'motion16' from {trained / 'motion16.done.pt'}" in caplog.text
    expected = done(trained, "motion16")
    assert all(torch.equal(value, expected[key]) for key, value in networks.state_dict().items())


def test_another_seed_draws_other_first_weights(small_sets, tmp_path):
    def motion(seed):
        run = a_run(tmp_path, seed=seed)
        networks = run.networks(before="motion16")
        networks.prepare("new motion")
        return networks.motion.state_dict()

    key = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"

    first = motion(1)[key]

    assert torch.equal(first, motion(1)[key])
    assert not torch.equal(first, motion(2)[key])


def test_old_checkpoints_serve_a_run_with_a_face_recogniser(trained, small_sets, tmp_path):
    run = a_run(tmp_path, warm_start=trained, identity=True)

    networks = run.networks(before="expression")

    assert not networks.guider.face.id_proj[-1].weight.any()  # a supplement that says nothing yet
    with pytest.raises(WeightsError, match="of another layout: 0 tensors are missing, 1 unknown"):
        networks.load(done(trained, "motion16") | {"stranger": torch.zeros(1)})


def test_a_dry_run_reports_and_saves_nothing(small_sets, tmp_path, caplog):
    caplog.set_level("INFO")

    a_run(tmp_path, dry=True).stage("long_frame")

    learns = sum(p.numel() for p in new_networks(TinyConfig()).motion.parameters())
    assert f"motion{learns:>33,}{0:>15,}" in caplog.text
    assert "2 steps: 0.0 hours on cpu" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_stage_without_what_it_starts_from_says_what_to_train(tmp_path):
    run = a_run(tmp_path, warm_start=None)

    with pytest.raises(InputError, match=r"Stage 'image_encoder' has not been trained .*--warm-start"):
        run.networks(before="base")


def test_an_empty_folder_is_no_warm_start(tmp_path):
    with pytest.raises(InputError, match=r"nothing to start from .*no \*\.done\.pt"):
        Results(tmp_path / "mine", tmp_path)


def test_a_runs_own_results_go_before_the_others(tmp_path):
    other, mine = tmp_path / "other", tmp_path / "mine"
    other.mkdir()
    mine.mkdir()
    for folder, value in ((other, 1.0), (mine, 2.0)):
        save_atomically({"x": torch.tensor(value)}, folder / "base.done.pt")
    save_atomically({"x": torch.tensor(3.0)}, other / "motion16.done.pt")
    results = Results(mine, other)

    assert results.latest(["base", "motion16"])["x"] == 2
    assert results.latest(["motion16"])["x"] == 3
    assert results.latest(["expression"]) is None


def options(words):
    parser = argparse.ArgumentParser()
    add_run_options(parser, folder=Path("x"))
    return parser.parse_args(words)


def test_settings_of_a_file_and_of_words_go_together(tmp_path):
    (tmp_path / "run.json").write_text('{"steps": 5, "precision": "no"}')

    found = settings_of(
        options(["--config", str(tmp_path / "run.json"), "--set", "steps=7", "--set", "decay=constant"])
    )

    assert found == {"steps": 7, "precision": "no", "decay": "constant"}


def test_settings_that_cannot_be_read_are_refused(tmp_path):
    (tmp_path / "run.json").write_text("[1]")

    with pytest.raises(InputError, match="must hold a JSON object"):
        settings_of(options(["--config", str(tmp_path / "run.json")]))
    with pytest.raises(InputError, match="cannot be read"):
        settings_of(options(["--config", str(tmp_path / "none.json")]))
    with pytest.raises(InputError, match="--set takes NAME=VALUE, got 'steps'"):
        settings_of(options(["--set", "steps"]))


def test_the_command_line_trains_a_stage_and_ends_in_one_line_for_a_mistake(small_sets, tmp_path, capsys):
    words = [
        "tiny",
        "--stage",
        "motion16",
        "--folder",
        str(tmp_path),
        "--warm-start",
        "shipped",
        "--device",
        "cpu",
    ]

    assert cli.main([*words, "--set", "steps=1", "--set", "frames=4"]) == 0
    assert (tmp_path / "motion16.done.pt").is_file()
    assert cli.main([*words, "--set", "stepz=1"]) == 0  # it is done: nothing is left to be wrong
    words[2] = "export"
    assert cli.main([*words, "--export", str(tmp_path / "out")]) == 0
    learned = torch.load(tmp_path / "motion16.done.pt")
    stored = read_weights(tmp_path / "out" / files.MOTION)
    assert all(
        torch.equal(value, learned[f"motion.{key}"].half()) for key, value in stored.state_dict.items()
    )
    unet = read_weights(tmp_path / "out" / files.UNET).metadata
    assert (stored.metadata["training_steps"], stored.metadata["parents"]) == ("1", "[]")
    assert "training_steps" not in unet
    assert json.loads(unet["parents"]) == [
        {"name": files.UNET, "sha256": sha256_of(files.FOLDER / files.UNET)}
    ]
    words[2] = "expression"
    assert cli.main([*words, "--set", "stepz=1"]) == 1
    assert "A stage has no setting stepz" in capsys.readouterr().err
    assert cli.main(["tiny", "--warm-start", "shipped"]) == 1
    assert "--warm-start goes with --stage" in capsys.readouterr().err
    assert cli.main(["large"]) == 2
