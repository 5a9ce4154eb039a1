"""The help pages that ComfyUI shows for a node, beside the nodes themselves."""

import asyncio
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2] / "web" / "docs"


def schemas():
    from dreamoving.nodes import DreaMovingExtension

    nodes = asyncio.run(DreaMovingExtension().get_node_list())
    return {schema.node_id: schema for schema in (node.GET_SCHEMA() for node in nodes)}


def test_every_node_has_a_page_and_every_page_a_node():
    assert {page.stem for page in PAGES.glob("*.md")} == set(schemas())


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_opens_with_the_nodes_name_and_explains_inputs_that_exist(page):
    text, schema = page.read_text(encoding="utf-8"), schemas()[page.stem]
    explained = {
        name
        for bold in re.findall(r"^- \*\*(`.+?`)\*\*", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", bold)
    }
    slots = {slot.id for slot in [*schema.inputs, *schema.outputs]}

    assert text.startswith(f"# {schema.display_name}\n")
    assert explained <= slots
