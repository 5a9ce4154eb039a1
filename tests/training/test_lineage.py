"""What the headers of Tiny's files say of how they came about: the steps of their own stages, and their parents."""

import pytest
import torch
from dreamoving.dreamoving_core.file_digest import sha256_of
from dreamoving.dreamoving_core.tiny import files
from dreamoving.dreamoving_core.training.lineage import TRAINED_BY, made, motion_frames
from dreamoving.dreamoving_core.training.stages import OPTIONAL, SCHEDULES, STAGES
from dreamoving.dreamoving_core.training.trainer import save_atomically
from dreamoving.dreamoving_core.training.warm_start import NETWORKS, Results

needs_weights = pytest.mark.skipif(not files.FOLDER.is_dir(), reason="this copy has no trained weights")


def finish(folder, *stages, steps=None):
    """What these stages leave behind; with `steps`, their last checkpoints too."""
    folder.mkdir(exist_ok=True)
    for stage in stages:
        save_atomically({"x": torch.tensor(float(len(stage)))}, folder / f"{stage}.done.pt")
        if steps:
            save_atomically({"step": steps}, folder / f"{stage}.pt")


def parents_of(name, results):
    return [parent["name"] for parent in made(name, results, {}).parents]


def test_a_file_counts_the_steps_of_the_stages_that_trained_it_and_of_no_others(tmp_path):
    finish(tmp_path, "base", "motion16", "video_control", steps=7)
    finish(tmp_path, "expression")
    results = Results(tmp_path)

    found = {name: made(name, results, {"steps": 5}).steps for name in TRAINED_BY}

    assert (found[files.UNET], found[files.CONTROL_DEPTH], found[files.VISION]) == (7, 14, 0)
    assert found[files.MOTION] == 7 + 5  # without a checkpoint, as the settings say
    assert made(files.MOTION, results, {}).steps == 7 + SCHEDULES["expression"].steps


def test_every_stage_of_a_whole_run_trains_a_file():
    named = {stage for stages in TRAINED_BY.values() for stage in stages}

    assert set(SCHEDULES) - {"face_recogniser"} == named
    assert {stage for stage in SCHEDULES if stage not in OPTIONAL} <= named
    assert set(TRAINED_BY) == {*files.ALL, files.STYLE_LORA}


def test_a_run_from_nothing_has_no_parents(tmp_path):
    finish(tmp_path, "autoencoder", "image_encoder", "base")
    results = Results(tmp_path)

    results.needed(["base"])

    assert not any(made(name, results, {}).parents for name in TRAINED_BY)


def test_what_starts_from_another_run_names_its_file_by_its_sha256_of(tmp_path):
    finish(tmp_path / "other", "autoencoder", "base")
    results = Results(tmp_path / "mine", tmp_path / "other")
    results.needed(["base"])
    results.needed(["autoencoder"])

    path = tmp_path / "other" / "base.done.pt"
    assert made(files.UNET, results, {}).parents == ({"name": path.name, "sha256": sha256_of(path)},)
    assert parents_of(files.MOTION, results) == ["base.done.pt"]
    assert parents_of(files.AUTOENCODER, results) == ["autoencoder.done.pt"]


def test_motion_that_began_anew_here_has_no_parents(tmp_path):
    finish(tmp_path / "other", "autoencoder", "base")
    finish(tmp_path / "mine", "motion16")
    results = Results(tmp_path / "mine", tmp_path / "other")
    results.needed(["base"])

    assert parents_of(files.MOTION, results) == []
    assert parents_of(files.CONTROL_POSE, results) == ["base.done.pt"]


def test_parents_are_remembered_when_the_folder_is_opened_again_without_them(tmp_path):
    finish(tmp_path / "other", "base")
    finish(tmp_path / "mine", "expression")
    results = Results(tmp_path / "mine", tmp_path / "other")
    results.needed(["base"])
    results.keep_parents()

    assert parents_of(files.UNET, Results(tmp_path / "mine")) == ["base.done.pt"]


@needs_weights
def test_what_starts_from_the_pack_names_its_own_file_there(tmp_path):
    results = Results(tmp_path, "shipped")
    results.needed(["base"])

    for name, _, _ in NETWORKS[:5]:
        assert made(name, results, {}).parents == ({"name": name, "sha256": sha256_of(files.FOLDER / name)},)
    assert set(parents_of(files.CONTROL_POSE, results)) == {files.CONTROL_POSE, files.MOTION}
    assert parents_of(files.STYLE_LORA, results) == [files.UNET]


def test_the_length_of_motion_is_that_of_the_stages_that_taught_it(tmp_path):
    finish(tmp_path, "motion16", "video_control")

    assert motion_frames(Results(tmp_path), {}) == STAGES["motion16"].frames
    assert motion_frames(Results(tmp_path), {"frames": 8}) == 8
    assert motion_frames(Results(tmp_path / "none"), {}) == STAGES["long_frame"].frames
