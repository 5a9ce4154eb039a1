"""The little of RFC 6455 that listening to a ComfyUI server takes: one client, text messages, unencrypted."""

import base64
import hashlib
import json
import os
import socket
import struct
from typing import Any

from ..errors import SetupError

ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class Listener:
    """Receives a server's JSON messages; previews (binary messages) are passed over."""

    def __init__(self, host: str, port: int, path: str, *, timeout: float = 10.0) -> None:
        self.message, self.kind = bytearray(), TEXT
        self.socket = socket.create_connection((host, port), timeout=timeout)
        try:
            self.buffer = self._shake_hands(f"{host}:{port}", path)  # what came with the answer
        except BaseException:
            self.close()
            raise

    def _shake_hands(self, host: str, path: str) -> bytearray:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        answer = bytearray()
        while b"\r\n\r\n" not in answer:
            data = self.socket.recv(4096)
            if not data:
                raise ConnectionError("the server closed the connection")
            answer += data
        head, _, rest = answer.partition(b"\r\n\r\n")
        expected = base64.b64encode(hashlib.sha1((key + ACCEPT_GUID).encode()).digest())
        if not head.startswith(b"HTTP/1.1 101") or expected not in head:
            raise SetupError(
                f"{host}{path} is no websocket: it answered {head.splitlines()[0].decode('latin-1')!r}."
            )
        return rest

    def close(self) -> None:
        self.socket.close()

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """The next JSON message; None when none came within `timeout` seconds. ConnectionError when the server left."""
        self.socket.settimeout(timeout)
        while True:
            frame = self._take_frame()
            if frame is None:
                try:
                    data = self.socket.recv(1 << 16)
                except TimeoutError:
                    return None
                if not data:
                    raise ConnectionError("the server closed the connection")
                self.buffer += data
                continue
            message = self._handle(*frame)
            if message is not None:
                return message

    def _take_frame(self) -> tuple[bool, int, bytes] | None:
        """One whole frame (final, opcode, payload) out of the buffer; servers do not mask."""
        if len(self.buffer) < 2:
            return None
        size, start = self.buffer[1] & 0x7F, 2
        if size >= 126:
            width, code = (2, "!H") if size == 126 else (8, "!Q")
            start += width
            if len(self.buffer) < start:
                return None
            (size,) = struct.unpack(code, self.buffer[2:start])
        if len(self.buffer) < start + size:
            return None
        final, opcode = bool(self.buffer[0] & 0x80), self.buffer[0] & 0x0F
        payload = bytes(self.buffer[start : start + size])
        del self.buffer[: start + size]
        return final, opcode, payload

    def _handle(self, final: bool, opcode: int, payload: bytes) -> dict[str, Any] | None:
        if opcode == CLOSE:
            raise ConnectionError("the server closed the connection")
        if opcode == PING:
            self._send(PONG, payload)
        if opcode not in (CONTINUATION, TEXT, BINARY):
            return None
        if opcode != CONTINUATION:
            self.kind, self.message = opcode, bytearray()
        self.message += payload
        return json.loads(self.message) if final and self.kind == TEXT else None

    def _send(self, opcode: int, payload: bytes) -> None:
        """A short control frame (at most 125 bytes); clients must mask (RFC 6455 §5.3)."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)
