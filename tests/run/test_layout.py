"""Graphs that are described from left to right, and stages as one node, on a small /object_info."""

from itertools import combinations, pairwise

from dreamoving.tools.blueprint import INPUTS, OUTPUTS, Blueprint
from dreamoving.tools.graph import TITLE, Graph, Node
from dreamoving.tools.layout import LONGEST, ROOM, Steps

OBJECT_INFO = {
    "LoadImage": {
        "display_name": "Load Image",
        "python_module": "nodes",
        "input": {"required": {"image": [["a.png"], {"image_upload": True}]}},
        "output": ["IMAGE", "MASK"],
        "output_name": ["IMAGE", "MASK"],
    },
    "Load": {
        "display_name": "Load",
        "python_module": "nodes",
        "input": {"required": {"file": [[]]}},
        "output": ["MODEL"],
        "output_name": ["MODEL"],
    },
    "Blur": {
        "display_name": "Blur",
        "python_module": "nodes",
        "input": {"required": {"image": ["IMAGE"], "radius": ["INT", {"default": 3, "min": 0, "max": 9}]}},
        "output": ["IMAGE"],
        "output_name": ["image"],
    },
    "Sum": {
        "display_name": "Sum",
        "python_module": "nodes",
        "input": {
            "required": {
                "values": [
                    "COMFY_AUTOGROW_V3",
                    {"template": {"input": {"required": {"value": ["FLOAT,INT", {}]}}, "names": ["a", "b", "c"], "min": 1}},
                ],
                "text": ["STRING", {"default": "a + b"}],
            }
        },
        "output": ["FLOAT"],
        "output_name": ["FLOAT"],
    },
    "Number": {
        "display_name": "Number",
        "python_module": "nodes",
        "input": {"required": {"value": ["INT", {"control_after_generate": "fixed"}]}},
        "output": ["INT"],
        "output_name": ["INT"],
    },
}  # fmt: skip
VERSIONS = {"custom_nodes.": ("dreamoving", "1.2.3"), "": ("comfy-core", "0.30.0")}


def graph() -> Graph:
    return Graph("test", OBJECT_INFO, VERSIONS)


def apart(one: Node, other: Node) -> bool:
    (x, y), (w, h), (u, v), (p, q) = one.pos, one.size, other.pos, other.size
    return x + w <= u or u + p <= x or y + h <= v - TITLE or v + q <= y - TITLE


def test_steps_stand_side_by_side_and_their_nodes_below_one_another() -> None:
    g = graph()
    steps = Steps(g)
    with steps.step("Many pictures") as column:
        for _ in range(7):
            column.node("LoadImage", {"image": "mine.png"})
    with steps.step("Blur") as column:
        column.node("Blur", {"image": g.nodes[0].out("IMAGE")})
    steps.note("# Hello")

    assert all(apart(one, other) for one, other in combinations(g.nodes, 2))
    assert [group["title"] for group in g.groups] == ["Step 1 - Many pictures", "Step 2 - Blur"]
    for left, right in pairwise(g.groups):
        assert left["bounding"][0] + left["bounding"][2] < right["bounding"][0]
    assert len({node.pos[0] for node in g.nodes[:7]}) > 1  # a long step goes on beside itself
    assert max(node.pos[1] + node.size[1] for node in g.nodes) <= LONGEST
    assert g.nodes[0].size[1] > ROOM["LoadImage"]  # room for the picture
    assert g.notes[0]["pos"][0] + g.notes[0]["size"][0] < 0


def test_a_file_need_not_be_on_the_server_that_describes_the_nodes() -> None:
    g = graph()
    known = ({"name": "m.safetensors", "url": "https://huggingface.co/a/b", "directory": "loras"},)
    load = g.node("Load", {"file": "m.safetensors"}, pos=(0, 0), models=known)
    picture = g.node("LoadImage", {"image": "mine.png"}, pos=(0, 400))

    nodes = g.ui()["nodes"]

    assert nodes[0]["properties"]["models"] == list(known)
    assert nodes[1]["widgets_values"] == ["mine.png", "image"]  # the browser's own upload button
    assert (load.values["file"], picture.values["image"]) == ("m.safetensors", "mine.png")


def test_an_input_that_grows_has_the_sockets_that_are_used() -> None:
    g = graph()
    number = g.node("Number", {"value": 2}, pos=(0, 0))
    total = g.node("Sum", {"values.a": number.out(), "text": "a"}, pos=(400, 0))

    assert g.api()[str(total.id)]["inputs"] == {"values.a": ["1", 0], "text": "a"}
    assert [entry["name"] for entry in g.ui()["nodes"][1]["inputs"]] == ["values.a", "values.b"]
    assert g.ui()["nodes"][0]["widgets_values"] == [2, "fixed"]


def blueprint() -> Blueprint:
    b = Blueprint(graph(), category="DreaMoving", about="Blurs twice.", aliases=("soft",))
    picture = b.port("picture", "IMAGE")
    with b.steps.step("Blur") as column:
        once = column.node("Blur", {"image": picture, "radius": 5})
        twice = column.node("Blur", {"image": once.out()})
    b.expose(once, "radius", "how much")
    b.give("blurred", twice.out())
    b.give("once", once.out())
    return b


def test_a_blueprint_shows_its_edges_outside() -> None:
    file = blueprint().ui()
    (node,), (inner,) = file["nodes"], file["definitions"]["subgraphs"]

    assert node["type"] == inner["id"]
    assert [(port["name"], port["type"], port.get("widget")) for port in node["inputs"]] == [
        ("picture", "IMAGE", None),
        ("how much", "INT", {"name": "how much"}),
    ]
    assert [port["name"] for port in node["outputs"]] == ["blurred", "once"]
    assert node["properties"]["proxyWidgets"] == [["1", "radius"]]
    assert (inner["category"], inner["description"]) == ("DreaMoving", "Blurs twice.")
    assert file["extra"]["BlueprintSearchAliases"] == ["soft"]
    assert blueprint().ui() == file  # the same description gives the same file


def test_the_links_of_a_blueprint_agree_with_its_nodes_and_edges() -> None:
    (inner,) = blueprint().ui()["definitions"]["subgraphs"]
    nodes, links = (
        {node["id"]: node for node in inner["nodes"]},
        {link["id"]: link for link in inner["links"]},
    )

    assert len(links) == len(inner["links"]) == inner["state"]["lastLinkId"] == 5
    for number, link in links.items():
        source = inner["inputs"] if link["origin_id"] == INPUTS else nodes[link["origin_id"]]["outputs"]
        known = source[link["origin_slot"]]
        assert number in (known.get("linkIds") or known.get("links"))
        if link["target_id"] == OUTPUTS:
            assert number in inner["outputs"][link["target_slot"]]["linkIds"]
        else:
            assert nodes[link["target_id"]]["inputs"][link["target_slot"]]["link"] == number
    assert nodes[1]["widgets_values"] == [5]  # the default that is shown outside
