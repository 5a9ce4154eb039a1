"""Bytes changed at random, with fixed seeds: whatever a file becomes, reading it succeeds or is refused in words."""

import copy
import json
import random

import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights.io import read_weights
from safetensors.torch import save

from .refused_files import checkpoint_bytes

TENSORS = {"a": torch.zeros(2, 3), "b": torch.zeros(4)}
JUNK = (None, [], {}, "x", -1, 1.5, 2**70, [1], [[2]], True, ["F32"], {"a": 1}, [0, 24], "F16")


def reads_or_refuses(path):
    for values in (False, True):
        said = path.name
        try:
            read_weights(path, values=values)
        except WeightsError as error:
            said = str(error)
        assert path.name in said


@pytest.mark.parametrize("seed", range(8))
def test_a_header_of_any_content(tmp_path, seed):
    chance = random.Random(seed)
    whole = save(TENSORS, metadata={"k": "v"})
    length = int.from_bytes(whole[:8], "little")
    for _ in range(40):
        header = json.loads(whole[8 : 8 + length])
        for _ in range(chance.randint(1, 2)):
            name, junk = chance.choice(list(header)), copy.deepcopy(chance.choice(JUNK))
            if isinstance(header[name], dict) and header[name] and chance.random() < 0.6:
                header[name][chance.choice(list(header[name]))] = junk
            else:
                header[name] = junk
        text = json.dumps(header).encode()
        (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + whole[8 + length :])

        reads_or_refuses(tmp_path / "x.safetensors")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_checkpoint_with_any_bytes_changed(tmp_path, seed, old):
    chance = random.Random(seed)
    whole = checkpoint_bytes(TENSORS, _use_new_zipfile_serialization=not old)
    for _ in range(40):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if chance.random() < 0.3:
            content = content[: chance.randrange(len(content))]
        (tmp_path / "x.pt").write_bytes(content)

        reads_or_refuses(tmp_path / "x.pt")
