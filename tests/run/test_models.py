"""`run.py models` as a person starts it, and where it looks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dreamoving.dreamoving_core.errors import SetupError
from dreamoving.tools.models import extra_folders, model_roots, models

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def comfyui(tmp_path, monkeypatch):
    """A folder that looks like a ComfyUI without any model."""
    (tmp_path / "comfy").mkdir()
    (tmp_path / "main.py").touch()
    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    return tmp_path


def test_it_needs_no_package_and_no_comfyui(tmp_path):
    environ = {key: value for key, value in os.environ.items() if key != "COMFYUI_PATH"}
    before = set(ROOT.iterdir())

    done = subprocess.run(
        [sys.executable, "-S", str(ROOT / "run.py"), "models", "Few steps"],
        env=environ, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 1
    assert "Few steps: 9 of 9 files to see to" in done.stdout
    assert "AnimateLCM_sd15_t2v.ckpt" in done.stdout
    assert set(ROOT.iterdir()) == before  # no private copy was fetched


def test_every_story_and_workflow_is_answered(comfyui, capsys):
    assert models(ROOT, []) == 1

    said = capsys.readouterr().out
    assert "Text and face: 7 of 7 files to see to" in said
    assert "00 Tiny demo, no downloads.json: needs no model files." in said


def test_a_file_that_is_there_is_said_to_be(comfyui, capsys):
    (comfyui / "models" / "checkpoints" / "dreamshaper_8.safetensors").write_bytes(b"cut")

    assert models(ROOT, ["text only"]) == 1

    said = capsys.readouterr().out
    assert "CHECK    models/checkpoints/dreamshaper_8.safetensors" in said
    assert "has 3 bytes, the public file 2,132,625,894" in said


def test_a_story_that_needs_nothing_is_complete(comfyui, capsys):
    assert models(ROOT, ["tiny demo"]) == 0
    assert capsys.readouterr().out.strip() == "Tiny demo: needs no model files."


def test_the_stories_can_be_listed(comfyui, capsys):
    assert models(ROOT, ["--list"]) == 0
    assert "Pose and depth" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"neither a workflow file nor a story. The stories are: Tiny demo, "),
        ("{", r"'graph.json' is not a workflow .* Export it from ComfyUI again"),
        ("[]", r"'graph.json' is not a workflow: it holds a list"),
    ],
)
def test_a_word_that_means_nothing_is_refused(comfyui, content, message):
    if content is not None:
        (comfyui / "graph.json").write_text(content)

    with pytest.raises(SetupError, match=message):
        models(ROOT, [str(comfyui / "graph.json")])


EXTRA = """
# a comment
a111:
    base_path: /data/webui/   # where it lies
    checkpoints: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS
    is_default: true
comfyui:
    base_path: "other models"
    vae: vae

alone:
    clip_vision: /eyes
"""


def test_extra_model_paths_are_read_as_comfyui_reads_them(tmp_path, monkeypatch):
    import folder_paths
    from utils.extra_config import load_extra_path_config

    (tmp_path / "extra_model_paths.yaml").write_text(EXTRA)
    known = {name: ([], set()) for name in ("checkpoints", "loras", "vae", "clip_vision")}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    load_extra_path_config(str(tmp_path / "extra_model_paths.yaml"))

    found = {}
    for name, path in extra_folders(EXTRA, beside=tmp_path):
        found.setdefault(name, []).append(os.path.normpath(path))

    wanted = {name: {os.path.normpath(path) for path in paths} for name, (paths, _) in known.items()}
    assert {name: set(paths) for name, paths in found.items()} == wanted


def test_extra_paths_stand_beside_the_usual_ones(comfyui):
    (comfyui / "extra_model_paths.yaml").write_text("mine:\n  checkpoints: more\n  loras: more\n")

    roots = model_roots(comfyui)

    assert roots["checkpoints"] == [comfyui / "models" / "checkpoints", comfyui / "more"]
    assert roots["loras"] == [comfyui / "more"]
