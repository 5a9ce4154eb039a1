"""A clean ComfyUI with the pack: every node is there, the template is listed, the demo's graph gives its video."""

import json
import re
from pathlib import Path

import pytest
from dreamoving.benchmarks.demo_report import result_frames
from dreamoving.benchmarks.scores import scorecard, truth_of
from dreamoving.dreamoving_core.batch.client import Client, Step, output_files
from dreamoving.dreamoving_core.batch.server import ServerSettings
from dreamoving.tools.demo import DEMO_SEED
from one_server import PACK_NAME, ROOT

from .conftest import cached_nodes

pytestmark = pytest.mark.server


def test_the_server_offers_every_node_of_the_pack(object_info: dict, server: ServerSettings) -> None:
    written = {
        node
        for path in (ROOT / "nodes").glob("*.py")
        for node in re.findall(r'node_id="(\w+)"', path.read_text(encoding="utf-8"))
    }

    offered = {
        name for name, info in object_info.items() if info["python_module"] == f"custom_nodes.{PACK_NAME}"
    }

    assert "DreaMovingSampler" in written
    assert offered == written, server.log.read_text(encoding="utf-8")[-3000:]


def test_the_template_browser_lists_the_first_workflow(client: Client) -> None:
    templates = client.get("/api/workflow_templates")

    assert any(name.startswith("00") for name in templates[PACK_NAME])


def test_the_demo_graph_posted_as_it_is_gives_a_video(client: Client, tmp_path: Path) -> None:
    graph = json.loads((ROOT / "workflows" / "api" / "00_tiny_demo.json").read_text(encoding="utf-8"))
    steps: list[Step] = []

    entry = client.run(graph, on_step=steps.append)
    (video,) = [file for file in output_files(entry) if file.filename.endswith(".mp4")]
    client.download(video, tmp_path / "dance.mp4")

    assert {step.node for step in steps} | cached_nodes(entry) == set(graph)
    sampling = [
        step for step in steps if graph[step.node]["class_type"] == "DreaMovingSampler" and step.total
    ]
    assert sampling[-1].value == sampling[-1].total
    truth = truth_of(DEMO_SEED, frames=32)
    result = result_frames(tmp_path / "dance.mp4", size=128)
    assert result.shape == truth.clip.images.shape
    scores = scorecard(result, truth, background=truth.background)
    assert scores["psnr_person"] > 13  # the right person in the right pose; noise has 9, another pose 12
    assert scores["pose_iou"] > 1.2 * scores["pose_iou_other_pose"]
