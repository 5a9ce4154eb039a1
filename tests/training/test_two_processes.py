"""Motion, Video ControlNet and Content Guider together, trained through the bridge by two gloo processes."""

import subprocess
import sys
from pathlib import Path

import torch
from dreamoving.dreamoving_core.training.objective import Objective
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from training.small_trainee import small_batch, small_networks


def trainee():
    """Every part in place; text_projection serves a pooled output that SD1.5 never uses."""
    objective = Objective(noise_levels=1, drop_text=0.0, drop_face=0.0, drop_cloth=0.0, drop_control=0.0)
    networks = small_networks()
    module = networks.trainee(objective, motion=True)
    module.requires_grad_(True)
    module.text.text_projection.requires_grad_(False)
    module.controls["depth"].requires_grad_(False)
    return module


def loss_of(module, rank):
    return module(small_batch(clips=1, frames=3, seed=rank), [torch.Generator().manual_seed(rank)])[0]


def gradients(module):
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def train_as(rank, rendezvous):
    """Gradients after one step of two processes, each on its own clip."""
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    try:
        module = trainee()
        parallel = DistributedDataParallel(module)
        loss_of(parallel, rank).backward()
        return gradients(module)
    finally:
        distributed.destroy_process_group()


def test_two_processes_average_the_gradients_of_every_part(tmp_path):
    script = [sys.executable, str(Path(__file__).with_name("second_process.py")), str(tmp_path)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as other:
        first = train_as(0, tmp_path / "rendezvous")
        output, _ = other.communicate(timeout=240)
    assert other.returncode == 0, output
    halves = []
    for rank in range(2):
        alone = trainee()
        loss_of(alone, rank).backward()
        halves.append(gradients(alone))

    whole = torch.cat([first[name].flatten() for name in halves[0]])
    mean = torch.cat([((halves[0][name] + halves[1][name]) / 2).flatten() for name in halves[0]])

    assert first.keys() == halves[0].keys() == halves[1].keys()
    for part in ("base.", "motion.", "guider.", "controls.pose.", "text."):
        assert any(name.startswith(part) for name in first)
    assert (whole - mean).norm() / mean.norm() <= 1e-6
    assert all(torch.equal(value, first[name]) for name, value in torch.load(tmp_path / "second.pt").items())
