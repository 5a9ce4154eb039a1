"""What can be wrong with a blueprint: the graph inside as any workflow, and its edges as the node outside shows them."""

import uuid
from collections.abc import Iterator
from typing import Any

from .blueprint import INPUTS, OUTPUTS
from .node_schema import ObjectInfo
from .workflow_checks import (
    Workflow,
    broken_links,
    local_paths,
    overlaps,
    unknown_nodes,
    wrong_groups,
    wrong_inputs,
    wrong_models,
    wrong_pack,
    wrong_values,
)


def blueprint_problems(
    content: Workflow, object_info: ObjectInfo, packs: dict[str, tuple[str, str]]
) -> Iterator[str]:
    if len(content.get("nodes", [])) != 1 or len(content.get("definitions", {}).get("subgraphs", [])) != 1:
        yield "a blueprint is one node and its definition"
        return
    (node,), (inner,) = content["nodes"], content["definitions"]["subgraphs"]
    yield from outside(node, inner, packs["custom_nodes."])
    links = [
        [link[key] for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")]
        for link in inner["links"]
    ]
    edges = [edge(INPUTS, outputs=inner["inputs"]), edge(OUTPUTS, inputs=inner["outputs"])]
    yield from unknown_nodes(inner["nodes"], object_info)
    yield from broken_links([*inner["nodes"], *edges], links)
    for child in (child for child in inner["nodes"] if child["type"] in object_info):
        info = object_info[child["type"]]
        for check in (wrong_inputs, wrong_values):
            yield from check(child, info)
        yield from wrong_models(child)
        yield from wrong_pack(child, info, packs)
    yield from overlaps(inner["nodes"])
    yield from wrong_groups(inner)
    yield from local_paths(content)


def edge(
    number: int, *, inputs: list[dict[str, Any]] | None = None, outputs: list[dict[str, Any]] | None = None
) -> Workflow:
    """One edge of a subgraph as if it were a node."""
    return {
        "id": number,
        "type": "edge",
        "inputs": [{**port, "link": next(iter(port["linkIds"]), None)} for port in inputs or []],
        "outputs": [{**port, "links": port["linkIds"]} for port in outputs or []],
    }


def outside(node: Workflow, inner: Workflow, pack: tuple[str, str]) -> Iterator[str]:
    """The node that artists see, against the definition behind it."""
    for place in (inner.get("id"), *(port["id"] for port in (*inner["inputs"], *inner["outputs"]))):
        try:
            uuid.UUID(str(place))
        except ValueError:
            yield f"id {place!r} is no UUID"
    if node["type"] != inner["id"]:
        yield f"the node is a {node['type']}, the definition {inner['id']}"
    if (node["properties"].get("cnr_id"), node["properties"].get("ver")) != pack:
        yield f"it comes from {node['properties'].get('cnr_id')}, it should be {pack}"
    for side in ("inputs", "outputs"):
        shown, behind = ([(port["name"], port["type"]) for port in part[side]] for part in (node, inner))
        if shown != behind:
            yield f"{side}: the node shows {shown}, the definition has {behind}"
        if unused := [port["name"] for port in inner[side] if not port["linkIds"]]:
            yield f"{side} {unused} lead nowhere"
    for field in ("name", "category", "description"):
        if not inner.get(field):
            yield f"it has no {field}"
    children = {str(child["id"]): child for child in inner["nodes"]}
    proxies = node["properties"].get("proxyWidgets", [])
    for number, widget in proxies:
        sockets = {entry["name"]: entry for entry in children.get(number, {}).get("inputs", [])}
        if widget not in sockets:
            yield f"the widget {widget} of node {number} is shown outside, and is not there"
    if len(proxies) != sum("widget" in port for port in node["inputs"]):
        yield f"{len(proxies)} widgets are shown outside, {sum('widget' in port for port in node['inputs'])} have a socket"
