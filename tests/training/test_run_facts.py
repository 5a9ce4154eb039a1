"""What the log of a run says of the run itself."""

import json
import subprocess

import pytest
import torch
from dreamoving.dreamoving_core.training import run_facts, stages
from dreamoving.dreamoving_core.training.run_facts import changes, revision
from dreamoving.dreamoving_core.version import VERSION
from training.test_trainer import toy


def starts(folder):
    lines = [json.loads(line) for line in (folder / "toy.jsonl").read_text().splitlines()]
    return [line["run"] for line in lines if "run" in line]


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    return subprocess.run(
        ["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True
    ).stdout


def test_every_start_of_a_run_writes_a_line_that_tells_it_from_another(tmp_path, monkeypatch):
    monkeypatch.setattr(run_facts, "revision", lambda folder: f"of {folder.name}")
    toy(tmp_path, steps=10, seed=3).run()
    toy(tmp_path, steps=20, seed=4, told={"learning_rate": 0.1}).run()

    first, second = starts(tmp_path)
    assert (first["version"], first["torch"]) == (VERSION, torch.__version__)
    assert first["revision"] == f"of {run_facts.PACK.name}"
    assert first["accelerate"]
    assert (first["seed"], first["settings"], first["from_step"], first["processes"]) == (3, {}, 0, 1)
    assert (second["seed"], second["settings"], second["from_step"]) == (4, {"learning_rate": 0.1}, 10)


def test_settings_that_are_the_presets_are_not_told():
    given = {"steps": 5, "drop_text": stages.BASE.objective.drop_text, "clips": 2, "betas": "linear"}
    used = stages.changed(stages.BASE, given)

    assert changes(stages.BASE, used) == {"steps": 5, "clips": 2, "betas": "linear"}
    assert changes(stages.BASE, stages.BASE) == {}


def test_the_revision_is_the_checkouts_own_and_says_when_files_differ(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "file").write_text("a")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    git(tmp_path, "tag", "-a", "v9", "-m", "a tag")
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    inner = tmp_path / "custom_nodes"
    inner.mkdir()

    assert revision(tmp_path) == head
    assert revision(inner) == ""  # the checkout around it is not its own
    (tmp_path / "file").write_text("b")
    assert revision(tmp_path) == f"{head}-dirty"


@pytest.mark.parametrize("problem", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 30)])
def test_without_a_git_that_answers_there_is_no_revision_and_no_failure(tmp_path, monkeypatch, problem):
    (tmp_path / ".git").mkdir()
    assert revision(tmp_path) == ""  # no repository

    def broken(*_args, **_named):
        raise problem

    monkeypatch.setattr(run_facts.subprocess, "run", broken)
    assert revision(tmp_path) == ""
