"""What a run says: a line of JSON about itself when it starts and one every twenty steps, a line on the screen with the time left, and TensorBoard."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import MissingPackageError

log = logging.getLogger(__name__)


class RunLog:
    """`<stage>.jsonl` in the run's folder, and event files in `tensorboard/<stage>` if asked for."""

    def __init__(self, folder: Path, stage: str, *, steps: int, tensorboard: bool = False) -> None:
        self.stage, self.steps, self.file = stage, steps, folder / f"{stage}.jsonl"
        self.board = new_board(folder / "tensorboard" / stage) if tensorboard else None
        self.first, self.began = 0, time.monotonic()

    def start(self, step: int, facts: Mapping[str, Any]) -> None:
        """The clock runs from here. `facts` tell this run from another; without any nothing is written."""
        self.first, self.began = step, time.monotonic()
        if facts:
            self.append({"run": {"from_step": step, **facts}})

    def append(self, line: Mapping[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")

    def write(self, step: int, figures: dict[str, Any]) -> None:
        values = {name: float(value) for name, value in figures.items()}
        seconds = time.monotonic() - self.began
        left = seconds / max(1, step - self.first) * (self.steps - step)
        self.append({"step": step, "seconds": round(seconds, 1), **values})
        for name, value in values.items() if self.board else ():
            self.board.add_scalar(name, value, step)
        told = " ".join(f"{name} {value:.4f}" for name, value in values.items())
        log.info("%s %d/%d %s, %.0f s left", self.stage, step, self.steps, told, left)

    def close(self) -> None:
        if self.board:
            self.board.close()


def new_board(folder: Path) -> Any:
    """TensorBoard's writer, or MissingPackageError."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingPackageError(
            f"--tensorboard needs tensorboard, which is not installed ({error}). Install it with: "
            "python -m pip install tensorboard. The same curves are in the .jsonl files."
        ) from error
    return SummaryWriter(str(folder))
