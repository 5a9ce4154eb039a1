import json
from pathlib import Path

import pytest
from dreamoving.dreamoving_core.bridge.loading import SEARCHED
from dreamoving.dreamoving_core.catalogue.graphs import LOADERS, asked_by_graph
from dreamoving.nodes import loaders

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"


def node(kind, *values, mode=0, models=None):
    properties = {} if models is None else {"models": models}
    return {"id": 1, "type": kind, "mode": mode, "widgets_values": list(values), "properties": properties}


def test_loaders_say_which_files_a_graph_wants():
    graph = {
        "nodes": [
            node("CheckpointLoaderSimple", "dreamshaper_8.safetensors"),
            node("DreaMovingLoadMotionModel", "sub/mine.safetensors"),
            node("LoraLoader", "style.safetensors", 0.8, 1.0),
            node("KSampler", 7, "fixed", 20, "euler.safetensors"),
            node("CLIPTextEncode", "a dancer.ckpt"),
        ]
    }

    found = asked_by_graph(graph)

    assert [(asked.name, asked.folders) for asked in found] == [
        ("dreamshaper_8.safetensors", ("checkpoints",)),
        ("sub/mine.safetensors", ("animatediff_models", "dreamoving")),
        ("style.safetensors", ("loras",)),
    ]
    assert found[0].file.repo == "Lykon/DreamShaper"
    assert found[1].file is None
    assert found[0].by == "CheckpointLoaderSimple"


def test_the_api_format_says_the_same():
    graph = {
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": "vae-ft-mse-840000-ema-pruned.safetensors"}},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0], "vae": ["3", 0]}},
    }

    (asked,) = asked_by_graph(graph)

    assert (asked.folders, asked.sha256) == (("vae",), asked.file.sha256)


def test_what_a_workflow_lists_itself_counts_and_its_own_digest_comes_first():
    listed = [
        {"name": "unknown.safetensors", "url": "https://example.org/a", "directory": "loras", "hash": "ab", "hash_type": "SHA256"},
        {"name": "ip-adapter_sd15.safetensors", "url": "https://example.org/b", "directory": "ipadapter"},
    ]  # fmt: skip

    unknown, known = asked_by_graph({"nodes": [node("SomeLoader", models=listed)]})

    assert (unknown.folders, unknown.page, unknown.sha256) == (("loras",), "https://example.org/a", "ab")
    assert known.sha256 == known.file.sha256


def test_sleeping_nodes_ask_for_nothing_and_subgraphs_are_looked_into():
    graph = {
        "nodes": [node("VAELoader", "muted.pt", mode=2), node("VAELoader", "bypassed.pt", mode=4)],
        "definitions": {
            "subgraphs": [{"nodes": [node("VAELoader", "inside.pt"), node("VAELoader", "inside.pt")]}]
        },
    }

    assert [asked.name for asked in asked_by_graph(graph)] == ["inside.pt"]


@pytest.mark.parametrize(
    "graph", [{"nodes": []}, {}, {"nodes": [{"type": "Note"}]}, {"last_node_id": 3, "nodes": []}]
)
def test_a_graph_without_loaders_needs_nothing(graph):
    assert asked_by_graph(graph) == []


@pytest.mark.parametrize("path", sorted(WORKFLOWS.rglob("*.json")), ids=lambda path: path.name)
def test_every_workflow_of_ours_can_be_read(path):
    for asked in asked_by_graph(json.loads(path.read_text(encoding="utf-8"))):
        stands_in = path.parent.name == "tiny" and asked.name.startswith("tiny_random_")
        assert stands_in or asked.file is not None, f"{asked.name} is not in the catalogue"


def test_our_loaders_are_known_with_the_folders_that_they_search():
    searched = {
        node.define_schema().node_id: kind for node, kind in zip(loaders.NODES, SEARCHED, strict=True)
    }

    assert {name: LOADERS[name] for name in searched} == {
        name: SEARCHED[kind] for name, kind in searched.items()
    }
