"""One file from the package index that pip is configured for: read over HTTP, size and SHA-256 checked while it streams.

pip itself would run the package's build code to learn its metadata; so it is only asked when the index cannot be read here.
"""

import ast
import hashlib
import html.parser
import http.client
import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ..dreamoving_core.errors import SetupError
from .console import Progress

TIMEOUT_S = 20.0
NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    TimeoutError,
    ConnectionError,
)


class IndexUnreadable(Exception):
    """No index answered with this file; pip may still know a way (credentials, a mirror of its own)."""


def download(
    project: str,
    version: str,
    filename: str,
    *,
    into: Path,
    size: int,
    sha256: str,
    indexes: list[str] | None = None,
    by_pip: Callable[[str, str, Path], None] | None = None,
) -> None:
    """Write `filename` to `into`. Raises SetupError, and leaves no file, unless size (bytes) and sha256 are right."""
    settings = pip_settings()
    try:
        url = find_url(project, filename, indexes if indexes is not None else index_urls(settings), settings)
        with open_url(url, settings) as response:
            save_checked(response.read, into, size=size, sha256=sha256, name=filename)
    except (IndexUnreadable, *NETWORK_ERRORS) as error:
        into.unlink(missing_ok=True)
        (by_pip or download_by_pip)(project, version, into.parent)
        found = into.with_name(filename)
        if not found.is_file():
            raise SetupError(
                f"No network, or no {filename} at the package index: {_reason(error)}."
            ) from error
        check_file(found, size=size, sha256=sha256)
        found.replace(into)


def pip_settings() -> dict[str, str]:
    """pip's own configuration (files and environment) as `name: value`, without the section; empty without pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    found: dict[str, dict[str, str]] = {
        "global": {},
        "download": {},
        ":env:": {},
    }  # later ones win, as in pip
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.partition(".")
        if section in found and value[:1] in ("'", '"'):
            found[section][key] = str(ast.literal_eval(value))  # pip prints the repr of a str
    return {key: value for section in found.values() for key, value in section.items()}


def index_urls(settings: dict[str, str]) -> list[str]:
    """The simple indexes in pip's order: index-url (pip's own default without one), then the extra ones."""
    main = settings.get("index-url") or _default_index()
    return [url for url in [main, *settings.get("extra-index-url", "").split()] if url]


def _default_index() -> str:
    ask = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def find_url(project: str, filename: str, indexes: list[str], settings: dict[str, str]) -> str:
    """The address of `filename` on the first index that lists it."""
    problems = []
    for index in indexes:
        page = f"{index.rstrip('/')}/{project}/"
        if page.startswith("file:"):
            page += "index.html"
        try:
            with open_url(page, settings) as response:
                text = response.read().decode("utf-8", "replace")
                base = response.geturl()
        except NETWORK_ERRORS as error:
            problems.append(_reason(error))
            continue
        for link in links(text):
            if urllib.parse.unquote(urllib.parse.urlsplit(link).path.rsplit("/", 1)[-1]) == filename:
                return urllib.parse.urljoin(base, link).partition("#")[0]
        problems.append(f"{filename} is not listed")
    raise IndexUnreadable("; ".join(problems) or "pip names no index")


def links(text: str) -> list[str]:
    """The file addresses of a simple index page, in its JSON or its HTML form."""
    if text.lstrip().startswith("{"):
        return [file["url"] for file in json.loads(text).get("files", [])]
    found: list[str] = []

    class Anchors(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for name, value in attrs if tag == "a" and name == "href" and value)

    Anchors().feed(text)
    return found


def open_url(url: str, settings: dict[str, str]):
    request = urllib.request.Request(
        url, headers={"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.5"}
    )
    context = ssl.create_default_context(
        cafile=settings["cert"] if os.path.isfile(settings.get("cert", "")) else None
    )
    return urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context)


def save_checked(read: Callable[[int], bytes], into: Path, *, size: int, sha256: str, name: str) -> None:
    """Stream `read` to a file; never more than `size` bytes, and only a whole, right file stays."""
    progress = Progress(f"Downloading {name} ({size / 1e6:.1f} MB)")
    digest, count = hashlib.sha256(), 0
    try:
        with into.open("wb") as file:
            while count <= size and (block := read(1 << 16)):
                count += len(block)
                digest.update(block)
                file.write(block)
                progress.show(f"{count / 1e6:.1f} MB")
        _require(name, count, digest.hexdigest(), size=size, sha256=sha256)
    except BaseException:
        into.unlink(missing_ok=True)
        raise
    progress.done()


def check_file(path: Path, *, size: int, sha256: str) -> None:
    content = path.read_bytes()
    try:
        _require(path.name, len(content), hashlib.sha256(content).hexdigest(), size=size, sha256=sha256)
    except SetupError:
        path.unlink()
        raise


def _require(name: str, count: int, digest: str, *, size: int, sha256: str) -> None:
    if count < size:
        raise SetupError(
            f"The download of {name} broke off after {count} of {size} bytes. Nothing was kept; run again."
        )
    if (count, digest) != (size, sha256):
        raise SetupError(
            f"{name} is not the file that was pinned: expected {size} bytes with SHA-256 {sha256[:12]}..., "
            f"got {count} bytes with {digest[:12]}... Nothing was kept; check your package index or mirror."
        )


def download_by_pip(project: str, version: str, folder: Path) -> None:
    """Ask pip for the sdist of `project`, whatever Python it says it needs; failure shows as a missing file."""
    arguments = [
        "--no-deps",
        "--no-binary",
        ":all:",
        "--ignore-requires-python",
        "--retries",
        "1",
        "--timeout",
        "20",
    ]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        *arguments,
        "-d",
        str(folder),
        f"{project}=={version}",
    ]
    quiet = subprocess.DEVNULL
    subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, check=False)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error)
