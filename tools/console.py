"""Words for the person at the terminal: whole lines, and one line that is written over while something takes long."""

import sys
import time


def say(text: str) -> None:
    """Write one line to stderr, at once."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Progress:
    """One line that changes in place on a terminal, and a line every `every` seconds elsewhere (CI logs)."""

    def __init__(self, title: str, *, every: float = 15.0) -> None:
        self.title = title
        self.every = every
        self.in_place = sys.stderr.isatty()
        self.started = time.monotonic()
        self.last = self.started if not self.in_place else 0.0
        say(title + " ...")

    def show(self, text: str, *, milestone: bool = False) -> None:
        """Show `text` now and then; a milestone always."""
        now = time.monotonic()
        if not milestone and now - self.last < (0.2 if self.in_place else self.every):
            return
        self.last = now
        line = f"  {now - self.started:4.0f} s  {text}"[:100]
        sys.stderr.write(f"\r{line:<100}" if self.in_place else line + "\n")
        sys.stderr.flush()

    def done(self, text: str = "done") -> None:
        line = f"  {time.monotonic() - self.started:4.0f} s  {text}"[:100]
        sys.stderr.write(f"\r{line:<100}\n" if self.in_place else line + "\n")
        sys.stderr.flush()
