import sys

import pytest
import torch
from dreamoving.dreamoving_core.weights import __main__ as command
from dreamoving.dreamoving_core.weights.io import write_weights

from .public_files import ip_adapter_file, motion_file


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
                "next        Use Load Motion Model.",
            ],
        ),
        (lambda: ip_adapter_file(), ["an IP-Adapter", "face: clip_linear, 4 tokens"]),
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
