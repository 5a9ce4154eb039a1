"""`python run.py locales`: the English texts of the nodes as ComfyUI's frontend reads them, and what translations lack.

`locales/<language>/nodeDefs.json` holds names and tooltips; `main.json` the menu's folders and our socket types. English
is written from the nodes themselves; the others are written by people who know how artists speak.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..dreamoving_core.batch.client import Client
from .console import say
from .demo import temporary_server
from .node_schema import ObjectInfo, input_specs
from .place import Place

FOLDER = "locales"
COMMAND = "python run.py locales"
ENGLISH = "en"
OURS = "DreaMoving"

NodeDefs = dict[str, dict[str, Any]]


def english(object_info: ObjectInfo) -> NodeDefs:
    """Every text of our nodes, by the keys that the frontend asks for."""
    return {node: texts(info) for node, info in object_info.items() if node.startswith(OURS)}


def texts(info: dict[str, Any]) -> dict[str, Any]:
    """One node of /object_info."""
    inputs = {
        spec.name: {"name": spec.options.get("display_name") or spec.name, "tooltip": spec.options.get("tooltip")}
        for spec in input_specs(info)
    }  # fmt: skip
    outputs = {
        str(n): {"name": name, "tooltip": tooltip}
        for n, (name, tooltip) in enumerate(zip(info["output_name"], info["output_tooltips"], strict=True))
    }
    parts = {"inputs": inputs, "outputs": outputs}
    return {
        "display_name": info["display_name"],
        "description": info["description"],
        **{key: value for key, value in parts.items() if value},
    }


def leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every text with its path, `node/inputs/name/tooltip`."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}/")
        else:
            yield f"{path}{key}", value


def read_locale(root: Path, language: str, file: str = "nodeDefs") -> dict[str, Any]:
    """One file of one language; empty when there is none."""
    path = root / FOLDER / language / f"{file}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def differences(wanted: NodeDefs, found: NodeDefs) -> dict[str, list[str]]:
    """Paths that a translation lacks, and paths of nothing that there is."""
    want, have = dict(leaves(wanted)), dict(leaves(found))
    return {
        "missing": [path for path in want if not str(have.get(path) or "").strip()],
        "left over": [path for path in have if path not in want],
    }


def write_locales(place: Place) -> int:
    """Boot a server, write English anew, and say what the translations lack; 1 when they lack something."""
    with temporary_server(place) as settings:
        wanted = english(Client(settings.url).get("/object_info"))
    folder = place.root / FOLDER
    write(folder / ENGLISH / "nodeDefs.json", wanted)
    status = 0
    for language in sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != ENGLISH):
        for kind, paths in differences(wanted, read_locale(place.root, language)).items():
            for path in paths:
                say(f"{language}, {kind}: {path}")
                status = 1
    return status


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
