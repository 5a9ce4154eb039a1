"""The checker of workflow files: ours pass, and one thing broken on purpose is found by its name."""

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
from dreamoving.tools.blueprint_checks import blueprint_problems
from dreamoving.tools.check_workflows import all_problems, api_problems, packs_of
from dreamoving.tools.workflow_checks import problems
from one_server import ROOT

pytestmark = pytest.mark.server

STORY = "03 Face and clothes"


@pytest.fixture(scope="module")
def workflow() -> dict:
    (path,) = (ROOT / "workflows").glob(f"{STORY} - *.json")
    return json.loads(path.read_text(encoding="utf-8"))


def node(workflow: dict, type_: str) -> dict:
    return next(found for found in workflow["nodes"] if found["type"] == type_)


def test_nothing_is_wrong_with_any_file(object_info: dict) -> None:
    assert list(all_problems(ROOT, object_info)) == []


BREAKAGES = {
    "a field of a newer format": (lambda w: w.update(reroutes=[]), r"fields are \['reroutes'\]"),
    "another version": (lambda w: w.update(version=1), r"version is 1, not 0\.4"),
    "no UUID": (lambda w: w.update(id="mine"), r"id 'mine' is no UUID"),
    "another tool's leftovers": (lambda w: w["extra"].update(VHS_latentpreview=True), r"extra has leftovers: \['VHS_"),
    "a node's leftovers": (
        lambda w: w["nodes"][0]["properties"].update(ue_properties={}),
        r"properties has leftovers: \['ue_properties'\]",
    ),
    "an id twice": (lambda w: w["nodes"][1].update(id=w["nodes"][0]["id"]), r"two nodes have the same id"),
    "the last node's number": (lambda w: w.update(last_node_id=3), r"last_node_id is 3, below"),
    "the last link's number": (lambda w: w.update(last_link_id=3), r"last_link_id is 3, below"),
    "a muted node": (lambda w: w["nodes"][2].update(mode=2), r"muted or bypassed \(mode 2\)"),
    "a node that nobody has": (
        lambda w: node(w, "DreaMovingCleanPose").update(type="DreaMovingPolishPose"),
        r"\(DreaMovingPolishPose\): no node of this type is known",
    ),
    "a link to nowhere": (lambda w: w["links"][0].__setitem__(3, 999), r"link 1 goes from .* one of them is not there"),
    "a link's type": (lambda w: w["links"][0].__setitem__(5, "LATENT"), r"link 1 says LATENT, from"),
    "a link that one end forgot": (
        lambda w: w["nodes"][0]["outputs"][0].update(links=None),
        r"one of its ends does not know it",
    ),
    "a link that the table forgot": (lambda w: w["links"].pop(0), r"links \[1\] are not in the table"),
    "a link twice": (lambda w: w["links"].append(list(w["links"][0])), r"two links have the same number"),
    "a required input": (
        lambda w: node(w, "DreaMovingDrawPose")["inputs"][0].update(link=None),
        r"its input keypoints is not connected",
    ),
    "an input that is not there": (
        lambda w: node(w, "VAEDecode")["inputs"].append({"name": "tile", "type": "INT", "link": None}),
        r"has no inputs \['tile'\]",
    ),
    "an output's name": (
        lambda w: node(w, "VAEDecode")["outputs"][0].update(name="PICTURES"),
        r"its outputs are \['IMAGE'\], the file says \['PICTURES'\]",
    ),
    "a value too few": (lambda w: node(w, "DreaMovingSampler")["widgets_values"].pop(), r"15 widget values expected, 14 found"),
    "a value out of range": (
        lambda w: node(w, "DreaMovingSampler")["widgets_values"].__setitem__(6, 1000.0),
        r"cfg is 1000\.0, outside 0\.0 to 100\.0",
    ),
    "a choice that there is not": (
        lambda w: node(w, "DreaMovingSampler")["widgets_values"].__setitem__(7, "eulerian"),
        r"sampler_name is 'eulerian', which is none of",
    ),
    "a value of another kind": (
        lambda w: node(w, "DreaMovingSampler")["widgets_values"].__setitem__(5, "many"),
        r"steps is 'many', which is no INT",
    ),
    "the widget behind the seed": (
        lambda w: node(w, "DreaMovingSampler")["widgets_values"].__setitem__(4, "randomize"),
        r"behind seed comes 'randomize'",
    ),
    "a model without its source": (
        lambda w: node(w, "CheckpointLoaderSimple")["properties"].pop("models"),
        r"does not say where dreamshaper_8\.safetensors comes from",
    ),
    "a model's address": (
        lambda w: node(w, "CheckpointLoaderSimple")["properties"]["models"][0].update(url="http://example.org/x"),
        r"cannot be downloaded from 'http://example.org/x'",
    ),
    "a model's digest": (
        lambda w: node(w, "CheckpointLoaderSimple")["properties"]["models"][0].update(hash="00"),
        r"properties\.models says .* of dreamshaper_8\.safetensors, the catalogue",
    ),
    "a model's folder": (
        lambda w: node(w, "CheckpointLoaderSimple")["properties"]["models"][0].update(directory="loras"),
        r"properties\.models says .* the catalogue",
    ),
    "a model that nobody knows": (
        lambda w: node(w, "CheckpointLoaderSimple")["properties"]["models"].append(
            {"name": "my.safetensors", "url": "https://huggingface.co/a/b/resolve/main/my.safetensors", "directory": "x"}
        ),
        r"my\.safetensors is not in the catalogue",
    ),
    "a node's pack": (
        lambda w: node(w, "DreaMovingSampler")["properties"].pop("cnr_id"),
        r"comes from \(None, '[\d.]+'\), it should be \('dreamoving'",
    ),
    "a pack's version": (
        lambda w: node(w, "VAEDecode")["properties"].update(ver="abcdef1"),
        r"comes from \('comfy-core', 'abcdef1'\)",
    ),
    "a node's own name": (
        lambda w: node(w, "VAEDecode")["properties"].update({"Node name for S&R": "X"}),
        r"'Node name for S&R' is 'X'",
    ),
    "a node on another": (
        lambda w: w["nodes"][1].update(pos=list(w["nodes"][0]["pos"])),
        r"\(CheckpointLoaderSimple\) and node 2 \(DreaMovingLoadMotionModel\) overlap",
    ),
    "a group's number": (lambda w: w["groups"][1].update(title="Step 7 - Your files"), r"not 'Step 2 - \.\.\.'"),
    "groups in another order": (lambda w: w["groups"][0]["bounding"].__setitem__(0, 5000), r"begins before 'Step 1"),
    "a node outside its group": (
        lambda w: node(w, "DreaMovingSampler")["pos"].__setitem__(1, 4000),
        r"it is not in exactly one group",
    ),
    "somebody's path": (
        lambda w: node(w, "LoadImage")["widgets_values"].__setitem__(0, "C:\\Users\\me\\face.png"),
        r"a path of somebody's computer: 'C:\\\\Users",
    ),
    "another one's path": (
        lambda w: w["nodes"][-1]["widgets_values"].__setitem__(0, "see /home/me/notes"),
        r"a path of somebody's computer: 'see /home/me/notes'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKAGES)
def test_one_thing_broken_is_found(name: str, workflow: dict, object_info: dict) -> None:
    broken, message = BREAKAGES[name]
    copied = copy.deepcopy(workflow)
    broken(copied)

    found = list(problems(copied, object_info, packs_of(ROOT)))

    assert copied != workflow
    assert any(re.search(message, problem) for problem in found), found


API_BREAKAGES = {
    "a node that nobody has": (
        lambda g: g["1"].update(class_type="X"),
        r"node 1 \(X\): no node of this type",
    ),
    "an input that is not there": (lambda g: g["1"]["inputs"].update(size=3), r"has no inputs \['size'\]"),
    "a missing input": (lambda g: find(g, "VAEDecode")["inputs"].pop("vae"), r"its input vae is missing"),
    "a link to nowhere": (
        lambda g: find(g, "VAEDecode")["inputs"].update(vae=["99", 0]),
        r"vae comes from 99:0",
    ),
    "a link of another type": (
        lambda g: find(g, "VAEDecode")["inputs"].update(vae=find(g, "VAEDecode")["inputs"]["samples"]),
        r"vae takes VAE, and gets LATENT",
    ),
    "a value for a link": (
        lambda g: find(g, "VAEDecode")["inputs"].update(vae=3),
        r"vae takes a link, not 3",
    ),
    "a value out of range": (
        lambda g: find(g, "DreaMovingSampler")["inputs"].update(steps=0),
        r"steps is 0, outside",
    ),
    "somebody's path": (
        lambda g: find(g, "DreaMovingVideoCombine")["inputs"].update(filename_prefix="/tmp/out"),
        r"a path of somebody's computer",
    ),
}


def find(graph: dict, type_: str) -> dict:
    return next(found for found in graph.values() if found["class_type"] == type_)


@pytest.mark.parametrize("name", API_BREAKAGES)
def test_one_thing_broken_in_a_graph_for_the_api_is_found(name: str, object_info: dict) -> None:
    graph = json.loads((ROOT / "workflows/tiny/03_face_and_clothes.json").read_text(encoding="utf-8"))
    assert list(api_problems(graph, object_info)) == []
    broken, message = API_BREAKAGES[name]
    broken(graph)

    assert any(re.search(message, found) for found in api_problems(graph, object_info))


FILES = {
    "a picture": (lambda pack: picture(pack).unlink(), r"there is no picture 03 "),
    "the graph for the API": (
        lambda pack: (pack / "workflows/api/03_face_and_clothes.json").unlink(),
        r"there are 0 graphs 03_\*\.json in api/",
    ),
    "another graph for the API": (
        lambda pack: rewrite(pack / "workflows/api/03_face_and_clothes.json", '"steps": 25', '"steps": 24'),
        r"api/03_face_and_clothes\.json is another graph",
    ),
    "a story": (lambda pack: picture(pack).with_suffix(".json").unlink(), r"the stories are \["),
    "a file that the story does not need": (
        lambda pack: rewrite(
            picture(pack).with_suffix(".json"),
            "ip-adapter-plus_sd15.safetensors",
            "ip-adapter_sd15.safetensors",
        ),
        r"it asks for \['ip-adapter-plus_sd15\.safetensors', 'ip-adapter_sd15",
    ),
    "a file that is no JSON": (
        lambda pack: picture(pack).with_suffix(".json").write_text("{"),
        r"is no JSON",
    ),
    "an app's form": (
        lambda pack: rewrite(
            next((pack / "workflows").glob("*.app.json")), '"linearMode": true', '"linearMode": false'
        ),
        r"shows no form",
    ),
}


def picture(pack: Path) -> Path:
    return next((pack / "workflows").glob(f"{STORY} - *.jpg"))


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_a_file_missing_or_changed_is_found(name: str, object_info: dict, tmp_path: Path) -> None:
    for part in ("workflows", "subgraphs"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    broken, message = FILES[name]
    broken(tmp_path)

    assert any(re.search(message, problem) for _, problem in all_problems(tmp_path, object_info))


INSIDE = {
    "a port that leads nowhere": (
        lambda b: inner(b)["inputs"][0].update(linkIds=[]),
        r"\['video'\] lead nowhere",
    ),
    "a port that the node does not show": (
        lambda b: b["nodes"][0]["inputs"].pop(0),
        r"inputs: the node shows",
    ),
    "the definition": (lambda b: b["nodes"][0].update(type="x"), r"the node is a x, the definition"),
    "no category": (lambda b: inner(b).pop("category"), r"it has no category"),
    "a widget that is not there": (
        lambda b: b["nodes"][0]["properties"]["proxyWidgets"][0].__setitem__(1, "x"),
        r"the widget x of node \d+ is shown outside",
    ),
    "its pack": (lambda b: b["nodes"][0]["properties"].pop("cnr_id"), r"it comes from None"),
    "an inner value": (
        lambda b: next(n for n in inner(b)["nodes"] if n["type"] == "DreaMovingDrawPose")[
            "widgets_values"
        ].pop(),
        r"widget values expected",
    ),
    "an inner link": (lambda b: inner(b)["links"].pop(), r"not in the table|does not know it"),
}


def inner(blueprint: dict) -> dict:
    return blueprint["definitions"]["subgraphs"][0]


@pytest.mark.parametrize("name", INSIDE)
def test_one_thing_broken_in_a_blueprint_is_found(name: str, object_info: dict) -> None:
    path = ROOT / "subgraphs" / "Pose Preparation (DreaMoving).json"
    blueprint = json.loads(path.read_text(encoding="utf-8"))
    assert list(blueprint_problems(blueprint, object_info, packs_of(ROOT))) == []
    broken, message = INSIDE[name]
    broken(blueprint)

    found = list(blueprint_problems(blueprint, object_info, packs_of(ROOT)))
    assert any(re.search(message, problem) for problem in found), found
