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


def test_the_table_of_video_formats_says_what_the_code_says():
    from dreamoving.dreamoving_core.video.formats import FORMATS

    text = (PAGES / "DreaMovingVideoCombine.md").read_text(encoding="utf-8")
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    sounds = {"aac": "AAC", "libopus": "Opus", "pcm_s16le": "PCM", "flac": "FLAC", None: "no"}
    opened = {".mp4", ".webm", ".webp", ".mov", ".png"}  # what ComfyUI's frontend reads a graph from

    rows = [[cells[i] for i in (0, 1, 3, 4, 5, 6)] for cells in table[2:]]
    expected = []
    for name, row in FORMATS.items():
        file = f".{row.extension}" if row.extension else "folder"
        graph = (
            "opens the graph" if file in opened else "its first picture does" if file == "folder" else "no"
        )
        expected.append(
            [name, file, sounds[row.audio_codec], "yes" if row.alpha_format else "no", "yes", graph]
        )
    assert rows == expected
