"""One training loop for every stage, on Hugging Face Accelerate: from one process to many nodes.

What a step sees depends on (seed, stage, step, sample) alone (`draws.py`), and a checkpoint holds all that a step
changes, so a run that is cut and resumed is the uninterrupted run to the last bit.
"""

import math
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError, MissingPackageError
from .draws import sample_generator
from .precision import autocast
from .run_facts import versions
from .run_log import RunLog
from .schedule import Ema, Schedule, adamw

Source = Callable[[int, list[torch.Generator]], tuple]


def new_accelerator(*, device: str = "auto", precision: str | None = None) -> Any:
    """Accelerate, told by `accelerate launch` where there is more than one process. `device`: auto, cpu, or cuda."""
    try:
        import accelerate
    except ImportError as error:
        raise MissingPackageError(
            f"Training needs accelerate, which is not installed ({error}). Install it into ComfyUI's Python with: "
            "python -m pip install accelerate"
        ) from error
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("There is no CUDA device here. Use --device cpu, or auto.")
    # a stage that turns between pose and depth leaves one network without gradients in every other step
    parallel = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    return accelerate.Accelerator(cpu=device == "cpu", mixed_precision=precision, kwargs_handlers=[parallel])


def save_atomically(value: dict, path: Path) -> None:
    """Write a checkpoint whole or not at all, also when the power fails."""
    part = path.with_suffix(".part")
    torch.save(value, part)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)


class Trainer:
    """Runs one stage: `module(*source(step, generators))` returns a scalar loss and a dict of figures to log.

    The parameters that require gradients learn. `samples` is the number of samples in one pass of one process.
    """

    def __init__(
        self,
        stage: str,
        module: nn.Module,
        *,
        schedule: Schedule,
        source: Source,
        samples: int,
        folder: Path,
        accelerator: Any,
        seed: int = 0,
        preview: Callable[[int], None] | None = None,
        tensorboard: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """`settings` are those that are not the stage's own, for the log."""
        self.settings = settings or {}
        self.stage, self.schedule, self.source, self.samples = stage, schedule, source, samples
        self.accelerator, self.seed, self.preview = accelerator, seed, preview
        self.checkpoint = folder / f"{stage}.pt"
        folder.mkdir(parents=True, exist_ok=True)
        self.log = RunLog(folder, stage, steps=schedule.steps, tensorboard=tensorboard)
        module.to(accelerator.device)
        self.learners = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.optimizer = adamw(self.learners, schedule)
        self.ema = Ema(self.learners, decay=schedule.ema_decay)
        self.step = 0
        if self.checkpoint.exists():
            self.resume()
        accelerator.gradient_accumulation_steps = schedule.accumulate
        self.module, self.stepper = accelerator.prepare(module, self.optimizer)

    def resume(self) -> None:
        """Go on where the last checkpoint was written. InputError for one of another training."""
        saved = torch.load(self.checkpoint, weights_only=True, map_location=self.accelerator.device)
        if saved["learners"].keys() != self.learners.keys():
            raise InputError(
                f"The checkpoint {self.checkpoint} holds {len(saved['learners'])} learning tensors, this stage has "
                f"{len(self.learners)}. It belongs to another training: move it away, or choose another --folder."
            )
        with torch.no_grad():
            for name, value in saved["learners"].items():
                self.learners[name].copy_(value)
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.schedule.ema_decay:
            self.ema.values = saved["ema"] or self.ema.values
        if self.accelerator.scaler is not None and saved.get("scaler"):
            self.accelerator.scaler.load_state_dict(saved["scaler"])
        self.step = saved["step"]

    def save(self) -> None:
        """A checkpoint by the first process; the others wait."""
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler  # of fp16's gradients; None in any other precision
            save_atomically(
                {
                    "learners": {name: p.detach() for name, p in self.learners.items()},
                    "optimizer": self.optimizer.state_dict(),
                    "ema": self.ema.values,
                    "scaler": scaler.state_dict() if scaler is not None else None,
                    "step": self.step,
                    "schedule": asdict(self.schedule),
                },
                self.checkpoint,
            )
        self.accelerator.wait_for_everyone()

    def run(self) -> None:
        """Train to the end of the schedule; at the end the learners hold their averages."""
        schedule, main = self.schedule, self.accelerator.is_main_process
        self.log.start(self.step, self.facts() if main else {})
        while self.step < schedule.steps:
            figures = self.advance()
            last = self.step == schedule.steps
            if main and (last or self.step % 20 == 0):
                self.log.write(self.step, figures)
            if last or (schedule.checkpoint_every and self.step % schedule.checkpoint_every == 0):
                self.refuse_nonsense(figures)
                if schedule.checkpoint_every:
                    self.save()
            if main and self.preview and schedule.preview_every and self.step % schedule.preview_every == 0:
                self.preview(self.step)
        self.log.close()
        self.ema.copy_to(self.learners)
        self.accelerator.unwrap_model(self.module, keep_fp32_wrapper=False)
        self.accelerator.free_memory()

    def facts(self) -> dict[str, Any]:
        """What tells this run from another, for its log."""
        told = {"seed": self.seed, "processes": self.accelerator.num_processes}
        return versions() | told | {"settings": dict(self.settings)}

    def advance(self) -> dict[str, float | Tensor]:
        """One optimiser step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step)
        figures: dict[str, float | Tensor] = {}
        for number in range(self.schedule.accumulate):
            figures = self.one_pass(number)
        self.ema.update(self.learners, step=self.step)
        self.step += 1
        return figures

    def one_pass(self, number: int) -> dict[str, float | Tensor]:
        """Forward and backward of one pass of the step; the last one moves the weights."""
        inputs, norm = self.source(self.step, self.generators(number)), 0.0
        with self.accelerator.accumulate(self.module):
            with self.autocast():
                loss, figures = self.module(*inputs)
            self.accelerator.backward(loss)
            if self.accelerator.sync_gradients:
                norm = self.accelerator.clip_grad_norm_(self.learners.values(), self.schedule.clip_norm)
            self.stepper.step()
            self.stepper.zero_grad()
        return {"loss": loss.detach(), "grad_norm": norm, **figures}

    def generators(self, number: int) -> list[torch.Generator]:
        """Of the samples of this process's pass `number` of the step."""
        place = number * self.accelerator.num_processes + self.accelerator.process_index
        first = place * self.samples
        known = {"seed": self.seed, "stage": self.stage, "step": self.step}
        return [sample_generator(**known, sample=first + i) for i in range(self.samples)]

    def autocast(self) -> AbstractContextManager:
        """The stage's precision, unless Accelerate was told one of its own."""
        if self.accelerator.mixed_precision != "no":
            return nullcontext()
        return autocast(self.accelerator.device, self.schedule.precision)

    def refuse_nonsense(self, figures: dict[str, float | Tensor]) -> None:
        """A run that has blown up must not overwrite its last good checkpoint.

        fp16's gradients overflow now and then: the scaler leaves such a step out and halves its factor. Below 1, the
        numbers themselves are wrong.
        """
        scaler = self.accelerator.scaler
        left_out = scaler is not None and scaler.get_scale() >= 1
        for name in ("loss",) if left_out else ("loss", "grad_norm"):
            if not math.isfinite(value := float(figures[name])):
                raise InputError(
                    f"The {name} of stage '{self.stage}' is {value} at step {self.step}. Its last checkpoint is kept. "
                    f"Lower the learning rate (now {self.schedule.learning_rate:g}) or clip_norm, and start again."
                )
