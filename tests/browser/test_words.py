"""Help and translations, as the page shows them."""

import json

import pytest
from dreamoving.dreamoving_core.batch.client import Client
from one_server import PACK_NAME, ROOT

from .canvas import Canvas
from .conftest import RENDERERS

pytestmark = pytest.mark.browser

HELP = ROOT / "web" / "docs"


def our_nodes(client: Client) -> dict[str, dict]:
    return {
        kind: info
        for kind, info in client.get("/object_info").items()
        if info["python_module"] == f"custom_nodes.{PACK_NAME}"
    }


def add(canvas: Canvas, kind: str) -> int:
    return canvas.do(
        """kind => {
            window.app.graph.clear()
            const node = window.LiteGraph.createNode(kind)
            window.app.graph.add(node)
            return node.id
        }""",
        kind,
    )


def headings(text: str) -> list[str]:
    lines = [line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")]
    return [line.replace("`", "").replace("*", "") for line in lines]


def test_help_opens_for_every_node(canvas: Canvas, renderer: str, client: Client) -> None:
    for kind in our_nodes(client):
        canvas.select(add(canvas, kind))
        page = canvas.page
        page.get_by_test_id("info-button").click()
        wanted = headings((HELP / f"{kind}.md").read_text(encoding="utf-8"))
        help = page.locator(".node-help-content").first
        help.locator("h1", has_text=wanted[0]).wait_for()
        shown = [heading.inner_text().strip() for heading in help.locator("h1, h2, h3").all()]
        assert [heading for heading in wanted if heading not in shown] == [], kind
        for picture in help.locator("img").all():
            picture.scroll_into_view_if_needed()
            page.wait_for_function(
                "picture => picture.complete && picture.naturalWidth > 0", arg=picture.element_handle()
            )
        page.get_by_test_id("panel-tab-parameters").click()
    canvas.picture(f"help ({renderer})")
    broken = [said for said in canvas.complaints if "404" not in said]  # it asks for en.md first, always
    assert broken == []


def test_the_chinese_interface_shows_our_translations(blank: Canvas, renderer: str, client: Client) -> None:
    canvas = blank
    translated = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    canvas.settings(Locale="zh", VueNodes_Enabled=RENDERERS[renderer])
    canvas.visit()

    for kind, info in our_nodes(client).items():
        add(canvas, kind)
        shown = canvas.do(
            """() => {
                const node = window.app.graph.nodes[0]
                const named = [...(node.inputs ?? []), ...(node.outputs ?? []), ...(node.widgets ?? [])]
                return { title: node.title, labels: named.map(entry => entry.label ?? entry.localized_name ?? entry.name) }
            }"""
        )
        assert shown["title"] == translated[kind]["display_name"] != info["display_name"], kind
        names = {entry["name"] for entry in translated[kind].get("inputs", {}).values() if "name" in entry}
        assert names <= set(shown["labels"]), kind
    canvas.picture(f"zh ({renderer})")
    canvas.open_template("00 Tiny demo, no downloads")
    canvas.picture(f"zh, demo ({renderer})")
