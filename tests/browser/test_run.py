"""The demo as a newcomer runs it: Run, progress, previews that move, a video that plays, and the graph out of the file."""

import json
import urllib.parse
import urllib.request

import pytest
from one_server import ROOT

from .canvas import Canvas

pytestmark = pytest.mark.browser

DEMO = "00 Tiny demo, no downloads"
QUICK = {"steps": 1, "frames": 4}
SAMPLER, COMBINE = "DreaMovingSampler", "DreaMovingVideoCombine"
SEEN = """id => {
    const node = window.app.graph.getNodeById(id)
    const drawn = window.LiteGraph.vueNodesMode
        ? [...document.querySelectorAll(`[data-node-id="${id}"] img`)]
        : node.imgs ?? []
    return {
        progress: node.progress ?? null,
        bars: document.querySelectorAll(`[data-node-id="${id}"] [style*="width"]`).length,
        preview: drawn.filter(img => img.naturalWidth).map(img => [img.src, img.naturalWidth])[0] ?? null,
        text: node.widgets?.find(widget => widget.name === "$$node-text-preview")?.value ?? "",
    }
}"""
VIDEO = """() => [...document.querySelectorAll("video")].map(video =>
    ({ source: video.src, ready: video.readyState, at: video.currentTime, width: video.videoWidth }))[0] ?? null"""


def with_more_steps(canvas: Canvas) -> None:
    """The demo with a seed of its own, so that nothing is cached, and steps enough to watch."""
    canvas.do(
        """kind => {
            const node = window.app.graph.nodes.find(node => node.type === kind)
            const widget = name => node.widgets.find(widget => widget.name === name)
            widget("seed").value = Math.floor(Math.random() * 1e9)
            widget("steps").value = 6
        }""",
        SAMPLER,
    )


def test_the_demo_runs_shows_its_progress_and_plays(canvas: Canvas, renderer: str) -> None:
    canvas.open_template(DEMO)
    with_more_steps(canvas)
    sampler = canvas.node_id(SAMPLER)
    seen: list[dict] = []

    def look() -> None:
        seen.append(canvas.do(SEEN, sampler))
        if len({entry["preview"][0] for entry in seen if entry["preview"]}) == 4:
            canvas.picture(f"sampling ({renderer})")

    canvas.run()
    canvas.watch(lambda: (canvas.do(VIDEO) or {}).get("ready", 0) >= 2, each=look, seconds=600)

    assert any(0 < (entry["progress"] or 0) < 1 for entry in seen)
    previews = [entry["preview"] for entry in seen if entry["preview"]]
    assert len({source for source, _ in previews}) >= 3  # it moves
    assert {width for _, width in previews} == {512}
    assert any(" left" in entry["text"] for entry in seen)
    assert seen[-1]["text"].startswith("6 steps in ")

    canvas.select(canvas.node_id(COMBINE))
    box = canvas.page.locator("video").first.bounding_box()
    canvas.page.mouse.click(box["x"] + 0.06 * box["width"], box["y"] + box["height"] - 0.17 * box["height"])
    canvas.watch(lambda: canvas.do(VIDEO)["at"] > 0.2, each=lambda: None, seconds=60)
    canvas.picture(f"playing ({renderer})")
    assert canvas.do(VIDEO)["width"] == 256
    assert canvas.complaints == []


@pytest.fixture(scope="module")
def finished(client) -> tuple[str, bytes, dict]:
    """Name and content of an mp4 of the demo, and the workflow that was sent along."""
    graph = json.loads((ROOT / "workflows" / "api" / "00_tiny_demo.json").read_text(encoding="utf-8"))
    workflow = json.loads((ROOT / "workflows" / f"{DEMO}.json").read_text(encoding="utf-8"))
    for node in graph.values():
        node["inputs"] |= {name: value for name, value in QUICK.items() if name in node["inputs"]}
    entry = client.run(graph, workflow=workflow)
    file = next(
        item for shown in entry["outputs"].values() for item in shown.get("images", []) if item["filename"].endswith("mp4")
    )  # fmt: skip
    with urllib.request.urlopen(f"{client.url}/view?{urllib.parse.urlencode(file)}") as answer:
        return file["filename"], answer.read(), workflow


def test_a_finished_mp4_dropped_on_an_empty_canvas_brings_the_graph_back(
    canvas: Canvas, renderer: str, finished: tuple[str, bytes, dict]
) -> None:
    name, content, workflow = finished
    canvas.command("Comfy.NewBlankWorkflow")
    canvas.page.wait_for_function("() => window.app.graph.nodes.length === 0")

    canvas.drop(name, content, "video/mp4")
    canvas.page.wait_for_function("() => window.app.graph.nodes.length > 0")
    canvas.page.wait_for_timeout(1000)
    canvas.picture(f"dropped ({renderer})")

    restored = canvas.graph()
    values = {node["id"]: (node["type"], node.get("widgets_values")) for node in restored["nodes"]}
    assert values.keys() == {node["id"] for node in workflow["nodes"]}
    for node in workflow["nodes"]:
        if node["type"].startswith("DreaMoving"):
            assert values[node["id"]] == (node["type"], node.get("widgets_values"))
    assert len(restored["links"]) == len(workflow["links"])
    assert canvas.complaints == []
