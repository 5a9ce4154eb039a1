"""The counter behind the memory benchmark, on graphs whose peak is known by hand."""

import importlib
import itertools

import pytest
import torch
from torch import nn

live_tensors = importlib.import_module("dreamoving.benchmarks._live_tensors")

KB = 256 * 4  # bytes of 256 floats


def tensor(count=1):
    return torch.empty(count, 256, device="meta")


class Chain(nn.Module):
    """Three layers, each of which frees its input as soon as the next has run."""

    def __init__(self, *widths):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(a, b, bias=False, device="meta") for a, b in itertools.pairwise(widths))
        )

    def forward(self, x):
        return self.layers(x)


def watched(module, call, **options):
    counter = live_tensors.LiveTensors(
        live_tensors.names_of(net=module), known=module.parameters(), **options
    )
    with torch.no_grad(), counter.watching():
        call()
    return counter


def test_a_tensor_counts_until_nothing_refers_to_it():
    counter = live_tensors.LiveTensors({})
    with counter:
        first = tensor(2)
        second = first + 1
        assert counter.total == 4 * KB
        view = first.view(-1)[10:]
        del first
        assert counter.total == 4 * KB, "the view keeps the storage"
        del view
        assert counter.total == 2 * KB
        second += 1
        assert counter.total == 2 * KB, "in place makes nothing"
        del second
        assert counter.total == 0
    assert counter.peak == 4 * KB


def test_the_peak_of_a_chain_is_its_widest_pair_and_weights_are_left_out():
    chain = Chain(256, 1024, 512, 256)

    counter = watched(chain, lambda: chain(torch.empty(1, 256, device="meta")))

    assert counter.peak == (256 + 1024 + 512) * 4, "nn.Sequential's caller holds the input"
    assert sorted(found.shape for found in counter.at_peak) == [(1, 256), (1, 512), (1, 1024)]


def test_each_module_gets_its_own_peak_and_what_it_added():
    chain = Chain(256, 1024, 512, 256)

    counter = watched(chain, lambda: chain(torch.empty(1, 256, device="meta")))

    added = {name: found.added // 4 for name, found in counter.modules.items()}
    assert added["net.layers.0"] == 1024
    assert added["net.layers.1"] == 512
    assert added["net.layers.2"] == 256
    assert counter.modules["net"].alive == counter.peak
    assert all(found.calls == 1 for found in counter.modules.values())


def test_bytes_at_the_peak_belong_to_the_innermost_module_and_to_named_files():
    chain = Chain(256, 512, 256)

    counter = watched(chain, lambda: chain(tensor()))
    assert counter.by_owner() == {"net": (512 + 256) * 4, "outside": 256 * 4}

    counter = watched(chain, lambda: chain(tensor()), files={"test_live_tensors.py": "here"})
    assert counter.by_owner() == {"here": (256 + 512 + 256) * 4}


def test_a_module_that_fails_leaves_no_trace_in_the_next_one():
    class Failing(nn.Module):
        def forward(self, x):
            y = x * 2
            raise RuntimeError(str(y.shape))

    net = nn.ModuleDict({"bad": Failing(), "good": nn.Identity()})
    counter = live_tensors.LiveTensors(live_tensors.names_of(net=net))
    with counter.watching():
        x = tensor()
        with pytest.raises(RuntimeError):
            net["bad"](x)
        net["good"](x)
        kept = x + 1

    owners = {found.operation: found.module for _, found in counter.alive.values()}
    assert counter.stack == []
    assert owners["add"] == "outside"
    del kept


def test_numbers_from_the_cpu_may_meet_tensors_without_data():
    with live_tensors.LiveTensors({}) as counter:
        result = tensor() * torch.arange(256.0)
    assert result.device.type == "meta"
    assert counter.peak == 2 * KB
