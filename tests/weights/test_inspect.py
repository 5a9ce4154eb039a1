import hashlib
import sys

import pytest
import torch
from dreamoving.dreamoving_core.weights import __main__ as command
from dreamoving.dreamoving_core.weights.io import write_weights

from .public_files import ip_adapter_file, ip_adapter_variant, motion_file


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["weights", *map(str, arguments)])
    return command.main()


@pytest.mark.parametrize(
    ("tensors", "lines"),
    [
        (
            lambda: motion_file(rows=32, widths=(32,)),
            [
                "mm.safetensors: a motion model",
                "AnimateDiff v3",
                "32 rows stored",
                "serves      Load Motion Model",
                "next        Use Load Motion Model.",
            ],
        ),
        (lambda: ip_adapter_file(), ["an IP-Adapter", "face: clip_linear, 4 tokens"]),
        (
            lambda: ip_adapter_variant("faceid_plus", lora=True),
            [
                "an IP-Adapter FaceID-Plus",
                "face: id_clip_perceiver, 4 tokens, openclip-vit-h-14-laion2b-s32b-b79k, buffalo_l",
                "LoRA        256 tensors",
                "notes       FaceID-Plus v1 and v2 have the same tensors: v2 is assumed.",
            ],
        ),
        (lambda: ip_adapter_variant("faceid"), ["face: id_mlp, 4 tokens, buffalo_l;"]),
        (lambda: {"emb_params": torch.zeros(4, 768)}, ["a textual inversion embedding", "models/embeddings"]),
    ],
)
def test_inspect_says_what_a_file_is_and_what_to_do_with_it(tmp_path, monkeypatch, capsys, tensors, lines):
    write_weights(tmp_path / "mm.safetensors", tensors(), metadata={"license": "CC0-1.0"})

    assert run(monkeypatch, "inspect", tmp_path / "mm.safetensors") == 0

    said = capsys.readouterr().out
    for line in [*lines, "license = CC0-1.0", "float32"]:
        assert line in said


def test_inspect_refuses_with_the_loaders_words(tmp_path, monkeypatch, capsys):
    tensors = motion_file(widths=(32,))
    write_weights(tmp_path / "mm.safetensors", dict(list(tensors.items())[:-1]))

    assert run(monkeypatch, "inspect", tmp_path / "mm.safetensors") == 1

    assert "'mm.safetensors' does not fit: 1 tensors missing" in capsys.readouterr().err


def test_the_usual_licence_is_named_as_no_more_than_usual(tmp_path, monkeypatch, capsys):
    write_weights(tmp_path / "mm.safetensors", motion_file(rows=32, widths=(32,)))

    run(monkeypatch, "inspect", tmp_path / "mm.safetensors")

    assert "licence     usually Apache-2.0; its page decides" in capsys.readouterr().out


def test_a_file_without_any_licence_is_said_to_have_none(tmp_path, monkeypatch, capsys):
    write_weights(tmp_path / "x.safetensors", {"emb_params": torch.zeros(4, 768)})

    run(monkeypatch, "inspect", tmp_path / "x.safetensors")

    said = capsys.readouterr().out
    assert "licence     not said in the file" in said
    assert "serves      no node of DreaMoving" in said


def test_the_whole_file_is_read_only_when_asked(tmp_path, monkeypatch, capsys):
    path, tensors = tmp_path / "mm.safetensors", motion_file(rows=32, widths=(32,))
    write_weights(path, tensors)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    run(monkeypatch, "inspect", path)
    assert digest not in capsys.readouterr().out
    run(monkeypatch, "inspect", path, "--whole")
    assert f"{digest}, none that the catalogue knows" in capsys.readouterr().out

    tensors["up_blocks.0.motion_modules.0.temporal_transformer.norm.bias"][0] = float("nan")
    write_weights(path, tensors)
    assert run(monkeypatch, "inspect", path, "--whole") == 1
    assert "'mm.safetensors' holds NaN or infinity" in capsys.readouterr().err
