"""What an artist opens: the template browser, and each of our workflows in both renderers."""

import json
from pathlib import Path

import numpy as np
import pytest
from one_server import PACK_NAME, ROOT
from PIL import Image

from .canvas import Canvas

pytestmark = pytest.mark.browser

# size and mean colour; the address is no help: the page keeps what it has loaded under one of its own
LOOK = """picture => {
    const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight)
    const context = canvas.getContext("2d")
    context.drawImage(picture, 0, 0)
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height)
    const mean = [0, 0, 0]
    data.forEach((value, place) => { if (place % 4 < 3) mean[place % 4] += value * 4 / data.length })
    return [canvas.width, canvas.height, ...mean]
}"""
STORIES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))


def wanted_models(workflow: dict) -> set[str]:
    """The files that the workflow's nodes name with an address, in subgraphs too."""
    nodes = [*workflow["nodes"]]
    for subgraph in workflow.get("definitions", {}).get("subgraphs", []):
        nodes += subgraph["nodes"]
    return {model["name"] for node in nodes for model in node.get("properties", {}).get("models", [])}


def wanted_media(workflow: dict) -> set[str]:
    """The loaders of pictures and clips of the artist's own, as the page names them."""
    loaders = ("LoadImage", "LoadVideo", "LoadAudio")
    return {node["title"] for node in workflow["nodes"] if node["type"] in loaders}


def look(file: Path) -> list[float]:
    """What LOOK says of a file."""
    pixels = np.asarray(Image.open(file).convert("RGB"), float)
    return [pixels.shape[1], pixels.shape[0], *pixels.mean(axis=(0, 1))]


def test_the_template_browser_lists_every_workflow_with_its_picture(blank: Canvas) -> None:
    blank.visit()
    blank.command("Comfy.BrowseTemplates")
    blank.page.get_by_role("dialog").get_by_text(PACK_NAME).first.click()

    for story in STORIES:
        card = blank.page.get_by_test_id(f"template-workflow-{story}")
        card.scroll_into_view_if_needed()
        picture = card.locator("img").first
        blank.page.wait_for_function(
            "picture => picture.complete && picture.naturalWidth > 0", arg=picture.element_handle()
        )
        # Where there is none, ComfyUI shows a picture of its own.
        assert picture.evaluate(LOOK) == pytest.approx(look(ROOT / "workflows" / f"{story}.jpg"), abs=1), (
            story
        )
    blank.picture("templates")
    cards = blank.page.locator(
        "[data-testid^=template-workflow-]:not([data-testid=template-workflows-content])"
    )
    shown = {card.get_attribute("data-testid").removeprefix("template-workflow-") for card in cards.all()}
    assert shown == set(STORIES)


def test_a_click_on_a_template_opens_it(blank: Canvas) -> None:
    blank.visit()
    blank.command("Comfy.BrowseTemplates")
    blank.page.get_by_role("dialog").get_by_text(PACK_NAME).first.click()
    blank.page.get_by_test_id(f"template-workflow-{STORIES[0]}").click()
    blank.page.wait_for_function("() => window.app.graph.nodes.length > 5")

    saved = json.loads((ROOT / "workflows" / f"{STORIES[0]}.json").read_text(encoding="utf-8"))
    assert {node["type"] for node in blank.graph()["nodes"]} == {node["type"] for node in saved["nodes"]}


@pytest.mark.parametrize("story", STORIES)
def test_a_workflow_opens_without_a_missing_node_or_an_error(
    canvas: Canvas, renderer: str, story: str
) -> None:
    saved = json.loads((ROOT / "workflows" / f"{story}.json").read_text(encoding="utf-8"))
    canvas.open_template(story)
    canvas.picture(f"{story} ({renderer})")

    opened = canvas.graph()
    assert len(opened["nodes"]) == len(saved["nodes"])
    assert len(opened["links"]) == len(saved["links"])
    unknown = canvas.do(
        """() => window.app.graph.nodes.filter(node =>
            !window.LiteGraph.registered_node_types[node.type] && !node.isSubgraphNode?.()).map(node => node.type)"""
    )
    assert unknown == []
    shown = canvas.errors_shown()
    expected = {"missing-model": wanted_models(saved), "missing-media": wanted_media(saved)}
    assert shown.keys() == {group for group, names in expected.items() if names}, shown
    for group, text in shown.items():
        assert [name for name in expected[group] if name not in text] == [], text
    # the page looks for the example files that it says are missing
    assert [said for said in canvas.complaints if "/api/view?type=input&" not in said] == []


def test_a_node_that_nobody_has_is_noticed(canvas: Canvas) -> None:
    """The test above can fail."""
    workflow = json.loads((ROOT / "workflows" / f"{STORIES[0]}.json").read_text(encoding="utf-8"))
    next(node for node in workflow["nodes"] if node["type"] == "DreaMovingSampler")["type"] = "DreaMovingGone"
    canvas.do("workflow => window.app.loadGraphData(workflow, true, true, 'broken')", workflow)

    assert "dreamoving" in canvas.errors_shown()["missing-node"]  # the pack that would have it
