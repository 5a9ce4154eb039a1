"""`run.py check workflows` without a server: a small pack of workflows is right, and breaking any one thing is found.

Nodes are described here as a server would; the files are written by the code that writes the real ones. The last test
reads the checkers' own source: a check that nothing here breaks fails it.
"""

import ast
import copy
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dreamoving.dreamoving_core.catalogue.stories import MOTION, STORIES
from dreamoving.tools import blueprint_checks, check_workflows, workflow_checks
from dreamoving.tools.blueprint import Blueprint
from dreamoving.tools.graph import Graph
from dreamoving.tools.layout import Steps
from dreamoving.tools.stories.kit import known_file
from dreamoving.tools.workflows import APP, COMFYUI

Break = Callable[[Any], Any]
PACKS = {"custom_nodes.": ("dreamoving", "1.0.0"), "": COMFYUI}


def described(module: str, *, outputs: dict[str, str], **inputs: Any) -> dict:
    return {
        "input": {"required": inputs}, "output": list(outputs.values()), "output_name": list(outputs), "python_module": module,
        "display_name": module,
    }  # fmt: skip


OBJECT_INFO = {
    "Load": described("nodes", outputs={"MODEL": "MODEL"}, file=["COMBO", {"options": ["none"]}]),
    "DreaMovingMake": described(
        "custom_nodes.dreamoving", outputs={"frames": "IMAGE", "rate": "FLOAT"}, model=["MODEL"], seed=["INT", {}],
        steps=["INT", {"min": 1, "max": 100, "default": 20}], method=["COMBO", {"options": ["fast", "good"]}],
        text=["STRING", {}], loud=["BOOLEAN", {}],
    ),
    "Save": described("nodes", outputs={}, images=["IMAGE"], prefix=["STRING", {"default": "dance"}]),
}  # fmt: skip


def graph_of(files: tuple = (MOTION,), *, name: str = "small") -> Graph:
    """Loaders, one node of ours, a saver: two numbered steps and a note."""
    graph = Graph(name, OBJECT_INFO, PACKS)
    steps = Steps(graph)
    with steps.step("Models") as column:
        column.node("Load")
        for asked in files:
            column.node("Load", {"file": asked.name}, models=(known_file(asked),))
    with steps.step("Make") as column:
        made = column.node("DreaMovingMake", {"model": graph.nodes[0].out()})
        column.node("Save", {"images": made.out("frames")})
    steps.note("Words")
    return graph


def node(workflow: dict, type_: str, *, place: int = 0) -> dict:
    return [found for found in workflow["nodes"] if found["type"] == type_][place]


def values(workflow: dict) -> list:
    return node(workflow, "DreaMovingMake")["widgets_values"]  # seed, its control, steps, method, text, loud


def models(workflow: dict) -> list:
    return node(workflow, "Load", place=1)["properties"]["models"]


UNKNOWN = {
    "name": "my.safetensors",
    "url": "https://huggingface.co/a/b/resolve/main/my.safetensors",
    "directory": "x",
}
WORKFLOW: dict[str, tuple[Break, str]] = {
    "no nodes": (lambda w: w.pop("nodes"), r"the file lacks \['nodes'\]"),
    "a field too many": (lambda w: w.update(reroutes=[]), r"fields are \['reroutes'\]"),
    "a version": (lambda w: w.update(version=1), r"version is 1, not 0\.4"),
    "an id": (lambda w: w.update(id="mine"), r"id 'mine' is no UUID"),
    "leftovers": (lambda w: w["extra"].update(VHS=True), r"extra has leftovers: \['VHS'\]"),
    "an id twice": (lambda w: w["nodes"][1].update(id=1), r"two nodes have the same id"),
    "the last node": (lambda w: w.update(last_node_id=1), r"last_node_id is 1, below"),
    "the last link": (lambda w: w.update(last_link_id=0), r"last_link_id is 0, below"),
    "a node's field": (lambda w: w["nodes"][0].pop("widgets_values"), r"fields \['widgets_values'\] too many or too few"),
    "a node's leftovers": (lambda w: w["nodes"][0]["properties"].update(ue=1), r"properties has leftovers: \['ue'\]"),
    "a bypassed node": (lambda w: w["nodes"][0].update(mode=4), r"muted or bypassed \(mode 4\)"),
    "a node that nobody has": (lambda w: node(w, "Save").update(type="X"), r"\(X\): no node of this type is known"),
    "a link twice": (lambda w: w["links"].append(list(w["links"][0])), r"two links have the same number"),
    "a link to nowhere": (lambda w: w["links"][0].__setitem__(3, 99), r"and one of them is not there"),
    "a link's type": (lambda w: w["links"][0].__setitem__(5, "LATENT"), r"link 1 says LATENT, from MODEL"),
    "a link into another type": (
        lambda w: node(w, "DreaMovingMake")["inputs"][0].update(type="VAE"), r"link 1 says MODEL, from MODEL to VAE",
    ),
    "a link that one end forgot": (lambda w: w["nodes"][0]["outputs"][0].update(links=[]), r"one of its ends does not know"),
    "a link that the table forgot": (lambda w: w["links"].pop(0), r"links \[1\] are not in the table"),
    "an input too many": (
        lambda w: node(w, "Save")["inputs"].append({"name": "tile", "type": "INT", "link": None}), r"has no inputs \['tile'\]",
    ),
    "a required input": (lambda w: node(w, "Save")["inputs"][0].update(link=None), r"its input images is not connected"),
    "an input's type": (
        lambda w: node(w, "Save")["inputs"][0].update(type="MASK"), r"images is IMAGE, the file says MASK",
    ),
    "an output": (lambda w: node(w, "DreaMovingMake")["outputs"].pop(), r"its outputs are \['frames', 'rate'\], the file says"),
    "a value too few": (lambda w: values(w).pop(), r"6 widget values expected, 5 found"),
    "a value too many": (lambda w: values(w).append(1), r"6 widget values expected, 7 found"),
    "what follows the seed": (lambda w: values(w).__setitem__(1, "randomize"), r"behind seed comes 'randomize'"),
    "a value of another kind": (lambda w: values(w).__setitem__(2, "many"), r"steps is 'many', which is no INT"),
    "a truth for a number": (lambda w: values(w).__setitem__(2, True), r"steps is True, which is no INT"),
    "a number for a truth": (lambda w: values(w).__setitem__(5, 1), r"loud is 1, which is no BOOLEAN"),
    "a value out of range": (lambda w: values(w).__setitem__(2, 101), r"steps is 101, outside 1 to 100"),
    "a choice": (lambda w: values(w).__setitem__(3, "best"), r"method is 'best', which is none of \['fast', 'good'\]"),
    "a model without its source": (
        lambda w: node(w, "Load", place=1)["properties"].pop("models"), r"does not say where v3_sd15_mm\.ckpt comes from",
    ),
    "a model that no widget names": (lambda w: models(w).append(UNKNOWN), r"names my\.safetensors, no widget does"),
    "a model that nobody knows": (lambda w: models(w).append(UNKNOWN), r"my\.safetensors is not in the catalogue"),
    "a model's name": (lambda w: models(w)[0].pop("directory"), r"properties\.models says .* the catalogue"),
    "a model's digest": (lambda w: models(w)[0].update(hash="00"), r"properties\.models says .* the catalogue"),
    "a model's page": (
        lambda w: models(w)[0].update(url="https://huggingface.co/guoyww/animatediff/blob/main/x"), r"cannot be downloaded from",
    ),
    "a node's pack": (lambda w: node(w, "DreaMovingMake")["properties"].pop("cnr_id"), r"comes from \(None, '1\.0\.0'\)"),
    "a pack's version": (lambda w: node(w, "Save")["properties"].update(ver="x"), r"comes from \('comfy-core', 'x'\)"),
    "a node's own name": (
        lambda w: node(w, "Save")["properties"].update({"Node name for S&R": "X"}), r"'Node name for S&R' is 'X'",
    ),
    "a node on another": (lambda w: w["nodes"][1].update(pos=list(w["nodes"][0]["pos"])), r"node 2 \(Load\) overlap"),
    "a group's number": (lambda w: w["groups"][1].update(title="Make"), r"group 2 is called 'Make', not 'Step 2"),
    "groups in another order": (lambda w: w["groups"][0]["bounding"].__setitem__(0, 5000), r"begins before 'Step 1"),
    "a node outside its group": (lambda w: node(w, "Save")["pos"].__setitem__(1, 4000), r"not in exactly one group"),
    "a path of Windows": (lambda w: values(w).__setitem__(4, "C:\\Users\\me"), r"a path of somebody's computer: 'C:"),
    "a path of Linux": (lambda w: values(w).__setitem__(4, "see /home/me/x"), r"a path of somebody's computer: 'see /home"),
    "a path as an address": (lambda w: values(w).__setitem__(4, "file:///x"), r"a path of somebody's computer: 'file:"),
}  # fmt: skip


@pytest.fixture(scope="module")
def workflow() -> dict:
    return graph_of().ui()


def test_a_workflow_of_ours_is_right(workflow):
    assert list(workflow_checks.problems(workflow, OBJECT_INFO, PACKS)) == []


def found_in_workflow(break_: Break) -> list[str]:
    broken = graph_of().ui()
    break_(broken)
    return list(workflow_checks.problems(broken, OBJECT_INFO, PACKS))


@pytest.mark.parametrize("name", WORKFLOW)
def test_one_thing_broken_in_a_workflow_is_found(name):
    break_, message = WORKFLOW[name]

    found = found_in_workflow(break_)

    assert any(re.search(message, problem) for problem in found), found


API: dict[str, tuple[Break, str]] = {
    "a node that nobody has": (lambda g: g["1"].update(class_type="X"), r"node 1 \(X\): no node of this type"),
    "an input too many": (lambda g: g["1"]["inputs"].update(size=3), r"has no inputs \['size'\]"),
    "a missing input": (lambda g: g["3"]["inputs"].pop("steps"), r"its input steps is missing"),
    "a link to nowhere": (lambda g: g["3"]["inputs"].update(model=["99", 0]), r"model comes from 99:0, which is not there"),
    "an output that there is not": (lambda g: g["3"]["inputs"].update(model=["1", 7]), r"model comes from 1:7"),
    "a link of another type": (lambda g: g["4"]["inputs"].update(images=["1", 0]), r"images takes IMAGE, and gets MODEL"),
    "a value for a link": (lambda g: g["4"]["inputs"].update(images=3), r"images takes a link, not 3"),
    "a value out of range": (lambda g: g["3"]["inputs"].update(steps=0), r"steps is 0, outside"),
    "a file that nobody knows": (lambda g: g["2"]["inputs"].update(file="my.ckpt"), r"file is 'my\.ckpt', which is none of"),
    "a path": (lambda g: g["4"]["inputs"].update(prefix="/tmp/out"), r"a path of somebody's computer"),
}  # fmt: skip


def test_a_graph_for_the_api_is_right():
    assert list(check_workflows.api_problems(graph_of().api(), OBJECT_INFO)) == []


def found_in_api(break_: Break) -> list[str]:
    broken = copy.deepcopy(graph_of().api())
    break_(broken)
    return list(check_workflows.api_problems(broken, OBJECT_INFO))


@pytest.mark.parametrize("name", API)
def test_one_thing_broken_in_a_graph_for_the_api_is_found(name):
    break_, message = API[name]

    found = found_in_api(break_)

    assert any(re.search(message, problem) for problem in found), found


def blueprint() -> dict:
    graph = Graph("stage", OBJECT_INFO, PACKS)
    made = Blueprint(graph, category="DreaMoving", about="A stage.")
    with made.steps.step("Make") as column:
        column.node("Load", {"file": MOTION.name}, models=(known_file(MOTION),))
        inside = column.node("DreaMovingMake", {"model": made.port("model", "MODEL")})
    made.expose(inside, "steps", "steps")
    made.give("frames", inside.out("frames"))
    return made.ui()


def inner(content: dict) -> dict:
    return content["definitions"]["subgraphs"][0]


BLUEPRINT: dict[str, tuple[Break, str]] = {
    "two nodes": (lambda b: b["nodes"].append(b["nodes"][0]), r"a blueprint is one node and its definition"),
    "a port's id": (lambda b: inner(b)["inputs"][0].update(id="in"), r"id 'in' is no UUID"),
    "the definition": (lambda b: b["nodes"][0].update(type="x"), r"the node is a x, the definition"),
    "its pack": (lambda b: b["nodes"][0]["properties"].pop("ver"), r"it comes from dreamoving, it should be"),
    "a port that the node hides": (lambda b: b["nodes"][0]["outputs"].pop(), r"outputs: the node shows \[\]"),
    "a port that leads nowhere": (lambda b: inner(b)["inputs"][0].update(linkIds=[]), r"\['model'\] lead nowhere"),
    "no category": (lambda b: inner(b).pop("category"), r"it has no category"),
    "no name": (lambda b: inner(b).update(name=""), r"it has no name"),
    "a widget that is not there": (
        lambda b: b["nodes"][0]["properties"]["proxyWidgets"][0].__setitem__(1, "x"), r"the widget x of node 2 is shown outside",
    ),
    "a widget without its socket": (
        lambda b: b["nodes"][0]["properties"]["proxyWidgets"].append(["2", "steps"]), r"2 widgets are shown outside, 1 have",
    ),
    "an inner node": (lambda b: inner(b)["nodes"][0].update(type="X"), r"\(X\): no node of this type"),
    "an inner link": (lambda b: inner(b)["links"].pop(0), r"not in the table|does not know it"),
    "an inner input": (lambda b: inner(b)["nodes"][1]["inputs"][0].update(name="x"), r"has no inputs \['x'\]"),
    "an inner value": (lambda b: inner(b)["nodes"][1]["widgets_values"].pop(), r"6 widget values expected, 5 found"),
    "an inner model": (lambda b: inner(b)["nodes"][0]["properties"]["models"][0].update(url="x"), r"cannot be downloaded"),
    "an inner pack": (lambda b: inner(b)["nodes"][0]["properties"].pop("cnr_id"), r"comes from \(None"),
    "an inner node's place": (
        lambda b: inner(b)["nodes"][1].update(pos=list(inner(b)["nodes"][0]["pos"])), r"\(DreaMovingMake\) overlap",
    ),
    "an inner group": (lambda b: inner(b)["groups"][0].update(title="x"), r"group 1 is called 'x'"),
    "a path": (lambda b: inner(b).update(description="from /home/me"), r"a path of somebody's computer"),
}  # fmt: skip


def test_a_blueprint_is_right():
    assert list(blueprint_checks.blueprint_problems(blueprint(), OBJECT_INFO, PACKS)) == []


def found_in_blueprint(break_: Break) -> list[str]:
    broken = blueprint()
    break_(broken)
    return list(blueprint_checks.blueprint_problems(broken, OBJECT_INFO, PACKS))


@pytest.mark.parametrize("name", BLUEPRINT)
def test_one_thing_broken_in_a_blueprint_is_found(name):
    break_, message = BLUEPRINT[name]

    found = found_in_blueprint(break_)

    assert any(re.search(message, problem) for problem in found), found


def write_pack(root: Path) -> Path:
    """A pack with one file of each kind for every story of the catalogue."""
    (root / "pyproject.toml").write_text('version = "1.0.0"\n', encoding="utf-8")
    for folder in ("workflows/api", "workflows/tiny", "subgraphs"):
        (root / folder).mkdir(parents=True)
    for number, (name, needs) in enumerate(STORIES.items()):
        graph = graph_of(tuple(one for one in needs if one.folders[0] != "insightface"), name=name)
        stem = root / "workflows" / f"{number:02} {name} - for who searches"
        stem.with_suffix(".json").write_text(json.dumps(graph.ui()), encoding="utf-8")
        stem.with_suffix(".jpg").touch()
        for folder in ("api", "tiny") if number else ("api",):
            path = root / "workflows" / folder / f"{number:02}_story.json"
            path.write_text(json.dumps(graph.api()), encoding="utf-8")
    demo = graph_of((), name="app").ui()
    form = {"linearMode": True, "linearData": {"inputs": [["2", "seed"]], "outputs": ["3"]}}
    app = root / "workflows" / f"00 {next(iter(STORIES))} - for who searches{APP}"
    app.write_text(json.dumps(demo | {"extra": demo["extra"] | form}), encoding="utf-8")
    app.with_suffix(".jpg").touch()
    (root / "subgraphs" / "Stage.json").write_text(json.dumps(blueprint()), encoding="utf-8")
    return root


def the(root: Path, pattern: str) -> Path:
    (path,) = (path for path in root.rglob(pattern) if path.is_file())
    return path


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


PACK: dict[str, tuple[Break, str]] = {
    "no JSON": (lambda root: the(root, "Stage.json").write_text("{"), r"is no JSON"),
    "a story": (lambda root: the(root, "03*searches.json").unlink(), r"the stories are \["),
    "its picture": (lambda root: the(root, "03*.jpg").unlink(), r"there is no picture 03 "),
    "its graph for the API": (lambda root: the(root, "api/03*").unlink(), r"there are 0 graphs 03_\*\.json in api/"),
    "another graph for the API": (
        lambda root: rewrite(the(root, "api/03*"), '"steps": 20', '"steps": 21'), r"api/03_story\.json is another graph",
    ),
    "its graph for Tiny": (lambda root: the(root, "tiny/03*").unlink(), r"tiny/ has the graphs \['01', '02', '04'"),
    "a file of another story": (
        lambda root: rewrite(the(root, "03*searches.json"), MOTION.name, "mm_sd_v15_v2.ckpt"), r"it asks for \['mm_sd_v15_v2",
    ),
    "an app without a form": (
        lambda root: rewrite(the(root, f"00*{APP}"), '"linearMode": true', '"linearMode": false'), r"and shows no form",
    ),
    "an app's node": (
        lambda root: rewrite(the(root, f"00*{APP}"), '"outputs": ["3"]', '"outputs": ["77"]'), r"shows node 77, which is not",
    ),
    "a workflow": (lambda root: rewrite(the(root, "03*searches.json"), '"type": "Save"', '"type": "Keep"'), r"no node of this type is known"),
    "a blueprint": (lambda root: rewrite(the(root, "Stage.json"), '"DreaMoving"', '""'), r"it has no category"),
    "a tiny graph": (lambda root: rewrite(the(root, "tiny/03*"), '"Save"', '"Keep"'), r"no node of this type is known"),
}  # fmt: skip


def test_a_pack_is_right(tmp_path):
    assert list(check_workflows.all_problems(write_pack(tmp_path), OBJECT_INFO)) == []


def found_in_pack(break_: Break, root: Path) -> list[str]:
    break_(write_pack(root))
    return [problem for _, problem in check_workflows.all_problems(root, OBJECT_INFO)]


@pytest.mark.parametrize("name", PACK)
def test_a_file_missing_or_changed_is_found(name, tmp_path):
    break_, message = PACK[name]

    found = found_in_pack(break_, tmp_path)

    assert any(re.search(message, problem) for problem in found), found


def sentences(module: Any) -> dict[str, str]:
    """Line -> pattern of every sentence that a checker can say."""
    told = {}
    for statement in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(statement, ast.Yield):
            said = statement.value.elts[-1] if isinstance(statement.value, ast.Tuple) else statement.value
            parts = said.values if isinstance(said, ast.JoinedStr) else [said]
            words = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            if any(words):
                line = f"{module.__name__.rsplit('.', 1)[-1]}:{statement.lineno}"
                told[line] = "".join(".*" if word is None else re.escape(word) for word in words)
    return told


def test_every_sentence_of_the_checkers_is_said_of_something_broken_here(tmp_path):
    said = [problem for break_, _ in WORKFLOW.values() for problem in found_in_workflow(break_)]
    said += [problem for break_, _ in API.values() for problem in found_in_api(break_)]
    said += [problem for break_, _ in BLUEPRINT.values() for problem in found_in_blueprint(break_)]
    for name, (break_, _) in PACK.items():
        (tmp_path / name).mkdir()
        said += found_in_pack(break_, tmp_path / name)
    modules = (workflow_checks, blueprint_checks, check_workflows)
    known = {line: pattern for module in modules for line, pattern in sentences(module).items()}

    assert len(known) > 40
    unsaid = {
        line: pattern
        for line, pattern in known.items()
        if not any(re.fullmatch(pattern, s, re.DOTALL) for s in said)
    }
    assert unsaid == {}
