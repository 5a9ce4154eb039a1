"""One real ComfyUI server for all tests of this folder, with the pack linked under a name that is not the pack's own."""

from collections.abc import Iterator

import pytest
from dreamoving.dreamoving_core.batch.client import Client
from dreamoving.dreamoving_core.batch.server import ServerSettings, running_server
from one_server import server_settings


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    base = tmp_path_factory.mktemp("comfyui")
    settings = server_settings(base)
    with running_server(settings):
        yield settings


@pytest.fixture(scope="session")
def client(server: ServerSettings) -> Client:
    return Client(server.url)


@pytest.fixture(scope="session")
def object_info(client: Client) -> dict:
    return client.get("/object_info")


def cached_nodes(entry: dict) -> set[str]:
    """The nodes of a run that the server answered from its cache."""
    return {
        node
        for kind, data in entry["status"]["messages"]
        if kind == "execution_cached"
        for node in data["nodes"]
    }
