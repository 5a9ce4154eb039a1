"""Posts graphs in API format to one ComfyUI server, follows their progress, and brings their files back."""

import contextlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DreaMovingError, InputError, SetupError
from .websocket import Listener

Graph = dict[str, dict[str, Any]]  # node id -> {class_type, inputs}
ENDS = ("execution_success", "execution_error", "execution_interrupted")  # ComfyUI's last message of a run


@dataclass(frozen=True, kw_only=True)
class Step:
    """Where a run is: the node at work, and how far it is (0 of 0 when it does not say)."""

    node: str
    value: int = 0
    total: int = 0


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """A file that a node saved, as the server names it."""

    node: str
    filename: str
    subfolder: str
    type: str  # output, temp or input


class Client:
    """One server, one client id: progress is only sent to the client that posted the graph."""

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.id = uuid.uuid4().hex

    def get(self, path: str) -> Any:
        return self._json(urllib.request.Request(self.url + path))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        data = json.dumps(body).encode()
        return self._json(urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}))

    def _json(self, request: urllib.request.Request) -> Any:
        with self._open(request) as response:
            text = response.read()
        return json.loads(text) if text else None

    def _open(self, request: urllib.request.Request) -> Any:
        try:
            return urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            raise InputError(refusal(error.code, error.read())) from error
        except (urllib.error.URLError, OSError) as error:
            raise SetupError(
                f"No answer from {self.url}: {getattr(error, 'reason', None) or error}."
            ) from error

    def submit(self, graph: Graph, *, workflow: dict[str, Any] | None = None) -> str:
        """Queue `graph` and return its prompt id. `workflow` (UI format) is what the server embeds into the files."""
        extra = {"extra_pnginfo": {"workflow": workflow}} if workflow else {}
        return self.post("/prompt", {"prompt": graph, "client_id": self.id, "extra_data": extra})["prompt_id"]

    def run(
        self,
        graph: Graph,
        *,
        workflow: dict[str, Any] | None = None,
        on_step: Callable[[Step], None] = lambda step: None,
        limit_s: float = 3600.0,
    ) -> dict[str, Any]:
        """Submit, follow until the end, and return the history entry. A run that failed raises, naming its node."""
        listener = self._listen()
        try:
            prompt = self.submit(graph, workflow=workflow)
            deadline = time.monotonic() + limit_s
            entry, ended = None, False
            while entry is None:
                if time.monotonic() >= deadline:
                    self.interrupt(prompt)
                    raise SetupError(
                        f"{self.url} did not finish the graph within {limit_s:.0f} s; it was stopped."
                    )
                listener, ended = self._follow(listener, prompt, on_step)
                entry = self.history(prompt)
            if not ended:  # what was said while the history was asked for
                listener, _ = self._follow(listener, prompt, on_step)
        finally:
            if listener is not None:
                listener.close()
        require_success(entry, graph)
        return entry

    def _listen(self) -> Listener | None:
        parts = urllib.parse.urlsplit(self.url)
        with contextlib.suppress(OSError, SetupError):  # progress is a comfort; the history decides
            return Listener(parts.hostname or "", parts.port or 80, f"{parts.path}/ws?clientId={self.id}")
        return None

    def _follow(
        self, listener: Listener | None, prompt: str, on_step: Callable[[Step], None]
    ) -> tuple[Listener | None, bool]:
        """Pass on what the server says until the run has ended, it is quiet for a moment, or a few seconds went by.
        The listener, None once it is lost, and whether the end was heard."""
        until, ended = time.monotonic() + 5.0, False
        if listener is None:
            time.sleep(0.5)
            return None, ended
        try:
            while not ended and time.monotonic() < until and (message := listener.receive(0.5)):
                data = message.get("data") or {}
                if data.get("prompt_id") != prompt:
                    continue
                if message["type"] == "executing" and data.get("node"):
                    on_step(Step(node=data["node"]))
                elif message["type"] == "progress":
                    on_step(Step(node=str(data.get("node")), value=data["value"], total=data["max"]))
                else:
                    ended = message["type"] in ENDS
        except OSError:
            listener.close()
            return None, ended
        return listener, ended

    def history(self, prompt: str) -> dict[str, Any] | None:
        """The entry of a run that has ended; None before. The server writes it a moment after it says the end."""
        return self.get(f"/history/{prompt}").get(prompt)

    def interrupt(self, prompt: str) -> None:
        self.post(f"/api/jobs/{prompt}/cancel", {})

    def download(self, file: OutputFile, into: Path) -> None:
        """Bring one file here; `into` is only replaced by a whole one."""
        query = urllib.parse.urlencode(
            {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        )
        partial = into.with_name(into.name + ".partial")
        with self._open(urllib.request.Request(f"{self.url}/view?{query}")) as response:
            content = response.read()
        try:
            into.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(into)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise SetupError(f"Cannot write {into}: {error.strerror or error}.") from error


def output_files(entry: dict[str, Any]) -> list[OutputFile]:
    """Every file in a history entry, whatever the key that its node shows it under (images, gifs, PreviewVideo, ...)."""
    return [
        OutputFile(
            node=node, filename=item["filename"], subfolder=item.get("subfolder", ""), type=item["type"]
        )
        for node, shown in entry["outputs"].items()
        for items in shown.values()
        if isinstance(items, list)
        for item in items
        if isinstance(item, dict) and "filename" in item and "type" in item
    ]


def require_success(entry: dict[str, Any], graph: Graph) -> None:
    """Raise in words when the run of a history entry did not succeed."""
    status = entry.get("status") or {}
    if status.get("completed"):
        return
    for kind, data in status.get("messages", []):
        if kind == "execution_error":
            said = str(data.get("exception_message", "")).strip()
            raise DreaMovingError(f"Node {data['node_id']} ({data['node_type']}) failed: {said}")
        if kind == "execution_interrupted":
            raise DreaMovingError(f"The run was stopped at node {data['node_id']} ({data['node_type']}).")
    raise DreaMovingError(
        f"The run of {len(graph)} nodes ended as {status.get('status_str')!r}, without a reason."
    )


def refusal(code: int, body: bytes) -> str:
    """A server's refusal in one line; for a graph it names each node and what is wrong there."""
    try:
        answer = json.loads(body)
        problems = [
            f"node {node} ({found.get('class_type')}): {error['message']} ({error['details']})"
            for node, found in (answer.get("node_errors") or {}).items()
            for error in found["errors"]
        ]
        text = "; ".join(problems) or answer["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        text = body.decode("utf-8", "replace").strip()[:200] or "no reason given"
    return f"The server refused (HTTP {code}): {text}"
