"""One real ComfyUI server for all tests of this folder, with the pack linked under a name that is not the pack's own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from dreamoving.dreamoving_core.batch.client import Client
from dreamoving.dreamoving_core.batch.server import ServerSettings, free_port, running_server

ROOT = Path(__file__).resolve().parents[2]
PACK_NAME = "ComfyUI-DreaMoving"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerSettings]:
    base = tmp_path_factory.mktemp("comfyui")
    settings = ServerSettings(
        python=Path(sys.executable),
        comfyui=Path(os.environ["COMFYUI_PATH"]),
        pack=ROOT,
        pack_name=PACK_NAME,
        base=base,
        log=base / "server.log",
        port=free_port(),
        cpu=not torch.cuda.is_available(),
        threads=1,
    )
    with running_server(settings):
        yield settings


@pytest.fixture(scope="session")
def client(server: ServerSettings) -> Client:
    return Client(server.url)


@pytest.fixture(scope="session")
def object_info(client: Client) -> dict:
    return client.get("/object_info")
