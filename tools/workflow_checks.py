"""What can be wrong with a workflow file, looked for one kind after another. Each check yields sentences; none is good.

Files are checked as strangers' would be: against a server's /object_info and the catalogue, not against the code that
wrote them.
"""

import json
import re
import uuid
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

from ..dreamoving_core.catalogue.files import BY_NAME
from ..dreamoving_core.catalogue.graphs import SUFFIXES
from .node_schema import InputSpec, ObjectInfo, input_specs

Workflow = dict[str, Any]
ROOT_KEYS = {
    "id",
    "revision",
    "last_node_id",
    "last_link_id",
    "nodes",
    "links",
    "groups",
    "config",
    "extra",
    "version",
}
NODE_KEYS = {
    "id",
    "type",
    "pos",
    "size",
    "flags",
    "order",
    "mode",
    "inputs",
    "outputs",
    "title",
    "properties",
    "widgets_values",
}
NEEDED = {"nodes", "links", "groups", "last_node_id", "last_link_id"}
ALLOWED_KEYS = {"color", "bgcolor"}  # of nodes, beside those
PROPERTIES = {"Node name for S&R", "cnr_id", "ver", "models", "proxyWidgets"}
EXTRA = {"ds", "linearMode", "linearData", "BlueprintDescription", "BlueprintSearchAliases"}
NOTES = ("MarkdownNote", "Note")
HOSTS = ("https://huggingface.co/", "https://civitai.com/")  # from which ComfyUI offers to download
LOCAL_PATH = re.compile(
    r"(?:^|[\s\"'(=])(?:/(?:home|root|tmp|mnt|work|Users|workspace)/|[A-Za-z]:\\|file://)"
)
TITLE_BAR = 30  # pixels above a node's position


def problems(workflow: Workflow, object_info: ObjectInfo, packs: dict[str, tuple[str, str]]) -> Iterator[str]:
    """Everything that is wrong with a workflow in UI format. `packs`: module prefix -> registry name and version.

    Where fields are missing that the rest is read from, this is all that is said.
    """
    if lacking := NEEDED - set(workflow):
        yield f"the file lacks {sorted(lacking)}"
        return
    yield from shape(workflow)
    if any(NODE_KEYS - set(node) for node in workflow["nodes"]):
        return
    yield from unknown_nodes(workflow["nodes"], object_info)
    nodes = [node for node in workflow["nodes"] if node["type"] in object_info]
    yield from broken_links(workflow["nodes"], workflow["links"])
    for node in nodes:
        yield from wrong_inputs(node, object_info[node["type"]])
        yield from wrong_values(node, object_info[node["type"]])
        yield from wrong_models(node)
        yield from wrong_pack(node, object_info[node["type"]], packs)
    yield from overlaps(workflow["nodes"])
    yield from wrong_groups(workflow)
    yield from local_paths(workflow)


def shape(workflow: Workflow) -> Iterator[str]:
    """The fields that a file has, its numbers and its leftovers of other tools."""
    wanted = ROOT_KEYS | ({"definitions"} if "definitions" in workflow else set())
    if set(workflow) != wanted:
        yield f"the file's fields are {sorted(set(workflow) ^ wanted)} too many or too few"
    if workflow.get("version") != 0.4:
        yield f"version is {workflow.get('version')}, not 0.4"
    try:
        uuid.UUID(str(workflow.get("id")))
    except ValueError:
        yield f"id {workflow.get('id')!r} is no UUID"
    if left := set(workflow.get("extra", {})) - EXTRA:
        yield f"extra has leftovers: {sorted(left)}"
    numbers = [node["id"] for node in workflow["nodes"]]
    if len(set(numbers)) != len(numbers):
        yield "two nodes have the same id"
    if workflow["last_node_id"] < max(numbers, default=0):
        yield f"last_node_id is {workflow['last_node_id']}, below the highest node"
    if workflow["last_link_id"] < max((link[0] for link in workflow["links"]), default=0):
        yield f"last_link_id is {workflow['last_link_id']}, below the highest link"
    for node in workflow["nodes"]:
        if (set(node) - ALLOWED_KEYS) != NODE_KEYS:
            yield f"{name(node)}: fields {sorted((set(node) - ALLOWED_KEYS) ^ NODE_KEYS)} too many or too few"
        if left := set(node.get("properties", {})) - PROPERTIES:
            yield f"{name(node)}: properties has leftovers: {sorted(left)}"
        if node.get("mode") != 0:
            yield f"{name(node)}: it is muted or bypassed (mode {node.get('mode')})"


def unknown_nodes(nodes: list[Workflow], object_info: ObjectInfo) -> Iterator[str]:
    for node in nodes:
        if node["type"] not in object_info and node["type"] not in NOTES:
            yield f"{name(node)}: no node of this type is known"


def broken_links(nodes: list[Workflow], links: list[list[Any]]) -> Iterator[str]:
    """The table of links against what both ends say of it."""
    by_id = {node["id"]: node for node in nodes}
    if len({link[0] for link in links}) != len(links):
        yield "two links have the same number"
    for number, source, slot, target, socket, type_ in links:
        outputs = by_id.get(source, {}).get("outputs", [])
        inputs = by_id.get(target, {}).get("inputs", [])
        if slot >= len(outputs) or socket >= len(inputs):
            yield f"link {number} goes from {source}:{slot} to {target}:{socket}, and one of them is not there"
            continue
        if outputs[slot]["type"] != type_ or not fits(type_, inputs[socket]["type"]):
            yield f"link {number} says {type_}, from {outputs[slot]['type']} to {inputs[socket]['type']}"
        if number not in (outputs[slot]["links"] or []) or inputs[socket]["link"] != number:
            yield f"link {number}: one of its ends does not know it"
    known = {link[0] for link in links}
    for node in nodes:
        said = {entry["link"] for entry in node["inputs"]} | {
            link for output in node["outputs"] for link in output["links"] or []
        }
        if lost := said - known - {None}:
            yield f"{name(node)}: links {sorted(lost)} are not in the table"


def fits(source: str, target: str) -> bool:
    return "*" in (source, target) or bool(set(source.split(",")) & set(target.split(",")))


def wrong_inputs(node: Workflow, info: dict[str, Any]) -> Iterator[str]:
    """Sockets and outputs as the node has them, and the required ones in use."""
    specs = {spec.name: spec for spec in input_specs(info)}
    shown = {entry["name"]: entry for entry in node["inputs"]}
    if extra := set(shown) - set(specs):
        yield f"{name(node)}: has no inputs {sorted(extra)}"
    for spec in specs.values():
        entry = shown.get(spec.name)
        if spec.required and not spec.is_widget and (entry is None or entry["link"] is None):
            yield f"{name(node)}: its input {spec.name} is not connected"
        if entry and not fits(entry["type"], spec.type):
            yield f"{name(node)}: {spec.name} is {spec.type}, the file says {entry['type']}"
    said = [(output["name"], output["type"]) for output in node["outputs"]]
    if said != list(zip(info["output_name"], info["output"], strict=True)):
        yield f"{name(node)}: its outputs are {info['output_name']}, the file says {[n for n, _ in said]}"


def wrong_values(node: Workflow, info: dict[str, Any]) -> Iterator[str]:
    """One value per widget, in the browser's order, each of them allowed."""
    specs = [spec for spec in input_specs(info) if spec.is_widget]
    values, expected = node["widgets_values"], sum(1 + len(spec.follower) for spec in specs)
    if len(values) != expected:
        yield f"{name(node)}: {expected} widget values expected, {len(values)} found"
        return
    files = {entry.get("name") for entry in node["properties"].get("models", [])}
    place = 0
    for spec in specs:
        yield from (f"{name(node)}: {why}" for why in wrong_value(spec, values[place], files))
        if values[place + 1 : place + 1 + len(spec.follower)] != spec.follower:
            yield f"{name(node)}: behind {spec.name} comes {values[place + 1]!r}, not {spec.follower}"
        place += 1 + len(spec.follower)


def wrong_value(spec: InputSpec, value: Any, files: set[Any]) -> Iterator[str]:
    kind = spec.options.get("widgetType", spec.type)
    types = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool, "COMBO": (str, int, float)}
    if not isinstance(value, types[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
        yield f"{spec.name} is {value!r}, which is no {kind}"
    elif kind in ("INT", "FLOAT"):
        low, high = spec.options.get("min", value), spec.options.get("max", value)
        if not low <= value <= high:
            yield f"{spec.name} is {value}, outside {low} to {high}"
    elif kind == "COMBO" and not spec.takes_uploads and value not in files:
        choices = spec.options.get("options") or []
        is_file = isinstance(value, str) and value.endswith(SUFFIXES)
        if value not in choices and (choices or is_file):
            yield f"{spec.name} is {value!r}, which is none of {choices}"


def wrong_models(node: Workflow) -> Iterator[str]:
    """Every model file that a widget names is told where to get, as the catalogue knows it."""
    values = [
        value for value in node["widgets_values"] if isinstance(value, str) and value.endswith(SUFFIXES)
    ]
    entries = node["properties"].get("models", [])
    listed = {entry.get("name"): entry for entry in entries}
    for value in values:
        if value not in listed:
            yield f"{name(node)}: properties.models does not say where {value} comes from"
    for file, entry in listed.items():
        if file not in values:
            yield f"{name(node)}: properties.models names {file}, no widget does"
        known = BY_NAME.get(str(file))
        if known is None:
            yield f"{name(node)}: {file} is not in the catalogue"
            continue
        expected = {"name": known.name, "url": known.url, "directory": known.folder}
        expected |= {"hash": known.sha256, "hash_type": "SHA256"} if known.sha256 else {}
        if entry != expected:
            yield f"{name(node)}: properties.models says {entry} of {file}, the catalogue {expected}"
        if not entry.get("url", "").startswith(HOSTS) or "/blob/" in entry.get("url", ""):
            yield f"{name(node)}: {file} cannot be downloaded from {entry.get('url')!r}"


def wrong_pack(node: Workflow, info: dict[str, Any], packs: dict[str, tuple[str, str]]) -> Iterator[str]:
    expected = next(pack for prefix, pack in packs.items() if info["python_module"].startswith(prefix))
    said = (node["properties"].get("cnr_id"), node["properties"].get("ver"))
    if said != expected:
        yield f"{name(node)}: comes from {said}, it should be {expected}"
    if node["properties"].get("Node name for S&R") != node["type"]:
        yield f"{name(node)}: 'Node name for S&R' is {node['properties'].get('Node name for S&R')!r}"


def overlaps(nodes: list[Workflow]) -> Iterator[str]:
    for one, other in combinations(nodes, 2):
        (x, y), (w, h), (u, v), (p, q) = one["pos"], one["size"], other["pos"], other["size"]
        if not (x + w <= u or u + p <= x or y + h <= v - TITLE_BAR or v + q <= y - TITLE_BAR):
            yield f"{name(one)} and {name(other)} overlap"


def wrong_groups(workflow: Workflow) -> Iterator[str]:
    """Numbered from 1, from left to right, apart, and every node but notes in one."""
    groups = workflow["groups"]
    for place, group in enumerate(groups, start=1):
        if not re.match(rf"Step {place} - \w", group["title"]):
            yield f"group {place} is called {group['title']!r}, not 'Step {place} - ...'"
    for left, right in pairwise(groups):
        if left["bounding"][0] + left["bounding"][2] > right["bounding"][0]:
            yield f"group {right['title']!r} begins before {left['title']!r} ends"
    for node in workflow["nodes"]:
        if node["type"] not in NOTES and sum(holds(group["bounding"], node) for group in groups) != 1:
            yield f"{name(node)}: it is not in exactly one group"


def holds(bounding: list[float], node: Workflow) -> bool:
    x, y, width, height = bounding
    (left, top), (w, h) = node["pos"], node["size"]
    return x <= left and left + w <= x + width and y <= top - TITLE_BAR and top + h <= y + height


def local_paths(content: Any) -> Iterator[str]:
    for text in re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(content)):
        said = json.loads(f'"{text}"')
        if LOCAL_PATH.search(said):
            yield f"a path of somebody's computer: {said[:80]!r}"


def name(node: Workflow) -> str:
    return f"node {node['id']} ({node['type']})"
