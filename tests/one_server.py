"""A real ComfyUI with the pack in it, as every suite that needs one starts it."""

import os
import sys
from pathlib import Path

import torch
from dreamoving.dreamoving_core.batch.server import ServerSettings, free_port

ROOT = Path(__file__).resolve().parents[1]
PACK_NAME = "ComfyUI-DreaMoving"  # not the pack's own: artists' folders are named after the download


def server_settings(base: Path) -> ServerSettings:
    """A server of its own in `base`: models, input, output and log."""
    return ServerSettings(
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
