"""One description of a graph, two files: the UI format that the browser opens and the API format that a server runs.

Names, types, defaults and the order of widgets come from the server's own /object_info, so the two cannot disagree.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from .node_schema import GraphError, InputSpec, ObjectInfo, input_specs

ROW, WIDGET_ROW, TEXT_BOX, TITLE = 20, 24, 90, 30  # heights in pixels, as the browser draws them
POSITIVE, NEGATIVE, NOTE = ("#232", "#353"), ("#322", "#533"), ("#222", "#000")  # core's colours: title, body


@dataclass(frozen=True)
class Output:
    """One output of a node, to be given as another node's input."""

    node: "Node"
    slot: int
    type: str


@dataclass(eq=False)
class Node:
    id: int
    type: str
    specs: list[InputSpec]
    outputs: list[tuple[str, str]]  # name, type
    values: dict[str, Any]  # of widgets
    links: dict[str, Output]
    pos: tuple[int, int]
    size: tuple[int, int]
    title: str
    pack: tuple[str, str]  # registry name and version
    colour: tuple[str, str] | None = None
    models: tuple[dict[str, str], ...] = ()  # public files that its widgets name

    def out(self, name: str | int = 0) -> Output:
        """An output by its name (or place)."""
        names = [output for output, _ in self.outputs]
        if isinstance(name, str) and name not in names:
            raise GraphError(f"{self.type} has no output {name!r}; it has {', '.join(names)}.")
        slot = names.index(name) if isinstance(name, str) else name
        return Output(self, slot, self.outputs[slot][1])


@dataclass
class Graph:
    """Nodes in the order in which they were added; links can only point back, so there are no cycles."""

    name: str
    object_info: ObjectInfo
    versions: dict[str, tuple[str, str]]  # python module prefix -> (registry name, version)
    nodes: list[Node] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)

    def node(
        self,
        type_: str,
        inputs: dict[str, Any] | None = None,
        *,
        pos: tuple[int, int],
        width: int = 300,
        title: str | None = None,
        colour: tuple[str, str] | None = None,
        models: tuple[dict[str, str], ...] = (),
        room: int = 0,
    ) -> Node:
        """Add a node. `inputs` are widget values or outputs of earlier nodes; the rest keeps its defaults.

        `models` says where the files that the widgets name come from (`name`, `url`, `directory`, perhaps `hash`);
        `room` is what the node needs below its widgets, in pixels, for what it shows.
        """
        if type_ not in self.object_info:
            raise GraphError(f"The server has no node {type_}.")
        info = self.object_info[type_]
        inputs = inputs or {}
        specs = input_specs(info)
        links = {name: value for name, value in inputs.items() if isinstance(value, Output)}
        values = {spec.name: spec.default for spec in specs if spec.is_widget}
        values |= {name: value for name, value in inputs.items() if name not in links}
        check_inputs(type_, specs, values, links, known_files={entry["name"] for entry in models})
        node = Node(
            id=1 + len(self.nodes) + len(self.notes),
            type=type_,
            specs=specs,
            outputs=list(zip(info["output_name"], info["output"], strict=True)),
            values=values,
            links=links,
            pos=pos,
            size=(width, height(specs, len(info["output"])) + room),
            title=title or info["display_name"] or type_,
            pack=next(
                pack for prefix, pack in self.versions.items() if info["python_module"].startswith(prefix)
            ),
            colour=colour,
            models=models,
        )
        self.nodes.append(node)
        return node

    def note(self, text: str, *, pos: tuple[int, int], size: tuple[int, int], title: str = "Note") -> None:
        """Add a Markdown note; it is only in the UI format."""
        id_ = 1 + len(self.nodes) + len(self.notes)
        note = {
            "id": id_,
            "type": "MarkdownNote",
            "pos": list(pos),
            "size": list(size),
            "flags": {},
            "mode": 0,
        }
        note |= {"inputs": [], "outputs": [], "title": title, "properties": {}, "widgets_values": [text]}
        self.notes.append(note | {"color": NOTE[0], "bgcolor": NOTE[1]})

    def group(self, title: str, *nodes: Node, margin: int = 20, colour: str = "#3f789e") -> None:
        """Draw a frame with a title around nodes."""
        left, top = (min(node.pos[axis] for node in nodes) for axis in (0, 1))
        right, bottom = (max(node.pos[axis] + node.size[axis] for node in nodes) for axis in (0, 1))
        top -= TITLE + 40  # a node's title bar stands above its position; the group's own title above that
        bounding = [left - margin, top, right - left + 2 * margin, bottom - top + margin]
        group = {"id": 1 + len(self.groups), "title": title, "bounding": bounding, "color": colour}
        self.groups.append(group | {"font_size": 24, "flags": {}})

    def api(self) -> dict[str, dict[str, Any]]:
        """The graph as `POST /prompt` takes it."""
        return {
            str(node.id): {
                "class_type": node.type,
                "inputs": {
                    spec.name: _api_value(node, spec)
                    for spec in node.specs
                    if spec.name in node.links or spec.name in node.values
                },
                "_meta": {"title": node.title},
            }
            for node in self.nodes
        }

    def ui(self) -> dict[str, Any]:
        """The workflow as the browser saves it (version 0.4)."""
        links = [
            (node, spec, node.links[spec.name])
            for node in self.nodes
            for spec in node.specs
            if spec.name in node.links
        ]
        numbers = {(node.id, spec.name): number for number, (node, spec, _) in enumerate(links, start=1)}
        leaving: dict[tuple[int, int], list[int]] = {}
        for node, spec, source in links:
            leaving.setdefault((source.node.id, source.slot), []).append(numbers[node.id, spec.name])
        drawn = [_ui_node(node, order, numbers, leaving) for order, node in enumerate(self.nodes)]
        drawn += [note | {"order": len(drawn) + i} for i, note in enumerate(self.notes)]
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"dreamoving/workflows/{self.name}")),
            "revision": 0,
            "last_node_id": len(drawn),
            "last_link_id": len(links),
            "nodes": drawn,
            "links": [
                [
                    numbers[node.id, spec.name],
                    source.node.id,
                    source.slot,
                    node.id,
                    sockets(node).index(spec),
                    source.type,
                ]
                for node, spec, source in links
            ],
            "groups": self.groups,
            "config": {},
            "extra": {"ds": {"scale": 0.6, "offset": [620, 160]}},
            "version": 0.4,
        }


def sockets(node: Node) -> list[InputSpec]:
    """The inputs that a node shows as dots, in the browser's order: real ones, then widgets that are connected."""
    real = [spec for spec in node.specs if not spec.is_widget]
    return real + [spec for spec in node.specs if spec.is_widget and spec.name in node.links]


def check_inputs(
    type_: str,
    specs: list[InputSpec],
    values: dict[str, Any],
    links: dict[str, Output],
    *,
    known_files: Collection[str] = (),
) -> None:
    """Raises GraphError for what the node would refuse. Files are others' to bring: no server need have them."""
    known = {spec.name: spec for spec in specs}
    for name in (*values, *links):
        if name not in known:
            raise GraphError(f"{type_} has no input {name!r}; it has {', '.join(known)}.")
    for name, source in links.items():
        if not {"*", source.type} & set(known[name].type.split(",")) and source.type != "*":
            raise GraphError(
                f"{type_}.{name} takes {known[name].type}, got {source.type} from {source.node.type}."
            )
    for spec in specs:
        if spec.required and spec.name not in values and spec.name not in links:
            raise GraphError(f"{type_} needs its input {spec.name!r} ({spec.type}).")
        if spec.name in values and not spec.is_widget:
            raise GraphError(f"{type_}.{spec.name} takes a link ({spec.type}), got {values[spec.name]!r}.")
        choices = None if spec.takes_uploads else spec.options.get("options")
        if (
            choices
            and values.get(spec.name) not in known_files
            and spec.name in values
            and values[spec.name] not in choices
        ):
            raise GraphError(f"{type_}.{spec.name} is one of {choices}, got {values[spec.name]!r}.")


def height(specs: list[InputSpec], outputs: int) -> int:
    widgets = [spec for spec in specs if spec.is_widget]
    rows = ROW * max(len(specs) - len(widgets), outputs)
    boxes = sum(TEXT_BOX for spec in widgets if spec.options.get("multiline"))
    return 16 + rows + boxes + WIDGET_ROW * (len(widgets) + sum(len(spec.follower) for spec in widgets))


def _api_value(node: Node, spec: InputSpec) -> Any:
    source = node.links.get(spec.name)
    return [str(source.node.id), source.slot] if source else node.values[spec.name]


def _ui_node(
    node: Node, order: int, numbers: dict[tuple[int, str], int], leaving: dict[tuple[int, int], list[int]]
) -> dict[str, Any]:
    name, version = node.pack
    inputs = []
    for spec in sockets(node):
        entry: dict[str, Any] = {
            "name": spec.name,
            "type": spec.type,
            "link": numbers.get((node.id, spec.name)),
        }
        if spec.is_widget:
            entry["widget"] = {"name": spec.name}
        elif not spec.required:
            entry["shape"] = 7  # the browser's hollow dot: optional
        inputs.append(entry)
    outputs = [
        {"name": output, "type": type_, "links": leaving.get((node.id, slot))}
        for slot, (output, type_) in enumerate(node.outputs)
    ]
    widgets: list[Any] = []
    for spec in node.specs:
        if spec.is_widget:
            widgets += [node.values[spec.name], *spec.follower]
    drawn = {"id": node.id, "type": node.type, "pos": list(node.pos), "size": list(node.size), "flags": {}}
    drawn |= {"order": order, "mode": 0, "inputs": inputs, "outputs": outputs, "title": node.title}
    properties: dict[str, Any] = {"Node name for S&R": node.type, "cnr_id": name, "ver": version}
    if node.models:
        properties["models"] = list(node.models)
    drawn |= {"properties": properties, "widgets_values": widgets}
    if node.colour:
        drawn |= {"color": node.colour[0], "bgcolor": node.colour[1]}
    return drawn
