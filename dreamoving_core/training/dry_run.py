"""`--dry-run`: what learns, what is frozen, and what a step really takes here in time and memory. Nothing is saved."""

import math
import sys
import time

import torch
from torch import nn

from .trainer import Trainer

GIB = 2**30
TIMED_STEPS = 2  # the first one warms up


def parameter_table(module: nn.Module) -> list[str]:
    """A row for each part: parameters that learn, parameters that are frozen, and their memory."""
    rows = [f"{'part':<24}{'learns':>15}{'frozen':>15}{'GiB':>8}"]
    parts: dict[str, list[int]] = {}
    for name, parameter in module.named_parameters():
        counts = parts.setdefault(part_of(name), [0, 0, 0])
        counts[0 if parameter.requires_grad else 1] += parameter.numel()
        counts[2] += parameter.numel() * parameter.element_size()
    total = [sum(column) for column in zip(*parts.values(), strict=True)]
    for name, (learns, frozen, size) in (*parts.items(), ("all", total)):
        rows.append(f"{name:<24}{learns:>15,}{frozen:>15,}{size / GIB:>8.2f}")
    return rows


def part_of(name: str) -> str:
    """`controls.pose.motion.x` belongs to `controls.pose.motion`, `base.diffusion_model.x` to `base`."""
    words = name.split(".")
    if words[0] != "controls":
        return words[0]
    return ".".join(words[:3] if words[2] == "motion" else words[:2])


def state_bytes(trainer: Trainer) -> dict[str, int]:
    """Memory that learning adds to the weights, whatever the batch."""
    learning = sum(p.numel() * p.element_size() for p in trainer.learners.values())
    return {
        "gradients": learning,
        "AdamW": 2 * learning,
        "average": learning if trainer.schedule.ema_decay else 0,
    }


def peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def dry_run(trainer: Trainer) -> list[str]:
    """The report in lines. It takes real steps, so weights in memory change, and files don't."""
    module = trainer.accelerator.unwrap_model(trainer.module)
    lines = [f"stage {trainer.stage}", *parameter_table(module)]
    sizes = ", ".join(f"{name} {size / GIB:.2f}" for name, size in state_bytes(trainer).items())
    seconds, figures = 0.0, {"loss": math.nan}
    for _ in range(TIMED_STEPS):
        start = time.monotonic()
        figures = {name: float(value) for name, value in trainer.advance().items()}
        seconds = time.monotonic() - start
    schedule, processes = trainer.schedule, trainer.accelerator.num_processes
    together = trainer.samples * schedule.accumulate * processes
    hours = seconds * schedule.steps / 3600
    return [
        *lines,
        f"memory beside the weights, GiB: {sizes}",
        f"samples in a step: {trainer.samples} x {schedule.accumulate} passes x {processes} processes = {together}",
        f"one step: {seconds:.2f} s, loss {figures['loss']:.4f}, peak {peak_memory(trainer.accelerator.device) / GIB:.2f} GiB",
        f"{schedule.steps} steps: {hours:.1f} hours on {trainer.accelerator.device}",
    ]
