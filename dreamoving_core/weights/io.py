"""Weight files in and out. What a file holds is decided by its bytes, never by its name.

safetensors come in through their header, PyTorch checkpoints through torch's weights-only loader alone, so that no
file can run code. Every refusal says what the file is and what to do.
"""

import json
import math
import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError
from ..file_digest import sha256_of
from .keymaps import flatten_checkpoint

MAX_HEADER = 100_000_000  # bytes; safetensors' own limit
AGAIN = "Download it again and compare its size with the one on the download page."


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """What was read: flat tensor names, and the strings that stood beside them."""

    name: str
    state_dict: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    path: Path | None = None  # where it was read from

    def sha256(self) -> str | None:
        """Of the whole file as it lies on disk, in lower case; None for one that was never there."""
        return sha256_of(self.path) if self.path is not None else None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensor name to shape, all that is needed to tell what the file is."""
        return {key: tuple(tensor.shape) for key, tensor in self.state_dict.items()}


def read_weights(path: str | os.PathLike, *, values: bool = True) -> WeightsFile:
    """Read a weight file of either container; with `values=False` the tensors stay on the meta device.

    Raises WeightsError for everything that is not a whole weight file: a missing or empty file, a web page, a Git LFS
    pointer, a download that was cut, a pickle that needs code.
    """
    path = Path(path)
    container = sniff(path)
    if container == "safetensors":
        return read_safetensors(path, values=values)
    return read_checkpoint(path, values=values)


def sniff(path: Path) -> str:
    """`safetensors` or `checkpoint`, from the first bytes."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(256)
    except FileNotFoundError:
        raise WeightsError(
            f"'{path.name}' does not exist. Check the model folders and reload the node list."
        ) from None
    except OSError as error:
        raise WeightsError(
            f"'{path.name}' cannot be read ({error.strerror}). Check the file and its rights."
        ) from error
    if size == 0:
        raise WeightsError(f"'{path.name}' is empty (0 bytes): the download never started. {AGAIN}")
    refuse_text(path.name, head)
    if head[8:9] == b"{":  # before the pickles: the length of a header may begin with their first byte
        return "safetensors"
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "checkpoint"
    if size < 9:
        raise WeightsError(f"'{path.name}' has only {size} bytes: the download was cut. {AGAIN}")
    raise WeightsError(
        f"'{path.name}' is neither a safetensors file nor a PyTorch checkpoint (it starts with {head[:8]!r}). "
        "Look for the .safetensors file on the model's page."
    )


def refuse_text(name: str, head: bytes) -> None:
    """Name the things that downloads leave in place of a model."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        raise WeightsError(
            f"'{name}' is a Git LFS pointer, a note that stands for the real file. "
            "Run `git lfs pull` in that repository, or use the download button of the model's page."
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise WeightsError(
            f"'{name}' is a web page (HTML) saved under a model's name: the link led to a page or asked for a login. "
            "Download the file itself with the button on the model's page."
        )
    if text.startswith(b"{"):
        raise WeightsError(
            f"'{name}' is a JSON text, not a model: an index, a config, or a server's error message. "
            "Download the .safetensors file beside it."
        )
    if head.startswith(b"GGUF"):
        raise WeightsError(
            f"'{name}' is a GGUF file; DreaMoving reads safetensors. Look for the unquantised model."
        )


def read_safetensors(path: Path, *, values: bool = True) -> WeightsFile:
    """Read a safetensors file after its header was found sound."""
    header = read_header(path)
    metadata = header.pop("__metadata__", {})
    try:
        blank = {key: empty_tensor(path.name, key, entry) for key, entry in header.items()}
        words = all(isinstance(value, str) for value in metadata.values())
    except (KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"'{path.name}' is damaged: its header makes no sense ({error!r}). {AGAIN}"
        ) from error
    if not words:
        raise WeightsError(f"'{path.name}' is damaged: its metadata are not words. {AGAIN}")
    if not values:
        return WeightsFile(name=path.name, state_dict=blank, metadata=metadata, path=path)

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in header}
    except (SafetensorError, KeyError, AttributeError) as error:
        raise WeightsError(f"'{path.name}' is damaged ({error}). {AGAIN}") from error
    return WeightsFile(name=path.name, state_dict=tensors, metadata=metadata, path=path)


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file, checked against the file's size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER:
            raise WeightsError(f"'{path.name}' is damaged: its header claims {length} bytes. {AGAIN}")
        text = file.read(length)
    if len(text) < length:
        raise WeightsError(
            f"'{path.name}' is truncated inside its header ({size} bytes, {length + 8} needed). {AGAIN}"
        )
    try:
        header = json.loads(text)
        spans = sorted(tuple(entry["data_offsets"]) for key, entry in header.items() if key != "__metadata__")
        gapless = all(after == before for (_, before), (after, _) in pairwise([(0, 0), *spans]))
        end = spans[-1][1] if spans else 0
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"'{path.name}' is damaged: its header cannot be read ({error}). {AGAIN}"
        ) from error
    if not gapless:
        raise WeightsError(f"'{path.name}' is damaged: its tensors overlap or leave gaps. {AGAIN}")
    whole = 8 + length + end
    if size < whole:
        raise WeightsError(f"'{path.name}' is truncated: {size:,} bytes of {whole:,}. {AGAIN}")
    if size > whole:
        raise WeightsError(
            f"'{path.name}' is damaged: {size - whole:,} bytes too many after the tensors. {AGAIN}"
        )
    return header


DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32,
    "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def empty_tensor(name: str, key: str, entry: dict) -> Tensor:
    """A tensor of the header's shape and dtype, without numbers."""
    dtype = DTYPES.get(entry.get("dtype"))
    if dtype is None:
        raise WeightsError(
            f"'{name}' holds '{key}' as {entry.get('dtype')}, which is not supported. Use an fp16 file."
        )
    shape, (start, end) = entry["shape"], entry["data_offsets"]
    sound = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not sound or end - start != math.prod(shape) * dtype.itemsize:
        raise WeightsError(
            f"'{name}' is damaged: its header gives '{key}' the shape {shape} and {end - start} bytes. {AGAIN}"
        )
    return torch.empty(shape, dtype=dtype, device="meta")


def read_checkpoint(path: Path, *, values: bool = True) -> WeightsFile:
    """Read .bin, .ckpt, .pt, .pth: torch's weights-only loader, which builds tensors and containers and nothing else."""
    refuse_archive(path)
    try:
        with path.open("rb") as file:  # given a path, torch would go by its suffix
            content = torch.load(file, map_location="cpu" if values else "meta", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(refused_pickle(path.name, str(error))) from error
    except MemoryError as error:
        raise WeightsError(
            f"'{path.name}' asks for more memory than this computer can give ({path.stat().st_size / 1e6:,.0f} MB on "
            "disk). Close other programs, or look for the fp16 .safetensors version of the model."
        ) from error
    except Exception as error:  # damaged bytes make the parser fail in any of a dozen ways
        raise WeightsError(f"'{path.name}' is truncated or damaged ({first_line(error)}). {AGAIN}") from error
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"'{path.name}' holds a {type(content).__name__}, not named tensors. Use another file."
        )
    state_dict, notes = flatten_checkpoint(content)
    if not state_dict:
        raise WeightsError(f"'{path.name}' holds no tensors. Look for the model's .safetensors file.")
    return WeightsFile(name=path.name, state_dict=state_dict, metadata=notes, path=path)


def refuse_archive(path: Path) -> None:
    """Raise WeightsError for whole ZIP files that are no checkpoints: a program, a folder that was packed."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return
    if any(name.endswith("/constants.pkl") for name in names):
        raise WeightsError(
            f"'{path.name}' is a TorchScript program, not plain tensors; DreaMoving runs no code from files. "
            "Look for the .safetensors version of the model."
        )
    if not any(name.endswith("data.pkl") for name in names):
        shown = ", ".join(names[:3]) or "nothing"
        raise WeightsError(
            f"'{path.name}' is a ZIP archive (it holds {shown}), not a model. Unpack it and choose the model in it."
        )


def refused_pickle(name: str, reason: str) -> str:
    """Why the weights-only loader refused, for the person who downloaded the file."""
    found = re.search(r"GLOBAL ([\w.]+)", reason)
    if found:
        return (
            f"'{name}' wants to run Python code when it is opened (it asks for {found.group(1)}); DreaMoving never "
            "does that. Look for the .safetensors version of the model."
        )
    return (
        f"'{name}' is a pickle that holds more than tensors, or is damaged; DreaMoving opens plain tensors only. "
        "Look for the .safetensors version of the model."
    )


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def write_weights(
    path: str | os.PathLike, state_dict: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write safetensors. The file appears under its name only when it is whole.

    Tensors are stored contiguous and on their own: safetensors refuses shared memory.
    """
    from safetensors.torch import save_file

    path = Path(path)
    part = path.with_name(path.name + ".part")
    tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in state_dict.items()}
    try:
        save_file(tensors, part, metadata=dict(metadata or {}))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
