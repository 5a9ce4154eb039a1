"""Where a result comes from, for the file that holds it: version of the pack, model files, seeds and how noise is drawn."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import folder_paths

from ..catalogue.files import FILES
from ..version import VERSION

SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
SEEDS = ("seed", "noise_seed")
SEED_RULE = (
    "Frames draw from one generator on the CPU that is seeded once: independent noise gives frame i the i-th draw, "
    "shared noise gives the first draw to every frame."
)


def provenance(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """What `prompt`, a graph in API format, says about a result, ready for JSON."""
    return {
        "pack": "dreamoving",
        "version": VERSION,
        "models": list(_models(prompt)),
        "seeds": list(_seeds(prompt)),
        "seed_rule": SEED_RULE,
    }


def _models(prompt: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each model file once: name, bytes, and its SHA-256 where the catalogue knows a file of this name and size.

    Files are not read for this: a checkpoint would take seconds in every run.
    """
    seen = set()
    for _, kind, inputs in _nodes(prompt):
        for name, value in inputs.items():
            if not isinstance(value, str) or not value.lower().endswith(SUFFIXES) or value in seen:
                continue
            seen.add(value)
            model: dict[str, Any] = {"name": value, "node": kind, "input": name}
            size = _size(value)
            if size is not None:
                model["bytes"] = size
                known = _catalogued(value, size)
                if known:
                    model |= {"sha256": known, "sha256_by": "name and size in the pack's catalogue"}
            yield model


def _seeds(prompt: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, kind, inputs in _nodes(prompt):
        for name in SEEDS:
            if isinstance(inputs.get(name), int):
                noise = {"noise": inputs["noise"]} if isinstance(inputs.get("noise"), str) else {}
                yield {"node": kind, "id": number, "seed": inputs[name], **noise}


def _nodes(prompt: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for number, node in prompt.items():
        if isinstance(node, Mapping) and isinstance(node.get("inputs"), Mapping):
            yield str(number), str(node.get("class_type", "")), node["inputs"]


def _size(name: str) -> int | None:
    """Bytes of the first file called so in any of ComfyUI's model folders."""
    for folder in folder_paths.folder_names_and_paths:
        path = folder_paths.get_full_path(folder, name)
        if path:
            return os.path.getsize(path)
    return None


def _catalogued(name: str, size: int) -> str | None:
    base = os.path.basename(name.replace("\\", "/"))
    return next((file.sha256 for file in FILES if base in file.names and file.size == size), None)
