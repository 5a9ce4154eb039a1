"""Runs a workflow in API format in this process: the same nodes in the same order as the server, without its queue.

The benchmarks use it to run the demo's own graph with one input changed, and to look at tensors before they are
compressed into a video.
"""

import asyncio
import copy
import inspect
import json
from pathlib import Path
from typing import Any

import torch

from ..nodes import DreaMovingExtension

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "workflows" / "api" / "00_tiny_demo.json"


def load_graph(path: Path = DEMO) -> dict:
    """A workflow in API format."""
    return json.loads(path.read_text(encoding="utf8"))


def changed(graph: dict, changes: dict[str, dict[str, Any]]) -> dict:
    """A copy with other inputs: {node class or title: {input: value}}."""
    graph = copy.deepcopy(graph)
    for name, inputs in changes.items():
        found = [n for n in graph.values() if name in (n["class_type"], n.get("_meta", {}).get("title"))]
        if not found:
            raise KeyError(
                f"no node '{name}' in the graph; there are {sorted(n['class_type'] for n in graph.values())}"
            )
        for node in found:
            node["inputs"].update(inputs)
    return graph


class GraphRunner:
    """Evaluates nodes on demand and keeps what they returned, as ComfyUI's cache does within one prompt."""

    def __init__(self) -> None:
        import nodes as core_nodes  # ComfyUI's own; the pack's `nodes` folder is not on sys.path

        self.classes = dict(core_nodes.NODE_CLASS_MAPPINGS)
        extension = DreaMovingExtension()
        asyncio.run(extension.on_load())
        for node in asyncio.run(extension.get_node_list()):
            self.classes[node.GET_SCHEMA().node_id] = node
        self.kept: dict[str, tuple] = {}

    def outputs(self, graph: dict, title: str) -> tuple:
        """What the node with this title or class returns; runs everything that it needs, once per distinct input."""
        found = [i for i, n in graph.items() if title in (n.get("_meta", {}).get("title"), n["class_type"])]
        if not found:
            raise KeyError(f"no node '{title}' in the graph")
        with torch.inference_mode():
            return self.run(graph, found[0])

    def run(self, graph: dict, node_id: str) -> tuple:
        """The outputs of one node."""
        key = self.key(graph, node_id)
        if key not in self.kept:
            inputs = {
                name: self.run(graph, value[0])[value[1]] if is_link(value) else value
                for name, value in graph[node_id]["inputs"].items()
            }
            self.kept[key] = self.call(graph[node_id]["class_type"], inputs)
        return self.kept[key]

    def key(self, graph: dict, node_id: str) -> str:
        """The same for nodes of the same class whose inputs are the same, all the way up."""
        node = graph[node_id]
        inputs = {
            n: self.key(graph, v[0]) + f"#{v[1]}" if is_link(v) else v for n, v in node["inputs"].items()
        }
        return json.dumps([node["class_type"], inputs], sort_keys=True)

    def call(self, class_type: str, inputs: dict) -> tuple:
        node = self.classes[class_type]
        if hasattr(node, "GET_SCHEMA"):
            result = node.execute(**inputs)
            if inspect.isawaitable(result):
                result = asyncio.run(result)
            return tuple(result.args)
        return getattr(node(), node.FUNCTION)(**inputs)

    def forget(self, keep: tuple[str, ...] = ()) -> None:
        """Drop what was kept, except the outputs of these node classes."""
        self.kept = {k: v for k, v in self.kept.items() if json.loads(k)[0] in keep}


def is_link(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )
