"""Workflow and prompt inside the file: tags in mp4, mov, webm and mkv, EXIF in WebP and text in PNG (both as ComfyUI
writes them), a comment in GIF."""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import av
from PIL import Image

EXIF_FLAG = 0x08  # of the VP8X chunk
FIRST_EXTRA_TAG = 0x010F  # ComfyUI: the prompt in 0x0110, everything else in 0x010F and downwards
PROMPT_TAG = 0x0110
GIF_LOOP = b"\x21\xff\x0bNETSCAPE2.0"  # a block of 19 bytes
PNG_AFTER_HEADER = 8 + 25  # signature and IHDR
PIECE = 1 << 20


def write_image_metadata(path: Path, metadata: Mapping[str, str], *, kind: str) -> None:
    """Adds `metadata` to a finished GIF ("comment"), PNG ("text") or WebP ("exif") in place."""
    if not metadata:
        return
    if kind == "comment":
        _insert_gif_comment(path, json.dumps(dict(metadata)).encode("ascii"))
    elif kind == "text":
        _insert_png_text(path, metadata)
    else:
        _append_webp_exif(path, _exif(metadata))


def read_metadata(path: str | Path) -> dict[str, str]:
    """The tags of a file or folder that `video/` wrote, keys in lower case. Raises what the reader of the format raises."""
    if Path(path).is_dir():
        path = min(Path(path).glob("*.png"))
    if Path(path).suffix.lower() in (".gif", ".webp", ".png"):
        return _read_image_metadata(path)
    with av.open(str(path)) as container:
        return {key.lower(): value for key, value in container.metadata.items()}


def _read_image_metadata(path: str | Path) -> dict[str, str]:
    with Image.open(path) as image:
        if image.format == "GIF":
            comment = image.info.get("comment")
            return json.loads(comment) if comment else {}
        if image.format == "PNG":
            return dict(image.text)
        texts = [value for value in image.getexif().values() if isinstance(value, str)]
    return dict(text.split(":", 1) for text in texts if ":" in text)


def _exif(metadata: Mapping[str, str]) -> bytes:
    exif = Image.Exif()
    extra_tag = FIRST_EXTRA_TAG
    for key, value in metadata.items():
        if key == "prompt":
            exif[PROMPT_TAG] = f"{key}:{value}"
        else:
            exif[extra_tag] = f"{key}:{value}"
            extra_tag -= 1
    return exif.tobytes().removeprefix(b"Exif\x00\x00")


def _insert_gif_comment(path: Path, text: bytes) -> None:
    parts = (text[i : i + 255] for i in range(0, len(text), 255))
    comment = b"\x21\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\x00"
    with path.open("r+b") as file:
        screen = file.read(13)
        start = 13 + (
            3 * 2 ** ((screen[10] & 0x07) + 1) if screen[10] & 0x80 else 0
        )  # after the shared palette
        file.seek(start)
        if file.read(len(GIF_LOOP)) == GIF_LOOP:  # some players want the loop count first
            start += 19
        _insert(file, comment, at=start)


def _insert_png_text(path: Path, metadata: Mapping[str, str]) -> None:
    chunks = b""
    for key, text in metadata.items():
        named = b"tEXt" + key.encode("latin-1") + b"\x00" + text.encode("latin-1")
        chunks += struct.pack(">I", len(named) - 4) + named + struct.pack(">I", zlib.crc32(named))
    with path.open("r+b") as file:
        _insert(file, chunks, at=PNG_AFTER_HEADER)


def _append_webp_exif(path: Path, exif: bytes) -> None:
    chunk = b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\x00" * (len(exif) % 2)
    with Image.open(path) as image:
        width, height = image.size
    with path.open("r+b") as file:
        file.seek(12)
        if (
            file.read(4) != b"VP8X"
        ):  # a single frame becomes a plain picture, without the chunk that announces EXIF
            size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
            _insert(file, b"VP8X" + struct.pack("<I", 10) + bytes(4) + size, at=12)
        file.seek(20)
        flags = file.read(1)[0]
        file.seek(20)
        file.write(bytes([flags | EXIF_FLAG]))
        end = file.seek(0, 2)
        file.write(chunk)
        file.seek(4)
        file.write(struct.pack("<I", end + len(chunk) - 8))


def _insert(file: BinaryIO, data: bytes, *, at: int) -> None:
    """Moves what follows `at` towards the end, piece by piece from behind: the file may be larger than memory."""
    position = file.seek(0, 2)
    while position > at:
        start = max(at, position - PIECE)
        file.seek(start)
        piece = file.read(position - start)
        file.seek(start + len(data))
        file.write(piece)
        position = start
    file.seek(at)
    file.write(data)
