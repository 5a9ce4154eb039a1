"""A ComfyUI server as a child process, in a folder of its own: no other node pack, no model and no setting leaks in."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import SetupError

HOST = "127.0.0.1"
NOT_THE_PACK = shutil.ignore_patterns(".*", "out", "tests", "__pycache__", "node_modules")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What to boot, and where. `base` gets ComfyUI's folders: custom_nodes, models, input, output, user."""

    python: Path
    comfyui: Path
    pack: Path
    pack_name: str = "dreamoving"  # of its folder in custom_nodes
    base: Path
    log: Path  # everything that the server prints
    port: int
    cpu: bool
    threads: int | None = None  # OMP_NUM_THREADS of the server; None leaves it alone
    boot_s: float = 600.0
    extra: tuple[str, ...] = ()  # further words for ComfyUI's command line

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def command(self) -> list[str]:
        options = ["--listen", HOST, "--port", str(self.port), "--base-directory", str(self.base)]
        options += ["--disable-api-nodes", "--disable-auto-launch", "--database-url", "sqlite:///:memory:"]
        cpu = ["--cpu"] if self.cpu else []
        return [str(self.python), "-u", str(self.comfyui / "main.py"), *options, *cpu, *self.extra]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def require_free_port(port: int) -> None:
    with socket.socket() as probe:
        if os.name != "nt":  # there the option would let two servers share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise SetupError(
                f"Port {port} cannot be used ({error}). Choose another one with --port."
            ) from error


def place_pack(pack: Path, base: Path, *, name: str) -> Path:
    """Put the pack into `base/custom_nodes`: a link, or a copy where links are not allowed (Windows)."""
    place = base / "custom_nodes" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)
    try:
        place.symlink_to(pack, target_is_directory=True)
    except OSError:
        shutil.copytree(pack, place, ignore=NOT_THE_PACK)
    return place


@contextlib.contextmanager
def running_server(settings: ServerSettings) -> Iterator[subprocess.Popen]:
    """Boot ComfyUI with the pack and yield its process once it answers; it ends with the block, whatever happens."""
    require_free_port(settings.port)
    try:
        place_pack(settings.pack, settings.base, name=settings.pack_name)
        settings.log.parent.mkdir(parents=True, exist_ok=True)
        log = settings.log.open("wb")
    except OSError as error:
        raise SetupError(f"Cannot write {settings.base}: {error.strerror or error}.") from error
    environ = dict(os.environ)
    if settings.threads is not None:
        environ["OMP_NUM_THREADS"] = str(settings.threads)
    with log:
        process = subprocess.Popen(
            settings.command(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environ,
            cwd=settings.base,
        )
        try:
            wait_until_up(process, settings)
            yield process
        finally:
            stop(process)


def wait_until_up(process: subprocess.Popen, settings: ServerSettings) -> None:
    """Return when the server answers. Raises SetupError with the end of its log when it ends, or never answers."""
    deadline = time.monotonic() + settings.boot_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SetupError(
                f"ComfyUI ended with status {process.returncode} while starting: {last_words(settings.log)}"
            )
        try:
            with urllib.request.urlopen(settings.url + "/system_stats", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SetupError(f"ComfyUI did not answer within {settings.boot_s:.0f} s: {last_words(settings.log)}")


def last_words(log: Path) -> str:
    """The last line that says something, of a server's log."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "its log is empty") + f" (log: {log})"


def stop(process: subprocess.Popen, *, patience_s: float = 10.0) -> None:
    """End a process: politely, then not."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
