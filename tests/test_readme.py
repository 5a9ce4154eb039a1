"""The README says what is there: the commands, the nodes, the files that it leads to."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def display_names() -> set[str]:
    """Of every node, from the source text of `nodes/`."""
    return {
        keyword.value.value
        for file in (ROOT / "nodes").glob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "display_name" and ast.unparse(call.func) == "io.Schema"
    }


def test_its_test_command_is_the_one_that_ci_calls():
    assert "\npython run.py test " in README
    assert re.search(r"\brun\.py test\b", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))


def test_its_table_names_every_node_as_it_is_called_and_no_other():
    table = re.search(r"\| node \| for \|\n\|.*?\n(.*?)\n\n", README, re.DOTALL).group(1)
    named = {name.strip() for row in table.splitlines() for name in row.split("|")[1].split("·")}

    assert named == display_names()


def test_every_command_that_it_shows_exists():
    usage = ast.get_docstring(ast.parse((ROOT / "run.py").read_text(encoding="utf-8")))

    for command in re.findall(r"python run\.py (\w+)", README):
        assert re.search(rf"^ +{command}\b", usage, re.MULTILINE), command


def test_every_link_leads_to_a_file():
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", README) if not link.startswith("http")]

    assert [link for link in links if not (ROOT / link).is_file()] == []
