"""Loads the pack by path under the name `dreamoving`, as ComfyUI does, and finds ComfyUI through COMFYUI_PATH.

`nodes/` of the pack would hide ComfyUI's `nodes.py`, so the pack's root never stands on `sys.path`.
"""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_pack() -> None:
    if "dreamoving" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "dreamoving", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["dreamoving"] = module
    spec.loader.exec_module(module)


def find_comfyui() -> None:
    comfyui = os.environ.get("COMFYUI_PATH")
    if not comfyui or not (Path(comfyui) / "comfy").is_dir():
        raise pytest.UsageError("COMFYUI_PATH must name a ComfyUI folder; `python run.py test` sets it.")
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT]
    sys.path.insert(0, comfyui)
    import comfy.cli_args
    import torch

    comfy.cli_args.args.cpu = not torch.cuda.is_available()
    torch.set_num_threads(1)


find_comfyui()
load_pack()

sys.path.append(str(ROOT / "tests"))  # last, so that no folder of tests hides a module of ComfyUI

from small_host import small_sd15  # noqa: E402, F401
