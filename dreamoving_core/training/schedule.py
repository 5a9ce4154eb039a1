"""How long and how fast a stage learns, and the average of the weights that it hands on."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..errors import InputError
from .precision import Precision


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """AdamW and its learning rate: linear warm-up, then cosine to a tenth, or constant."""

    steps: int
    learning_rate: float
    decay: Literal["cosine", "constant"] = "cosine"
    warmup: int = 100
    weight_decay: float = 1e-2  # [DM §2.4.1]
    beta2: float = 0.99
    ema_decay: float = 0.998  # 0: no average is kept
    clip_norm: float = 1.0
    accumulate: int = 1  # passes per step
    precision: Precision = "no"  # where `accelerate launch` does not say otherwise
    checkpoint_every: int = 200
    preview_every: int = 0  # 0: none

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise InputError(f"A step has at least 1 pass, got accumulate={self.accumulate}.")

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        if self.decay == "constant":
            return self.learning_rate
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Ema:
    """Exponential moving average of the learning parameters; what a stage hands on. It warms up from plain averaging."""

    def __init__(self, parameters: dict[str, nn.Parameter], *, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self, parameters: dict[str, nn.Parameter], *, step: int) -> None:
        decay = min(self.decay, (step + 1) / (step + 10))
        names = list(self.values)
        if names:
            averages, current = [self.values[n] for n in names], [parameters[n].detach() for n in names]
            torch._foreach_lerp_(averages, current, 1 - decay)

    @torch.no_grad()
    def copy_to(self, parameters: dict[str, nn.Parameter]) -> None:
        for name, value in self.values.items():
            parameters[name].copy_(value)


def adamw(learners: dict[str, nn.Parameter], schedule: Schedule) -> torch.optim.AdamW:
    """AdamW without weight decay on norms and biases. Fused: no copies beside its two moments. [ours]"""
    groups = [
        {"params": [p for p in learners.values() if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in learners.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, schedule.beta2), fused=True)
