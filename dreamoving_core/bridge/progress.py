"""How far a node is, and how long it still takes: ComfyUI's bar on the node, and a line of text below it."""

import sys
import time
from collections.abc import Callable
from typing import Any

import comfy.utils
from comfy_execution.utils import get_executing_context

TEXT_AFTER = 2.0  # seconds; [ours] what is done sooner needs no words
TEXT_INTERVAL = 0.5  # seconds between two texts; [ours] faster is not read


class Progress:
    """ComfyUI's ProgressBar, with the time left in words on the node. One update per piece of work that is done.

    `unit`: what is counted, in the plural. `say` sends a line of text to the running node.
    """

    def __init__(
        self,
        total: int,
        *,
        unit: str,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] | None = None,
    ):
        self._bar = comfy.utils.ProgressBar(total)
        self._unit = unit
        self._clock = clock
        self._say = say or say_on_node
        self._began = clock()
        self._first: tuple[int, float] | None = None
        self._said = float("-inf")

    def update(self, done: int = 1) -> None:
        self.update_absolute(self._bar.current + done)

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        """Moves the bar to `value` of `total`; `preview` is what a ProgressBar takes."""
        self._bar.update_absolute(value, total, preview)
        now = self._clock()
        self._first = self._first or (value, now)
        finished = value >= self._bar.total
        if now - self._began < TEXT_AFTER or (now - self._said < TEXT_INTERVAL and not finished):
            return
        self._said = now
        self._say(self._text(value, now))

    def _text(self, value: int, now: float) -> str:
        total = self._bar.total
        if value >= total:
            return f"{total} {self._unit} in {minutes(now - self._began)}"
        counted = f"{value} of {total} {self._unit}"
        left = time_left(value, total, now, began=self._began, first=self._first)
        return counted if left is None else f"{counted}, {minutes(left)} left"


def time_left(
    value: int, total: int, now: float, *, began: float, first: tuple[int, float] | None
) -> float | None:
    """Seconds, at the pace since the `first` update (value, time): before it, models were loaded. None: no pace yet."""
    counted, since = first or (0, began)
    if value <= counted:  # nothing but the first one: its own time is all that is known
        counted, since = 0, began
    return (now - since) / (value - counted) * (total - value) if value > counted else None


def minutes(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def say_on_node(text: str) -> None:
    """Shows `text` on the node that runs now, in whichever browser asked for the run; without a server nothing happens."""
    context = get_executing_context()
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if context is not None and server is not None:
        server.send_progress_text(text, context.node_id, server.client_id)
