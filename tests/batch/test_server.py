"""Booting a server: what goes wrong is one line, and no process stays behind."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from dreamoving.dreamoving_core.batch import server
from dreamoving.dreamoving_core.batch.server import ServerSettings, free_port, place_pack, running_server
from dreamoving.dreamoving_core.errors import SetupError


def settings(folder: Path, main: str, **changes: object) -> ServerSettings:
    """Settings for a stand-in of ComfyUI whose main.py is `main`."""
    comfyui, pack = folder / "comfyui", folder / "pack"
    comfyui.mkdir()
    pack.mkdir()
    (comfyui / "main.py").write_text(main)
    given = {
        "python": Path(sys.executable),
        "comfyui": comfyui,
        "pack": pack,
        "base": folder / "base",
        "log": folder / "log",
        "port": free_port(),
    }
    return ServerSettings(**{**given, "cpu": True, **changes})


def test_a_taken_port_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"Port {port} cannot be used .*--port"):  # noqa: SIM117
            with running_server(settings(tmp_path, "", port=port)):
                pass
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_cannot_be_is_named(port: int) -> None:
    with pytest.raises(SetupError, match=f"Port {port} cannot be used"):
        server.require_free_port(port)


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    given = settings(tmp_path, "raise SystemExit('ModuleNotFoundError: no comfy')\n")

    with (
        pytest.raises(
            SetupError, match=r"ended with status 1 while starting: ModuleNotFoundError: no comfy \(log: "
        ),
        running_server(given),
    ):
        pass


def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    main = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\nprint('thinking')\ntime.sleep(60)\n"
    given = settings(tmp_path, main, boot_s=1.0)

    with pytest.raises(SetupError, match=r"did not answer within 1 s: thinking"):  # noqa: SIM117
        with running_server(given):
            pass

    pid = (given.base / "pid").read_text()
    assert (
        subprocess.run(
            [sys.executable, "-c", f"import os; os.kill({pid}, 0)"], capture_output=True
        ).returncode
        != 0
    )


def test_a_server_ends_with_its_block_even_on_an_error(tmp_path: Path) -> None:
    main = (
        "import http.server, sys\n"
        "class Answer(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.end_headers()\n"
        "port = int(sys.argv[sys.argv.index('--port') + 1])\n"
        "http.server.HTTPServer(('127.0.0.1', port), Answer).serve_forever()\n"
    )
    processes = []

    def use() -> None:
        with running_server(settings(tmp_path, main)) as process:
            processes.append(process)
            assert process.poll() is None
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        use()
    assert processes[0].poll() is not None


def test_the_pack_is_linked_and_copied_where_links_are_not_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = tmp_path / "pack"
    (pack / "nodes").mkdir(parents=True)
    (pack / ".venv").mkdir()
    (pack / "__init__.py").write_text("# mine\n")

    link = place_pack(pack, tmp_path / "base", name="dreamoving")
    assert link.is_symlink()
    assert place_pack(pack, tmp_path / "base", name="dreamoving").resolve() == pack.resolve()

    monkeypatch.setattr(Path, "symlink_to", _not_allowed)
    for _ in range(2):
        copy = place_pack(pack, tmp_path / "base", name="dreamoving")
        assert not copy.is_symlink()
        assert sorted(path.name for path in copy.iterdir()) == ["__init__.py", "nodes"]
    assert (pack / "__init__.py").read_text() == "# mine\n"


def _not_allowed(*_: object, **__: object) -> None:
    raise OSError("A required privilege is not held by the client")
