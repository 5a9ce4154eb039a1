"""One server for all stories, with small random files where DreaMoving-Tiny has no weights."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from dreamoving.benchmarks.stand_ins import write_stand_ins
from dreamoving.dreamoving_core.batch.client import Client
from dreamoving.dreamoving_core.batch.server import ServerSettings, free_port, running_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    base = tmp_path_factory.mktemp("comfyui")
    write_stand_ins(base / "models")
    settings = ServerSettings(
        python=Path(sys.executable),
        comfyui=Path(os.environ["COMFYUI_PATH"]),
        pack=ROOT,
        base=base,
        log=base / "server.log",
        port=free_port(),
        cpu=not torch.cuda.is_available(),
        threads=1,
    )
    with running_server(settings):
        yield Client(settings.url, timeout=120)


@pytest.fixture(scope="session")
def object_info(client: Client) -> dict:
    return client.get("/object_info")
