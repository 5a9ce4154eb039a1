"""bfloat16 only where it saves time, and where somebody asks for it."""

import pytest
import torch
from dreamoving.dreamoving_core.training.precision import autocast

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False], ids=["matrix units", "none"])
def amx(request, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": request.param})
    return request.param


def dtype_of_a_product(precision):
    with autocast(CPU, precision):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_auto_follows_the_cpu_and_a_choice_does_not(amx):
    assert dtype_of_a_product("auto") == (torch.bfloat16 if amx else torch.float32)
    assert dtype_of_a_product("no") == torch.float32
    assert dtype_of_a_product("bf16") == torch.bfloat16


def test_a_torch_that_cannot_tell_stays_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities")

    assert dtype_of_a_product("auto") == torch.float32
