from pathlib import Path

import pytest
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights import format_table
from dreamoving.dreamoving_core.weights.format_rows import ROWS
from dreamoving.nodes import loaders

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "weights.md"


def test_the_document_says_what_the_registry_says():
    text = DOCUMENT.read_text(encoding="utf-8")

    assert format_table.with_table(text) == text, (
        "run: python -m dreamoving_core.weights formats docs/weights.md"
    )


def test_every_format_has_its_line():
    lines = format_table.table().splitlines()

    for row in ROWS:
        found = [line for line in lines if line.startswith(f"| `{row.kind}` | {row.title} |")]
        assert found, row.kind
        assert (row.node or row.remedy) in found[0]


def test_the_nodes_that_the_registry_names_are_in_the_menu():
    menu = {node.define_schema().display_name for node in loaders.NODES}

    assert {row.node for row in ROWS if row.node} <= menu


def test_every_row_can_be_shown_to_a_person():
    for row in ROWS:
        assert row.title.startswith(("a ", "an ")), row.title
        assert row.evidence, row.kind
        assert row.node or row.remedy.endswith("."), row.kind


def test_versions_of_motion_models_come_from_the_code_that_decides_them():
    table = format_table.table()

    assert "| no | 24 | AnimateDiff v1 | linear | across frames |" in table
    assert "| yes | none | AnimateLCM | lcm | within each frame |" in table


def test_a_table_that_has_grown_old_is_renewed_and_nothing_else_changes(tmp_path):
    page = tmp_path / "weights.md"
    page.write_text(f"before\n{format_table.BEGIN}\nold\n{format_table.END}\nafter\n", encoding="utf-8")

    assert format_table.write_table(page) == [f"weights.md renewed from {len(ROWS)} formats."]
    assert format_table.write_table(page) == ["weights.md is as the registry says."]

    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text.split()
    assert format_table.table() in text


@pytest.mark.parametrize(
    ("text", "message"),
    [("no marks", "no place for the table: put the lines"), (None, "cannot be read .* Check the path")],
)
def test_a_page_without_a_place_is_refused(tmp_path, text, message):
    page = tmp_path / "weights.md"
    if text is not None:
        page.write_text(text, encoding="utf-8")

    with pytest.raises(WeightsError, match=message):
        format_table.write_table(page)
