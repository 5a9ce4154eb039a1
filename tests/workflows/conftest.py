"""One server for all stories, with small random files where DreaMoving-Tiny has no weights."""

from collections.abc import Iterator

import pytest
from dreamoving.benchmarks.stand_ins import write_stand_ins
from dreamoving.dreamoving_core.batch.client import Client
from dreamoving.dreamoving_core.batch.server import running_server
from one_server import server_settings


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    base = tmp_path_factory.mktemp("comfyui")
    write_stand_ins(base / "models")
    settings = server_settings(base)
    with running_server(settings):
        yield Client(settings.url, timeout=120)


@pytest.fixture(scope="session")
def object_info(client: Client) -> dict:
    return client.get("/object_info")
