"""The HTTP client against a real server, with core nodes only."""

import struct
import time
from pathlib import Path

import pytest
from dreamoving.dreamoving_core.batch.client import Client, output_files
from dreamoving.dreamoving_core.errors import DreaMovingError, InputError, SetupError

pytestmark = pytest.mark.server


def still(*, width: int = 24, height: int = 16, prefix: str = "still", colour: int = 0) -> dict:
    size = {"width": width, "height": height, "batch_size": 1, "color": colour}
    return {
        "1": {"class_type": "EmptyImage", "inputs": size},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def test_a_run_tells_its_nodes_and_brings_its_file_back(client: Client, tmp_path: Path) -> None:
    nodes = []

    entry = client.run(still(), on_step=lambda step: nodes.append(step.node))
    client.download(output_files(entry)[0], tmp_path / "new" / "still.png")

    png = (tmp_path / "new" / "still.png").read_bytes()
    assert nodes == ["1", "2"]
    assert png.startswith(b"\x89PNG")
    assert struct.unpack("!II", png[16:24]) == (24, 16)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["still.png"]


def test_a_slow_listener_misses_no_node(client: Client) -> None:
    nodes = []

    def slow(step) -> None:
        nodes.append(step.node)
        if len(nodes) == 1:
            time.sleep(5.5)  # the run has long ended when the client reads on

    client.run(still(colour=4), on_step=slow)

    assert nodes == ["1", "2"]


def test_a_graph_that_is_refused_names_node_and_input(client: Client) -> None:
    with pytest.raises(InputError, match=r"node 1 \(EmptyImage\): .*smaller than min.*width"):
        client.run(still(width=0))


def test_an_unknown_node_is_refused_in_words(client: Client) -> None:
    with pytest.raises(InputError, match=r"HTTP 400.*NoSuchNode"):
        client.run({"1": {"class_type": "NoSuchNode", "inputs": {}}})


def test_a_node_that_fails_is_named_and_the_next_run_succeeds(client: Client) -> None:
    with pytest.raises(DreaMovingError, match=r"Node 2 \(SaveImage\) failed: .*outside the output folder"):
        client.run(still(prefix="../../outside"))

    assert output_files(client.run(still(colour=1)))


def test_a_run_past_its_limit_is_stopped(client: Client) -> None:
    with pytest.raises(SetupError, match=r"did not finish the graph within 0 s; it was stopped"):
        client.run(still(width=4096, height=4096, colour=2), limit_s=0.0)

    assert output_files(client.run(still(colour=3)))


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(SetupError, match=r"No answer from http://127\.0\.0\.1:9"):
        Client("http://127.0.0.1:9").run(still())
