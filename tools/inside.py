"""Runs training and benchmarks inside the environment: `python inside.py train|bench ...`; `run.py` starts it.

The pack is loaded by path under the name `dreamoving`. Its root never stands on sys.path: its `nodes/` would hide
ComfyUI's `nodes.py`.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]


def prepare() -> None:
    comfyui = os.environ["COMFYUI_PATH"]
    here = {ROOT, ROOT / "tools"}
    sys.path[:] = [comfyui, *(path for path in sys.path if Path(path or ".").absolute() not in here)]
    import comfy.cli_args
    import torch

    comfy.cli_args.args.cpu = not torch.cuda.is_available()
    # on a CPU ComfyUI's own choice takes a quarter longer for the same pictures
    comfy.cli_args.args.use_pytorch_cross_attention = True
    import folder_paths

    folder_paths.add_model_folder_path(
        "dreamoving", str(ROOT / "out")
    )  # a Tiny trained here lies in out/tiny
    spec = importlib.util.spec_from_file_location(
        "dreamoving", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["dreamoving"] = module
    spec.loader.exec_module(module)


def main(argv: list[str]) -> int | None:
    kind, *rest = argv
    prepare()
    if kind == "train":
        return importlib.import_module("dreamoving.dreamoving_core.training.cli").main(rest)
    name, *rest = rest
    return importlib.import_module(f"dreamoving.benchmarks.{name}").main(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
