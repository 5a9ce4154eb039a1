"""The builder of workflow files, on a small /object_info with every kind of input."""

import pytest
from dreamoving.tools.graph import Graph
from dreamoving.tools.node_schema import GraphError

OBJECT_INFO = {
    "Load": {
        "display_name": "Load It",
        "python_module": "custom_nodes.Some-Folder",
        "input": {"required": {"name": [["a", "b"]]}},
        "output": ["MODEL", "IMAGE"],
        "output_name": ["model", "image"],
    },
    "Sample": {
        "display_name": "Sample",
        "python_module": "nodes",
        "input": {
            "required": {
                "model": ["MODEL"],
                "seed": ["INT", {"default": 3}],
                "steps": ["INT", {"default": 20, "control_after_generate": False}],
                "mode": ["COMBO", {"options": ["x", "y"], "default": "y"}],
                "strength": ["FLOAT,CURVE", {"widgetType": "FLOAT", "default": 0.5}],
                "size": ["INT", {"forceInput": True, "default": 1}],
            },
            "optional": {"image": ["IMAGE"], "text": ["STRING", {"multiline": True}]},
        },
        "output": ["LATENT"],
        "output_name": ["LATENT"],
    },
    "Number": {
        "display_name": "Number",
        "python_module": "comfy_extras.nodes_numbers",
        "input": {"required": {}},
        "output": ["INT", "FLOAT"],
        "output_name": ["INT", "FLOAT"],
    },
}
VERSIONS = {"custom_nodes.": ("dreamoving", "1.2.3"), "": ("comfy-core", "0.30.0")}


def graph() -> Graph:
    return Graph("test", OBJECT_INFO, VERSIONS)


def full() -> Graph:
    g = graph()
    load = g.node("Load", {"name": "b"}, pos=(0, 0))
    number = g.node("Number", pos=(0, 200))
    g.note("# Hello", pos=(-300, 0), size=(200, 100))
    inputs = {"model": load.out("model"), "image": load.out("image"), "text": "hi"}
    inputs |= {"strength": number.out("FLOAT"), "size": number.out(0)}
    sample = g.node("Sample", inputs, pos=(400, 0), title="Mine")
    g.group("Step 1", load, sample)
    return g


def test_the_api_format_has_every_value_and_every_link() -> None:
    api = full().api()

    assert api["1"] == {"class_type": "Load", "inputs": {"name": "b"}, "_meta": {"title": "Load It"}}
    assert api["4"]["_meta"]["title"] == "Mine"
    assert api["4"]["inputs"] == {
        "model": ["1", 0],
        "seed": 3,
        "steps": 20,
        "mode": "y",
        "strength": ["2", 1],
        "size": ["2", 0],
        "image": ["1", 1],
        "text": "hi",
    }
    assert set(api) == {"1", "2", "4"}  # a note is nothing that runs


def test_the_ui_format_keeps_the_browsers_order_of_widgets_and_sockets() -> None:
    ui = full().ui()
    sample = next(node for node in ui["nodes"] if node["type"] == "Sample")

    assert sample["widgets_values"] == [3, "fixed", 20, "y", 0.5, "hi"]  # a seed is followed by its control
    assert [(entry["name"], entry.get("widget"), entry.get("shape")) for entry in sample["inputs"]] == [
        ("model", None, None),
        ("size", None, None),
        ("image", None, 7),
        ("strength", {"name": "strength"}, None),
    ]
    assert sample["properties"] == {"Node name for S&R": "Sample", "cnr_id": "comfy-core", "ver": "0.30.0"}
    assert ui["nodes"][0]["properties"]["cnr_id"] == "dreamoving"
    assert [node["type"] for node in ui["nodes"]].count("MarkdownNote") == 1
    assert len({node["id"] for node in ui["nodes"]}) == len(ui["nodes"]) == ui["last_node_id"]


def test_the_links_of_the_ui_format_agree_with_both_ends() -> None:
    ui = full().ui()
    nodes = {node["id"]: node for node in ui["nodes"]}

    assert len(ui["links"]) == ui["last_link_id"] == 4
    for number, source, slot, target, socket, type_ in ui["links"]:
        assert nodes[source]["outputs"][slot]["type"] == type_
        assert number in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][socket]["link"] == number


def test_a_group_holds_its_nodes_with_their_titles() -> None:
    ui = full().ui()
    left, top, width, height = ui["groups"][0]["bounding"]

    for node in (node for node in ui["nodes"] if node["type"] in ("Load", "Sample")):
        assert left < node["pos"][0]
        assert top < node["pos"][1] - 30
        assert node["pos"][0] + node["size"][0] < left + width
        assert node["pos"][1] + node["size"][1] < top + height


def test_the_same_description_gives_the_same_file() -> None:
    assert full().ui() == full().ui()


@pytest.mark.parametrize(
    ("type_", "inputs", "message"),
    [
        ("Nothing", {}, r"The server has no node Nothing"),
        ("Load", {"nme": "a"}, r"Load has no input 'nme'; it has name"),
        ("Load", {"name": "c"}, r"Load\.name is one of \['a', 'b'\], got 'c'"),
        ("Sample", {"size": 3}, r"Sample needs its input 'model' \(MODEL\)"),
        ("Sample", {"model": 3, "size": 3}, r"Sample\.model takes a link \(MODEL\), got 3"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(type_: str, inputs: dict, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        graph().node(type_, inputs, pos=(0, 0))


def test_a_link_of_the_wrong_type_is_refused() -> None:
    g = graph()
    load = g.node("Load", pos=(0, 0))

    with pytest.raises(GraphError, match=r"Sample\.model takes MODEL, got IMAGE from Load"):
        g.node("Sample", {"model": load.out("image"), "size": load.out("image")}, pos=(0, 0))
    with pytest.raises(GraphError, match=r"Load has no output 'latent'; it has model, image"):
        load.out("latent")
