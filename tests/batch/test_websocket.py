"""The websocket listener against a server on a raw socket that cuts and mixes frames in every way the RFC allows."""

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from dreamoving.dreamoving_core.batch.websocket import ACCEPT_GUID, Listener
from dreamoving.dreamoving_core.errors import SetupError


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    size = len(payload)
    code = (
        bytes([size])
        if size < 126
        else struct.pack("!BH" if size < 1 << 16 else "!BQ", 126 if size < 1 << 16 else 127, size)
    )
    return bytes([0x80 * final | opcode]) + code + payload


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[int, list[bytes]]]]:
    """Start a server that shakes hands, sends bytes in pieces and collects what comes back; returns port and that."""
    threads, listeners = [], []

    def start(
        data: bytes, *, piece: int = 1 << 16, status: str = "101 Switching Protocols"
    ) -> tuple[int, list[bytes]]:
        listener = socket.create_server(("127.0.0.1", 0))
        received: list[bytes] = []

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                request = connection.recv(4096).decode()
                key = request.split("Sec-WebSocket-Key: ")[1].split("\r\n")[0]
                accept = base64.b64encode(hashlib.sha1((key + ACCEPT_GUID).encode()).digest()).decode()
                head = f"HTTP/1.1 {status}\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode()
                stream = head + data
                for start in range(0, len(stream), piece):
                    connection.sendall(stream[start : start + piece])
                while block := connection.recv(4096):
                    received.append(block)

        threads.append(threading.Thread(target=answer, daemon=True))
        threads[-1].start()
        listeners.append(listener)
        return listener.getsockname()[1], received

    yield start
    for listener, thread in zip(listeners, threads, strict=True):
        thread.join(5)
        listener.close()


def text(content: object) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("size", "piece"), [(0, 1), (125, 1), (126, 1), (126, 7), (70_000, 999), (70_000, 1 << 16)]
)
def test_messages_of_every_length_arrive_however_they_are_cut(serve: Callable, size: int, piece: int) -> None:
    sent = [{"n": 1, "x": "a" * size}, {"n": 2}]
    port, _ = serve(b"".join(frame(0x1, text(message)) for message in sent), piece=piece)

    listener = Listener("127.0.0.1", port, "/ws")
    received = [listener.receive(5.0), listener.receive(5.0)]
    listener.close()

    assert received == sent


def test_a_message_in_parts_with_a_ping_and_a_preview_between_them(serve: Callable) -> None:
    whole = text({"type": "progress"})
    data = (
        frame(0x2, b"\x00\x00\x00\x01jpeg") + frame(0x1, whole[:5], final=False) + frame(0x9, b"still there?")
    )
    port, received = serve(data + frame(0x0, whole[5:]))

    listener = Listener("127.0.0.1", port, "/ws")
    message = listener.receive(5.0)
    quiet = listener.receive(0.05)
    listener.close()

    assert message == {"type": "progress"}
    assert quiet is None
    pong = _wait_for(received)
    mask, payload = pong[2:6], pong[6:]
    assert pong[:2] == bytes([0x8A, 0x80 | 12])
    assert bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) == b"still there?"


def _wait_for(received: list[bytes]) -> bytes:
    pause = threading.Event()
    for _ in range(500):
        if received:
            return b"".join(received)
        pause.wait(0.01)
    raise AssertionError("no answer to the ping")


def test_a_close_is_a_connection_error(serve: Callable) -> None:
    port, _ = serve(frame(0x8, b""))

    listener = Listener("127.0.0.1", port, "/ws")
    with pytest.raises(ConnectionError, match="closed"):
        listener.receive(5.0)
    listener.close()


def test_a_server_without_websockets_is_named(serve: Callable) -> None:
    port, _ = serve(b"", status="200 OK")

    with pytest.raises(SetupError, match=r"is no websocket: it answered 'HTTP/1.1 200 OK'"):
        Listener("127.0.0.1", port, "/ws")
