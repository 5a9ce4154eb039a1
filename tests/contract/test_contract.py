"""The compatibility promise: old graphs keep working. Each node's schema may only grow."""

import asyncio
import copy
import re
from pathlib import Path

import pytest
from dreamoving.dreamoving_core.errors import SetupError
from dreamoving.tools.contract import COMMAND, breaks, describe, read_contract, take_in

FOLDER = Path(__file__).parent


def current():
    from dreamoving.nodes import DreaMovingExtension

    nodes = asyncio.run(DreaMovingExtension().get_node_list())
    infos = (node.GET_NODE_INFO_V1() for node in nodes)
    return {info["name"]: describe(info) for info in infos}


def test_nothing_that_a_saved_graph_names_has_gone_or_changed():
    now = current()

    assert [what for node, old in read_contract(FOLDER).items() for what in breaks(old, now.get(node))] == []


def test_every_node_and_addition_is_taken_into_the_contract():
    known = read_contract(FOLDER)
    missing = [node for node, snapshot in current().items() if known.get(node) != snapshot]

    assert missing == [], (
        f"Run `{COMMAND}` to take the additions of these nodes into {FOLDER.name}: {missing}"
    )


def node():
    return {
        "id": "DreaMovingExample",
        "inputs": [
            {"name": "images", "type": "IMAGE"},
            {"name": "strength", "type": "FLOAT,CURVE", "widgetType": "FLOAT", "default": 1.0, "min": 0.0, "max": 2.0},
            {"name": "mode", "type": "COMBO", "default": "a", "options": ["a", "b"]},
            {"name": "seed", "type": "INT", "default": 0, "control_after_generate": True},
            {"name": "mask", "type": "MASK", "optional": True},
        ],
        "outputs": [{"name": "frames", "type": "IMAGE"}, {"name": "count", "type": "INT"}],
    }  # fmt: skip


def input_named(snapshot, name):
    return next(slot for slot in snapshot["inputs"] if slot["name"] == name)


def change(slot, **values):
    return lambda snapshot: input_named(snapshot, slot).update(values)


def drop(name, key):
    return lambda snapshot: input_named(snapshot, name).pop(key)


ADDITIONS = {
    "nothing": lambda s: None,
    "an optional input at the end": lambda s: s["inputs"].append({"name": "x", "type": "INT", "optional": True}),
    "an output at the end": lambda s: s["outputs"].append({"name": "x", "type": "INT"}),
    "a choice at the end": change("mode", options=["a", "b", "c"]),
    "a choice in between": change("mode", options=["a", "c", "b"]),
    "a wider type": change("strength", type="FLOAT,CURVE,FLOATS"),
    "a wider range": change("strength", min=-1.0, max=5.0),
    "no largest value any more": drop("strength", "max"),
}  # fmt: skip

BREAKS = {
    "an input is gone": (lambda s: s["inputs"].pop(0), "input images is gone or has another name"),
    "an input has another name": (change("images", name="pictures"), "input images is gone or has another name"),
    "inputs changed places": (lambda s: s["inputs"].insert(0, s["inputs"].pop(1)), "inputs changed their places"),
    "an input came in between": (
        lambda s: s["inputs"].insert(1, {"name": "x", "type": "INT", "optional": True}),
        "inputs changed their places",
    ),
    "a new input is required": (lambda s: s["inputs"].append({"name": "x", "type": "INT"}), "x is new and required"),
    "an optional input is required": (drop("mask", "optional"), "mask: it was optional"),
    "another type": (change("images", type="LATENT"), "images: it no longer takes IMAGE"),
    "a narrower type": (change("strength", type="FLOAT"), "strength: it no longer takes CURVE"),
    "another widget": (change("strength", widgetType="INT"), "its widgetType was 'FLOAT', is 'INT'"),
    "a widget became a socket": (change("strength", forceInput=True), "its forceInput was None"),
    "another default": (change("strength", default=0.5), "its default was 1.0, is 0.5"),
    "no default": (drop("strength", "default"), "its default was 1.0, is None"),
    "a larger smallest value": (change("strength", min=0.5), "its smallest value was 0.0, is 0.5"),
    "a smaller largest value": (change("strength", max=1.0), "its largest value was 2.0, is 1.0"),
    "a largest value where there was none": (change("seed", max=9), "its largest value was None, is 9"),
    "a choice is gone": (change("mode", options=["a"]), "its choices b are gone"),
    "choices changed their order": (change("mode", options=["b", "a"]), "its choices changed their order"),
    "choices became anything": (drop("mode", "options"), "its choices were"),
    "no control after generate": (drop("seed", "control_after_generate"), "its control_after_generate was True"),
    "an output is gone": (lambda s: s["outputs"].pop(0), "output frames is gone or has another name"),
    "an output has another type": (lambda s: s["outputs"][0].update(type="MASK"), "frames: its type was IMAGE, is MASK"),
    "an output became a list": (lambda s: s["outputs"][0].update(list=True), "frames: its list was None, is True"),
    "outputs changed places": (lambda s: s["outputs"].reverse(), "outputs changed their places"),
    "it no longer runs alone": (lambda s: s.update(output_node=True), "output_node was False, is True"),
    "it gets lists": (lambda s: s.update(is_input_list=True), "is_input_list was False, is True"),
}  # fmt: skip


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_keeps_the_promise(name):
    grown = copy.deepcopy(node())
    ADDITIONS[name](grown)

    assert breaks(node(), grown) == []


@pytest.mark.parametrize("name", BREAKS)
def test_anything_else_breaks_it_and_is_said_in_words(name):
    alter, words = BREAKS[name]
    altered = copy.deepcopy(node())
    alter(altered)

    found = breaks(node(), altered)

    assert any(words in what for what in found), found
    assert all(what.startswith("DreaMovingExample: ") for what in found)


def test_a_node_that_is_gone_breaks_it():
    assert re.search("DreaMovingExample: the node is gone", breaks(node(), None)[0])


def test_the_command_takes_in_new_nodes_and_additions_and_nothing_else(tmp_path):
    assert take_in(tmp_path, {"DreaMovingExample": node()}) == ["DreaMovingExample"]
    assert read_contract(tmp_path) == {"DreaMovingExample": node()}
    assert take_in(tmp_path, {"DreaMovingExample": node()}) == []

    grown = copy.deepcopy(node())
    ADDITIONS["an output at the end"](grown)
    assert take_in(tmp_path, {"DreaMovingExample": grown, "DreaMovingOther": {**node(), "id": "DreaMovingOther"}}) == [
        "DreaMovingExample", "DreaMovingOther",
    ]  # fmt: skip

    before = read_contract(tmp_path)
    with pytest.raises(
        SetupError, match="additions alone, and this is none:\n  DreaMovingOther: the node is gone"
    ):
        take_in(tmp_path, {"DreaMovingExample": grown})
    assert read_contract(tmp_path) == before
