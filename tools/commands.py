"""The commands of `run.py`: each prepares what it needs, then starts it."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..dreamoving_core.batch.server import place_pack
from ..dreamoving_core.errors import DreaMovingError, SetupError
from .check_workflows import check_workflows
from .console import say
from .contract import write_contract
from .demo import demo, serve
from .doctor import doctor
from .locales import write_locales
from .models import models
from .place import Place, prepare
from .registry import registry
from .workflows import write_workflows


def run_demo(root: Path, words: list[str]) -> int:
    return demo(prepare(root, develop=False), words)


def run_serve(root: Path, words: list[str]) -> int:
    return serve(prepare(root, develop=False), words)


def run_tests(root: Path, words: list[str]) -> int:
    if words[:1] == ["browser"]:
        return run_browser_tests(root, words[1:])
    if words[:1] == ["workflows"]:
        words = ["-m", "workflows", "tests/workflows", *words[1:]]
    slow = "--slow" in words
    words = [word for word in words if word != "--slow"]
    marker = (
        []
        if "-m" in words
        else ["-m", "not browser" if slow else "not slow and not browser and not workflows"]
    )
    # Two processes halve the time of the whole suite; a file stays in one of them, with what it built.
    shared = ["-n", "2", "--dist", "loadfile"] if not words and (os.cpu_count() or 1) > 1 else []
    place = prepare(root, develop=True)
    # One thread: with more, the tiny tensors of the tests only wait for each other.
    return place.call(["-m", "pytest", *marker, *shared, *words], threads=1, cwd=root)


def run_browser_tests(root: Path, words: list[str]) -> int:
    """ComfyUI's own page in a Chromium; what that takes is asked of nobody who runs the other tests."""
    place = prepare(root, develop=True)
    ask = "import importlib.util, sys; sys.exit(importlib.util.find_spec('playwright') is None)"
    if place.call(["-c", ask]):
        raise SetupError(
            f"The browser tests need playwright: {place.python} -m pip install -r requirements-browser.txt "
            "(and a Chromium: apt install chromium, or name one in CHROMIUM)."
        )
    return place.call(["-m", "pytest", "-m", "browser", "tests/browser", *words], threads=1, cwd=root)


def run_check(root: Path, words: list[str]) -> int:
    if words == ["workflows"]:
        return check_workflows(prepare(root, develop=False))
    place = prepare(root, develop=True)
    linted = [
        place.call(["-m", *check], cwd=root) for check in (["ruff", "check"], ["ruff", "format", "--check"])
    ]
    return max(*linted, check_types(place))


def check_types(place: Place) -> int:
    """Check the pack under its own name: relative imports out of `nodes/` need a package above them."""
    parts = ("dreamoving_core", "nodes", "benchmarks", "tools", "run.py", "__init__.py")
    with tempfile.TemporaryDirectory(prefix="dreamoving-") as base:
        pack = place_pack(place.root, Path(base), name="dreamoving")
        shutil.copy(place.root / "tools" / "pyrefly.toml", pack.parent)  # its patterns start where it lies
        command = ["-m", "pyrefly", "check", "-c", str(pack.parent / "pyrefly.toml")]
        command += ["--search-path", str(pack.parent), "--search-path", str(place.comfyui)]
        command += ["--python-interpreter-path", str(place.python), "--output-format", "min-text"]
        return place.call([*command, *(f"{pack.name}/{part}" for part in parts)], cwd=pack.parent)


def run_train(root: Path, words: list[str]) -> int:
    return prepare(root, develop=True).inside(["train", *words])


def run_bench(root: Path, words: list[str]) -> int:
    names = sorted(path.stem for path in (root / "benchmarks").glob("*.py") if not path.stem.startswith("_"))
    name = words[0].replace("-", "_") if words else ""
    if name not in names:
        say(f"error: no benchmark {name!r}. There are: {', '.join(names) or 'none yet'}.")
        return 2
    return prepare(root, develop=True).inside(["bench", name, *words[1:]])


def run_workflows(root: Path, words: list[str]) -> int:
    write_workflows(prepare(root, develop=False))
    return 0


def run_contract(root: Path, words: list[str]) -> int:
    write_contract(prepare(root, develop=False))
    return 0


def run_locales(root: Path, words: list[str]) -> int:
    return write_locales(prepare(root, develop=False))


COMMANDS: dict[str, Callable[[Path, list[str]], int]] = {
    "demo": run_demo,
    "test": run_tests,
    "serve": run_serve,
    "check": run_check,
    "bench": run_bench,
    "train": run_train,
    "workflows": run_workflows,
    "contract": run_contract,
    "locales": run_locales,
    "registry": registry,
    "models": models,
    "doctor": doctor,
}


def main(argv: list[str], *, root: Path, usage: str) -> int:
    """Run one command; an error that a person can mend is one line, without a traceback."""
    # Whoever starts us in the background may have it ignored; the children, which we stop by it, would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # so that servers and half-made folders are cleared away
    if not argv or argv[0] in ("-h", "--help", "help"):
        say(usage.strip())
        return 0 if argv else 2
    command = COMMANDS.get(argv[0])
    if command is None:
        say(f"error: no command {argv[0]!r}. There are: {', '.join(COMMANDS)}.")
        return 2
    try:
        return command(root, argv[1:])
    except DreaMovingError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
