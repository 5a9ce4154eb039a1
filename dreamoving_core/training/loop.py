"""One training loop for every stage: AdamW, warm-up and cosine, clipping, EMA, exact resume, time left.

All randomness of step n comes from a generator seeded by (seed, stage, n), so a run that is cut and resumed
computes what the uninterrupted run would have computed.
"""

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast a stage learns. Learning rate: linear warm-up, then cosine to a tenth."""

    steps: int
    learning_rate: float
    warmup: int = 100
    weight_decay: float = 1e-2  # [DM §2.4.1]
    ema_decay: float = 0.998
    clip_norm: float = 1.0
    checkpoint_every: int = 200
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def step_generator(*, seed: int, stage: str, step: int) -> torch.Generator:
    """The only source of randomness of one step."""
    digest = hashlib.sha256(f"{seed}/{stage}/{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


class Ema:
    """Exponential moving average of the learning parameters; what a stage hands on. It warms up from plain averaging."""

    def __init__(self, parameters: dict[str, nn.Parameter], *, decay: float) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, parameters: dict[str, nn.Parameter], *, step: int) -> None:
        decay = min(self.decay, (step + 1) / (step + 10))
        names = list(self.values)
        averages, current = [self.values[n] for n in names], [parameters[n].detach() for n in names]
        torch._foreach_lerp_(averages, current, 1 - decay)

    @torch.no_grad()
    def copy_to(self, parameters: dict[str, nn.Parameter]) -> None:
        for name, value in self.values.items():
            parameters[name].copy_(value)


def save_atomically(value: dict, path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(value, part)
    os.replace(part, path)


class Trainer:
    """Runs one stage: `loss_of(step, generator)` returns a scalar loss and a dict of figures to log."""

    def __init__(
        self,
        stage: str,
        learners: dict[str, nn.Parameter],
        *,
        schedule: Schedule,
        loss_of: Callable[[int, torch.Generator], tuple[Tensor, dict[str, float]]],
        folder: Path,
    ) -> None:
        self.stage, self.learners, self.schedule, self.loss_of = stage, learners, schedule, loss_of
        self.checkpoint = folder / f"{stage}.pt"
        self.log_file = folder / f"{stage}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        decays = [p for p in learners.values() if p.ndim > 1]
        plain = [p for p in learners.values() if p.ndim <= 1]
        groups = [
            {"params": decays, "weight_decay": schedule.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.99), foreach=True)
        self.ema = Ema(learners, decay=schedule.ema_decay)
        self.step = 0
        if self.checkpoint.exists():
            self.resume()

    def resume(self) -> None:
        saved = torch.load(self.checkpoint, weights_only=True)
        with torch.no_grad():
            for name, value in saved["learners"].items():
                self.learners[name].copy_(value)
        self.optimizer.load_state_dict(saved["optimizer"])
        self.ema.values = saved["ema"]
        self.step = saved["step"]

    def save(self) -> None:
        save_atomically(
            {
                "learners": {name: p.detach() for name, p in self.learners.items()},
                "optimizer": self.optimizer.state_dict(),
                "ema": self.ema.values,
                "step": self.step,
                "schedule": asdict(self.schedule),
            },
            self.checkpoint,
        )

    def run(self) -> None:
        """Train to the end of the schedule; at the end the learners hold their averages."""
        start, first = time.monotonic(), self.step
        while self.step < self.schedule.steps:
            figures = self.advance()
            if self.step % 20 == 0 or self.step == self.schedule.steps:
                self.report(figures, start=start, first=first)
            if self.step % self.schedule.checkpoint_every == 0:
                self.save()
        self.save()
        self.ema.copy_to(self.learners)

    def advance(self) -> dict[str, float]:
        """One optimiser step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step)
        generator = step_generator(seed=self.schedule.seed, stage=self.stage, step=self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss, figures = self.loss_of(self.step, generator)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(list(self.learners.values()), self.schedule.clip_norm)
        self.optimizer.step()
        self.ema.update(self.learners, step=self.step)
        self.step += 1
        return {"loss": float(loss.detach()), "grad_norm": float(norm), **figures}

    def report(self, figures: dict[str, float], *, start: float, first: int) -> None:
        seconds = time.monotonic() - start
        left = seconds / max(1, self.step - first) * (self.schedule.steps - self.step)
        with self.log_file.open("a") as lines:
            lines.write(json.dumps({"step": self.step, "seconds": round(seconds, 1), **figures}) + "\n")
        values = " ".join(f"{name} {value:.4f}" for name, value in figures.items())
        log.info("%s %d/%d %s, %.0f s left", self.stage, self.step, self.schedule.steps, values, left)
