"""A stage as one node: a subgraph that ComfyUI offers among its blueprints, written as the browser saves it."""

import uuid
from typing import Any

from .graph import Graph, Node, Output
from .layout import Steps

INPUTS, OUTPUTS = -10, -20  # the numbers of a subgraph's two edges
EDGE = 160  # pixels: how wide they are drawn
ROW = 20


class Blueprint:
    """Describe the stage with `steps`; `port` is what comes in, `expose` what can be set, `give` what goes out."""

    def __init__(self, graph: Graph, *, category: str, about: str, aliases: tuple[str, ...] = ()) -> None:
        self.graph, self.steps = graph, Steps(graph)
        self.category, self.about, self.aliases = category, about, aliases
        self.edge = Node(
            id=INPUTS, type="", specs=[], outputs=[], values={}, links={}, pos=(0, 0), size=(EDGE, 0), title="",
            pack=("", ""),
        )  # fmt: skip
        self.given: list[tuple[str, Output]] = []
        self.exposed: list[tuple[Node, str]] = []

    def port(self, name: str, type_: str) -> Output:
        self.edge.outputs.append((name, type_))
        return Output(self.edge, len(self.edge.outputs) - 1, type_)

    def expose(self, node: Node, widget: str, name: str) -> None:
        """Let a widget of an inner node be set on the outside; its value here is the default."""
        (spec,) = (spec for spec in node.specs if spec.name == widget)
        node.links[widget] = self.port(name, spec.options.get("widgetType", spec.type))
        self.exposed.append((node, widget))

    def give(self, name: str, output: Output) -> None:
        self.given.append((name, output))

    def ui(self) -> dict[str, Any]:
        """The file: one node, and the definition of what is in it."""
        inner = self.definition()
        widgets = dict(zip(self._exposed_ports(), self.exposed, strict=True))
        inputs: list[dict[str, Any]] = []
        for place, (name, type_) in enumerate(self.edge.outputs):
            entry: dict[str, Any] = {"name": name, "type": type_, "link": None}
            if place in widgets:
                entry["widget"] = {"name": name}
            inputs.append(entry)
        outputs = [{"name": name, "type": output.type, "links": None} for name, output in self.given]
        pack, version = self.graph.versions["custom_nodes."]
        node = {
            "id": 1,
            "type": inner["id"],
            "pos": [0, 0],
            "size": [400, 60 + ROW * 2 * len(inputs)],
            "flags": {},
        }
        node |= {"order": 0, "mode": 0, "inputs": inputs, "outputs": outputs, "title": self.graph.name}
        proxies = [[str(inside.id), widget] for inside, widget in self.exposed]
        node |= {
            "properties": {"proxyWidgets": proxies, "cnr_id": pack, "ver": version},
            "widgets_values": [],
        }
        extra = {"BlueprintDescription": self.about, "BlueprintSearchAliases": list(self.aliases)}
        return {
            "id": named(self.graph.name, "file"), "revision": 0, "last_node_id": 1, "last_link_id": 0, "nodes": [node],
            "links": [], "groups": [], "definitions": {"subgraphs": [inner]}, "config": {}, "extra": extra, "version": 0.4,
        }  # fmt: skip

    def _exposed_ports(self) -> list[int]:
        return [node.links[widget].slot for node, widget in self.exposed]

    def definition(self) -> dict[str, Any]:
        drawn = self.graph.ui()
        links = [
            {"id": number, "origin_id": source, "origin_slot": slot, "target_id": target, "target_slot": socket, "type": type_}
            for number, source, slot, target, socket, type_ in drawn["links"]
        ]  # fmt: skip
        nodes = {node["id"]: node for node in drawn["nodes"]}
        last = drawn["last_link_id"]
        outputs = []
        for place, (name, output) in enumerate(self.given):
            last += 1
            shown = nodes[output.node.id]["outputs"][output.slot]
            shown["links"] = [*(shown["links"] or []), last]
            ends = {
                "origin_id": output.node.id,
                "origin_slot": output.slot,
                "target_id": OUTPUTS,
                "target_slot": place,
            }
            links.append({"id": last, **ends, "type": output.type})
            outputs.append(
                {
                    "id": named(self.graph.name, f"out {name}"),
                    "name": name,
                    "type": output.type,
                    "linkIds": [last],
                }
            )
        inputs = [
            {
                "id": named(self.graph.name, f"in {name}"), "name": name, "type": type_,
                "linkIds": [link["id"] for link in links if (link["origin_id"], link["origin_slot"]) == (INPUTS, place)],
            }
            for place, (name, type_) in enumerate(self.edge.outputs)
        ]  # fmt: skip
        right = max(node.pos[0] + node.size[0] for node in self.graph.nodes)
        for place, port in enumerate(inputs):
            port["pos"] = [-EDGE - 60, 20 + ROW * place]
        for place, port in enumerate(outputs):
            port["pos"] = [right + 140, 20 + ROW * place]
        state = {"lastGroupId": len(drawn["groups"]), "lastNodeId": drawn["last_node_id"], "lastLinkId": last}
        return {
            "id": named(self.graph.name, "subgraph"), "version": 1, "state": state | {"lastRerouteId": 0}, "revision": 0,
            "config": {}, "name": self.graph.name,
            "inputNode": {"id": INPUTS, "bounding": [-EDGE - 200, 0, EDGE, 40 + ROW * len(inputs)]},
            "outputNode": {"id": OUTPUTS, "bounding": [right + 120, 0, EDGE, 40 + ROW * len(outputs)]},
            "inputs": inputs, "outputs": outputs, "widgets": [], "nodes": drawn["nodes"], "groups": drawn["groups"],
            "links": links, "extra": {}, "category": self.category, "description": self.about,
        }  # fmt: skip


def named(*words: str) -> str:
    """A UUID that is the same every time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("dreamoving/subgraphs", *words))))
