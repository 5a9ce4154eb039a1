"""`run.py` as a person starts it: what it says, and with which status it ends."""

import ast
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from dreamoving.tools.commands import COMMANDS
from dreamoving.tools.place import only_one

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "run.py"), *words]
    return subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, check=False, cwd="/"
    )


def test_help_lists_every_command() -> None:
    done = run("--help")

    assert done.returncode == 0
    assert [name for name in COMMANDS if f"    {name}" not in done.stderr] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dance"], r"error: no command 'dance'. There are: demo, "),
        (["bench", "no-such"], r"error: no benchmark 'no_such'. There are: "),
        (["bench", "../run"], r"error: no benchmark '../run'. There are: "),
    ],
)
def test_an_unknown_word_is_answered_with_the_known_ones(words: list[str], message: str) -> None:
    done = run(*words)

    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def test_what_a_person_can_mend_is_one_line_without_a_traceback() -> None:
    done = run("test", COMFYUI_PATH="/no/such/place")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    *before, last = done.stderr.splitlines()
    assert (
        last == "error: COMFYUI_PATH is /no/such/place, but there is no ComfyUI (main.py and comfy/) in it."
    )
    assert [line for line in before if not line.startswith("Waiting for another run.py")] == []


def test_run_py_needs_nothing_but_the_standard_library() -> None:
    """-S: no site-packages. An older Python is told so by run.py itself, so its syntax is the oldest of all files."""
    done = subprocess.run(
        [sys.executable, "-S", "-I", str(ROOT / "run.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    ast.parse((ROOT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_benchmarks_and_training_see_the_pack_and_comfyuis_own_nodes(tmp_path: Path) -> None:
    """In a copy of `tools` with one benchmark: inside, `nodes` is ComfyUI's, and the pack has its own name."""
    pack = tmp_path / "Any name - at all"
    shutil.copytree(ROOT / "tools", pack / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        ROOT / "dreamoving_core", pack / "dreamoving_core", ignore=shutil.ignore_patterns("__pycache__")
    )
    (pack / "nodes").mkdir()
    for file in ("run.py", "__init__.py", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / file, pack / file)
    (pack / "benchmarks").mkdir()
    (pack / "benchmarks" / "probe.py").write_text(
        "import importlib.util, sys\n"
        "from ..dreamoving_core.errors import SetupError\n"
        "def main(argv):\n"
        "    print(argv, SetupError.__module__, importlib.util.find_spec('nodes').origin)\n"
        "    return 5\n"
    )
    command = [sys.executable, str(pack / "tools" / "inside.py"), "bench", "probe", "--seeds", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=pack)

    assert done.returncode == 5, done.stderr
    expected = os.path.join(os.environ["COMFYUI_PATH"], "nodes.py")
    assert done.stdout == f"['--seeds', '8'] dreamoving.dreamoving_core.errors {expected}\n"


BETWEEN = (  # the parent is kept in between: the child runs, but its Popen is not made yet
    "import subprocess, time\n"
    "class Popen(subprocess.Popen):\n"
    "    def _execute_child(self, *arguments):\n"
    "        super()._execute_child(*arguments)\n"
    "        time.sleep(2)\n"
    "subprocess.Popen = Popen\n"
)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM there")
@pytest.mark.parametrize("before", ["", BETWEEN], ids=["while it waits", "while the child starts"])
def test_a_stopped_command_lets_its_child_clear_up(tmp_path: Path, before: str) -> None:
    child = tmp_path / "child.py"
    child.write_text(
        "import pathlib, time\n"
        "try:\n"
        "    pathlib.Path('started').touch()\n"
        "    time.sleep(60)\n"
        "finally:\n"
        "    time.sleep(0.5)\n"
        "    pathlib.Path('cleared').touch()\n"
    )
    parent = (
        f"{before}import runpy, sys\n"
        f"run = runpy.run_path({str(ROOT / 'run.py')!r})\n"
        "run['load_pack']()\n"
        "from dreamoving.tools import commands, place\n"
        "def call(root, words):\n"
        "    return place.Place(root=root, comfyui=root, python=sys.executable).call(words)\n"
        "commands.COMMANDS['call'] = call\n"
        "sys.exit(commands.main(sys.argv[1:], root=run['ROOT'], usage=''))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent, "call", str(child)], cwd=tmp_path)
    wait_until((tmp_path / "started").exists)

    process.terminate()

    assert process.wait(30) == 143
    assert (tmp_path / "cleared").exists()


def wait_until(happened: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3000):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen within 30 s")


def test_two_that_prepare_at_once_go_one_after_the_other(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    order, entered = [], threading.Event()

    def second() -> None:
        entered.wait()
        with only_one(tmp_path / "lock"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with only_one(tmp_path / "lock"):
        entered.set()
        wait_until(lambda: "Waiting for another run.py" in capfd.readouterr().err)
        order.append("first")
    thread.join(30)

    assert order == ["first", "second"]
