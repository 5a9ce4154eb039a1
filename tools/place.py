"""Where everything is, once it is prepared: the pack, ComfyUI, and the Python that runs both."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..dreamoving_core.errors import SetupError
from .comfyui import find_comfyui
from .console import say
from .environment import Requirements, find_python

PATIENCE_S = 20.0  # for a child to clear up after itself (a test's server) before it is killed


@dataclass(frozen=True, kw_only=True)
class Place:
    root: Path
    comfyui: Path
    python: Path

    def call(self, arguments: list[str], *, threads: int | None = None, cwd: Path | None = None) -> int:
        """Run the environment's Python and return its exit status; `threads` sets OMP_NUM_THREADS."""
        environ = {**os.environ, "COMFYUI_PATH": str(self.comfyui)}
        if threads is not None:
            environ["OMP_NUM_THREADS"] = str(threads)
        return wait_for([str(self.python), *arguments], environ=environ, cwd=cwd)

    def inside(self, arguments: list[str], *, threads: int | None = None) -> int:
        """Run `train ...` or `bench NAME ...` in the environment, with the pack and ComfyUI loaded."""
        return self.call([str(self.root / "tools" / "inside.py"), *arguments], threads=threads)

    def has_cuda(self) -> bool:
        ask = "import sys, torch; sys.exit(not torch.cuda.is_available())"
        return (
            subprocess.run([str(self.python), "-c", ask], stderr=subprocess.DEVNULL, check=False).returncode
            == 0
        )


def wait_for(command: list[str], *, environ: dict[str, str], cwd: Path | None = None) -> int:
    """Run a command to its end. When we are stopped, it is interrupted and gets time to clear up."""
    with (
        held_back(signal.SIGTERM) as let_through,
        subprocess.Popen(command, env=environ, cwd=cwd) as process,
    ):
        try:
            let_through()
            return process.wait()
        except BaseException as stopped:
            if sys.platform == "win32":
                process.terminate()
            elif not isinstance(stopped, KeyboardInterrupt):  # Ctrl+C has reached the child already
                process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
            process.kill()
            raise


@contextlib.contextmanager
def held_back(number: signal.Signals) -> Iterator[Callable[[], None]]:
    """Keep a signal until it is let through: one that ends us while a child starts would leave the child alone."""
    arrived: list[signal.Signals] = []
    handler = signal.signal(number, lambda *_: arrived.append(number))

    def let_through() -> None:
        signal.signal(number, handler)
        if arrived:
            arrived.clear()
            signal.raise_signal(number)

    try:
        yield let_through
    finally:
        let_through()


def prepare(root: Path, *, develop: bool) -> Place:
    """Find or make everything; `develop` asks for the packages of tests, checks and benchmarks too."""
    with only_one(root / ".cache" / "setup.lock"):
        comfyui = find_comfyui(root, environ=dict(os.environ))
        run = (comfyui / "requirements.txt", root / "requirements-run.txt")
        requirements = Requirements(run=run, develop=(root / "requirements-dev.txt",))
        return Place(root=root, comfyui=comfyui, python=find_python(root, requirements, develop=develop))


@contextlib.contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Wait until no other process is in here. The system takes the lock back when a process dies."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a")
    except OSError as error:
        raise SetupError(f"Cannot write {lock}: {error.strerror or error}.") from error
    with file:
        if not try_lock(file):
            say("Waiting for another run.py that is preparing ...")
            while not try_lock(file):
                time.sleep(0.5)
        yield


def try_lock(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
