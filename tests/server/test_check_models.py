"""Check Models in a real server: it sees the graph that was posted, and the folders of that ComfyUI."""

import pytest
from dreamoving.dreamoving_core.batch.client import Client
from dreamoving.dreamoving_core.batch.server import ServerSettings

pytestmark = pytest.mark.server


def test_a_graph_is_told_what_it_lacks_and_what_is_there(client: Client, server: ServerSettings) -> None:
    folder = server.base / "models" / "checkpoints" / "mine"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "here.safetensors").touch()
    graph = {
        "1": {"class_type": "DreaMovingCheckModels", "inputs": {"story": "this graph", "verify": True}},
        "2": {"class_type": "VAELoader", "inputs": {"vae_name": "not-here.safetensors"}},
        "3": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "mine/here.safetensors"}},
    }

    (said,) = client.run(graph, limit_s=60)["outputs"]["1"]["text"]

    assert "This graph: 1 of 2 files to see to" in said
    assert "MISSING  models/vae/not-here.safetensors" in said
    assert "ok       models/checkpoints/mine/here.safetensors" in said


def test_a_story_is_answered_in_the_browser_too(client: Client) -> None:
    graph = {"1": {"class_type": "DreaMovingCheckModels", "inputs": {"story": "Few steps", "verify": False}}}

    (said,) = client.run(graph, limit_s=60)["outputs"]["1"]["text"]

    assert "https://huggingface.co/wangfuyun/AnimateLCM" in said
