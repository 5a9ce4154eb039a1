"""`run.py check workflows`: every file of `workflows/` and `subgraphs/` against a server's nodes and the catalogue."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..dreamoving_core.batch.client import Client
from ..dreamoving_core.catalogue.files import BY_NAME
from ..dreamoving_core.catalogue.graphs import SUFFIXES, asked_by_graph
from ..dreamoving_core.catalogue.stories import STORIES
from .blueprint_checks import blueprint_problems
from .console import say
from .demo import temporary_server
from .node_schema import ObjectInfo, input_specs
from .place import Place
from .workflow_checks import NOTES, Workflow, fits, local_paths, problems, wrong_value
from .workflows import APP, COMFYUI, pack_version


def check_workflows(place: Place) -> int:
    with temporary_server(place) as settings:
        object_info = Client(settings.url).get("/object_info")
    found = list(all_problems(place.root, object_info))
    for path, problem in found:
        say(f"{path}: {problem}")
    say(f"{len(found)} problems." if found else f"{len(files_of(place.root))} files, nothing wrong.")
    return 1 if found else 0


def files_of(root: Path) -> list[Path]:
    return sorted([*(root / "workflows").rglob("*.json"), *(root / "subgraphs").glob("*.json")])


def packs_of(root: Path) -> dict[str, tuple[str, str]]:
    """Who a node comes from, by its module's prefix: ours by pyproject.toml, all others ComfyUI's."""
    return {"custom_nodes.": ("dreamoving", pack_version(root)), "": COMFYUI}


def all_problems(root: Path, object_info: ObjectInfo) -> Iterator[tuple[str, str]]:
    """Path below the pack and what is wrong there."""
    packs = packs_of(root)
    for path in files_of(root):
        shown = path.relative_to(root).as_posix()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            yield shown, f"is no JSON: {error}"
            continue
        if path.parent.name == "subgraphs":
            found = blueprint_problems(content, object_info, packs)
        elif path.parent.name in ("api", "tiny"):
            found = api_problems(content, object_info)
        else:
            found = [*problems(content, object_info, packs), *companions(path, content, object_info)]
        for problem in found:
            yield shown, problem
    yield from (("workflows", problem) for problem in stories(root))


def stories(root: Path) -> Iterator[str]:
    """The files and the catalogue's stories are one list, and each story has its graphs for the API and for Tiny."""
    numbered = [
        path.name.split(" - ")[0].split(", no downloads")[0]
        for path in sorted((root / "workflows").glob("*.json"))
        if not path.name.endswith(APP)
    ]
    expected = [f"{number:02} {name}" for number, name in enumerate(STORIES)]
    if numbered != expected:
        yield f"the stories are {expected}, the files {numbered}"
    for folder, first in (("api", 0), ("tiny", 1)):  # the tiny demo is Tiny by itself
        found = sorted(path.name[:2] for path in (root / "workflows" / folder).glob("*.json"))
        if found != [f"{number:02}" for number in range(first, len(STORIES))]:
            yield f"{folder}/ has the graphs {found}, not one for each of {len(STORIES) - first} stories"


def companions(path: Path, workflow: Workflow, object_info: ObjectInfo) -> Iterator[str]:
    """A picture of the same name, and the same graph in API format; what the story's models are."""
    if not path.with_suffix(".jpg").is_file():
        yield f"there is no picture {path.with_suffix('.jpg').name}"
    number = path.name[:2]
    if path.name.endswith(APP):
        yield from wrong_form(workflow)
    twins = list((path.parent / "api").glob(f"{number}_*.json"))
    if len(twins) != 1:
        yield f"there are {len(twins)} graphs {number}_*.json in api/"
        return
    twin = json.loads(twins[0].read_text(encoding="utf-8"))
    if as_api(workflow, object_info) != bare(twin):
        yield f"api/{twins[0].name} is another graph"
    name = list(STORIES)[int(number)]
    wanted = {asked.name for asked in STORIES[name] if asked.folders[0] != "insightface"}
    if (asked := {one.name for one in asked_by_graph(workflow)}) != wanted:
        yield f"it asks for {sorted(asked ^ wanted)} more or less than the catalogue's story {name!r}"


def wrong_form(workflow: Workflow) -> Iterator[str]:
    """What App Mode shows must be there."""
    form = workflow["extra"].get("linearData", {})
    nodes = {str(node["id"]): node for node in workflow["nodes"]}
    if not workflow["extra"].get("linearMode") or not form.get("inputs") or not form.get("outputs"):
        yield "it is called an app, and shows no form"
    for number in (*(entry[0] for entry in form.get("inputs", [])), *form.get("outputs", [])):
        if number not in nodes:
            yield f"its form shows node {number}, which is not there"


def bare(graph: dict[str, Any]) -> dict[str, Any]:
    return {key: {"class_type": node["class_type"], "inputs": node["inputs"]} for key, node in graph.items()}


def as_api(workflow: Workflow, object_info: ObjectInfo) -> dict[str, Any]:
    """What the browser would post for a workflow: links from its table, widgets by their place."""
    links = {number: [str(source), slot] for number, source, slot, *_ in workflow["links"]}
    graph = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES or node["type"] not in object_info:
            continue
        values, inputs = list(node["widgets_values"]), {}
        for spec in input_specs(object_info[node["type"]]):
            if spec.is_widget and values:
                inputs[spec.name] = values[0]
                values = values[1 + len(spec.follower) :]
        inputs |= {entry["name"]: links.get(entry["link"]) for entry in node["inputs"] if entry["link"]}
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return graph


def api_problems(graph: dict[str, Any], object_info: ObjectInfo) -> Iterator[str]:
    """A graph in API format: nodes that there are, inputs that they have, values that they take, links that lead somewhere."""
    for key, node in graph.items():
        where = f"node {key} ({node.get('class_type')})"
        info = object_info.get(node.get("class_type", ""))
        if info is None:
            yield f"{where}: no node of this type is known"
            continue
        specs = {spec.name: spec for spec in input_specs(info)}
        if extra := set(node["inputs"]) - set(specs):
            yield f"{where}: has no inputs {sorted(extra)}"
        for spec in specs.values():
            value = node["inputs"].get(spec.name)
            if isinstance(value, list):
                yield from (
                    f"{where}: {why}" for why in wrong_link(spec.name, spec.type, value, graph, object_info)
                )
            elif spec.name not in node["inputs"]:
                if spec.required:
                    yield f"{where}: its input {spec.name} is missing"
            elif not spec.is_widget:
                yield f"{where}: {spec.name} takes a link, not {value!r}"
            else:
                brought = {value} if isinstance(value, str) and is_brought(value) else set()
                yield from (f"{where}: {why}" for why in wrong_value(spec, value, brought))
    yield from local_paths(graph)


def is_brought(value: str) -> bool:
    """Whether it names a model file that is known: the catalogue's, or one that only shows that a graph runs."""
    return value in BY_NAME or (value.startswith("tiny_random_") and value.endswith(SUFFIXES))


def wrong_link(
    name: str, type_: str, link: list[Any], graph: dict[str, Any], object_info: ObjectInfo
) -> Iterator[str]:
    source = object_info.get(graph.get(link[0], {}).get("class_type", ""))
    if source is None or link[1] >= len(source["output"]):
        yield f"{name} comes from {link[0]}:{link[1]}, which is not there"
    elif not fits(source["output"][link[1]], type_):
        yield f"{name} takes {type_}, and gets {source['output'][link[1]]}"
