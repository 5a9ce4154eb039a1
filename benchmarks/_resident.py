"""Memory that the kernel counts for this process, with everything that libraries take behind Python's back. Linux only."""

import ctypes
from collections.abc import Callable
from pathlib import Path


def start_counting() -> int:
    """Resident bytes now; the kernel counts the peak from here on. What was freed goes back first: it would hide growth."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return resident_bytes("VmRSS")


def peak_bytes() -> int:
    """The most that was resident since `start_counting`."""
    return resident_bytes("VmHWM")


def extra_mb(step: Callable[[], object]) -> float:
    """How many MB the process grew at most while `step` ran, its result included."""
    before = start_counting()
    result = step()
    peak = peak_bytes()
    del result
    return (peak - before) / 1e6


def resident_bytes(kind: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind + ":"))
