"""Every blueprint, built with DreaMoving-Tiny, between a drawn dance and Video Combine in a real server."""

from pathlib import Path

import pytest
from dreamoving.dreamoving_core.batch.client import Client, output_files
from dreamoving.tools.blueprint import INPUTS
from dreamoving.tools.check_workflows import as_api
from dreamoving.tools.graph import Output
from dreamoving.tools.layout import Steps
from dreamoving.tools.stories.stages import STAGES, Stage
from dreamoving.tools.workflows import TINY, blank, blueprint
from one_server import ROOT

from .test_tiny_variants import Product, read

pytestmark = pytest.mark.workflows

SECONDS = 0.5  # of a clip at 12 frames per second
PRODUCTS = {
    "Dance from a Reference": Product(frames=4, seconds=SECONDS),
    "Pose Preparation": Product(frames=4, seconds=SECONDS),
    "Face Pass": Product(frames=6, rate=12, size=192, seconds=SECONDS),
    "Finish": Product(frames=11, rate=24, size=256, seconds=11 / 24),
}


def unpacked(file: dict, object_info: dict, sources: dict[str, Output]) -> tuple[dict, dict[str, list]]:
    """The nodes inside as the browser posts them, and where each output comes from. From the file alone."""
    (inner,) = file["definitions"]["subgraphs"]
    ports = [sources.get(port["name"]) for port in inner["inputs"]]
    table = []
    for link in inner["links"]:
        if link["origin_id"] != INPUTS or ports[link["origin_slot"]] is not None:
            table.append(
                [link[k] for k in ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")]
            )
    known = {link[0] for link in table}
    for node in inner["nodes"]:
        for entry in node["inputs"]:
            entry["link"] = entry["link"] if entry["link"] in known else None

    def moved(value: object) -> object:
        if not isinstance(value, list):
            return value
        if value[0] == str(INPUTS):
            source = ports[value[1]]
            return [str(source.node.id), source.slot]
        return [f"inside-{value[0]}", value[1]]

    graph = {
        f"inside-{key}": {**node, "inputs": {name: moved(value) for name, value in node["inputs"].items()}}
        for key, node in as_api({"nodes": inner["nodes"], "links": table}, object_info).items()
    }
    ends = {link["id"]: [f"inside-{link['origin_id']}", link["origin_slot"]] for link in inner["links"]}
    return graph, {port["name"]: ends[port["linkIds"][0]] for port in inner["outputs"]}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_blueprint_does_its_stage(stage: Stage, client: Client, object_info: dict, tmp_path: Path) -> None:
    kit, expected = TINY, PRODUCTS[stage.name.split(" (")[0]]
    around = blank("around", object_info, ROOT)
    footage = kit.footage(Steps(around), "face", "cloth", "person", seconds=SECONDS)
    sources = {
        "video": footage.video,
        "face": footage.face,
        "clothes": footage.cloth,
        "picture": footage.person,
    }
    graph, outputs = unpacked(blueprint(stage, kit, object_info, ROOT).ui(), object_info, sources)
    combine = {"images": outputs.get("frames", outputs.get("poses")), "frame_rate": outputs["frame_rate"]}
    combine |= {
        "audio": outputs["audio"],
        "format": "mp4",
        "quality": 70,
        "filename_prefix": "b",
        "save_output": True,
    }
    graph |= around.api() | {"save": {"class_type": "DreaMovingVideoCombine", "inputs": combine}}

    entry = client.run(graph, limit_s=1800)
    (video,) = [file for file in output_files(entry) if file.type == "output"]
    client.download(video, tmp_path / video.filename)
    pictures, rate, sound, _ = read(tmp_path / video.filename)

    assert pictures.shape == (expected.frames, expected.size, expected.size, 3)
    assert rate == expected.rate
    assert sound == pytest.approx(expected.seconds, abs=1 / expected.rate)
    assert pictures.std() > 10
