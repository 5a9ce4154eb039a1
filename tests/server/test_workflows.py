"""The files of `workflows/` are what their description emits, and the two formats of a graph say the same."""

import json

import pytest
from dreamoving.dreamoving_core.batch.client import Client
from dreamoving.tools.demo import DEMO_GRAPH, DEMO_SEED, DEMO_WORKFLOW, with_seed, workflow_with_seed
from dreamoving.tools.stories.stages import STAGES
from dreamoving.tools.workflows import emit
from one_server import PACK_NAME, ROOT

pytestmark = pytest.mark.server

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def read(path: str) -> dict:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def as_api(ui: dict, object_info: dict) -> dict:
    """What the browser would post for a workflow: links from the link table, widgets by their place. Ours, from scratch."""
    links = {number: [str(source), slot] for number, source, slot, *_ in ui["links"]}
    graph = {}
    for node in ui["nodes"]:
        if node["type"] == "MarkdownNote":
            continue
        values, inputs = list(node["widgets_values"]), {}
        described = object_info[node["type"]]["input"]
        for name, (kind, *rest) in {**described.get("required", {}), **described.get("optional", {})}.items():
            options = rest[0] if rest else {}
            if (isinstance(kind, list) or options.get("widgetType", kind) in WIDGETS) and not options.get(
                "forceInput"
            ):
                inputs[name] = values.pop(0)
                if options.get("control_after_generate", name in ("seed", "noise_seed")):
                    assert values.pop(0) == "fixed"
        assert values == [], f"{node['type']} has more values than widgets"
        inputs |= {entry["name"]: links[entry["link"]] for entry in node["inputs"] if entry["link"]}
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return graph


def test_the_committed_files_are_what_the_description_emits(object_info: dict) -> None:
    for path, text in emit(object_info, ROOT).items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path}: run `python run.py workflows`"


def test_the_workflow_of_the_browser_and_the_graph_of_the_api_are_the_same(object_info: dict) -> None:
    api = read(DEMO_GRAPH)
    bare = {
        node: {"class_type": content["class_type"], "inputs": content["inputs"]}
        for node, content in api.items()
    }

    assert as_api(read(DEMO_WORKFLOW), object_info) == bare


def test_another_seed_changes_both_formats_alike(object_info: dict) -> None:
    graph = with_seed(read(DEMO_GRAPH), 4711)
    workflow = as_api(workflow_with_seed(read(DEMO_WORKFLOW), 4711), object_info)

    seeds = [content["inputs"]["seed"] for content in graph.values() if "seed" in content["inputs"]]
    assert len(seeds) >= 2
    assert set(seeds) == {4711} != {DEMO_SEED}
    assert {node: content["inputs"] for node, content in graph.items()} == {
        node: content["inputs"] for node, content in workflow.items()
    }


def test_comfyui_lists_every_workflow_and_its_picture(client: Client) -> None:
    listed = set(client.get("/api/workflow_templates")[PACK_NAME])

    assert listed == {path.stem for path in (ROOT / "workflows").glob("*.json")}
    assert {path.stem for path in (ROOT / "workflows").glob("*.jpg")} == listed


def test_comfyui_lists_every_blueprint_and_gives_it_whole(client: Client) -> None:
    listed = {
        entry["name"]: number
        for number, entry in client.get("/global_subgraphs").items()
        if entry["info"]["node_pack"] == f"custom_nodes.{PACK_NAME}"
    }

    assert set(listed) == {stage.name for stage in STAGES}
    for name, number in listed.items():
        assert json.loads(client.get(f"/global_subgraphs/{number}")["data"]) == read(f"subgraphs/{name}.json")
