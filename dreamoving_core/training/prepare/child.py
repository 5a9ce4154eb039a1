"""Brings the pack into a fresh process: `pool.py` runs this file there, with the pack's name and folder.

The pack has no name that Python could find by itself: ComfyUI and `tools/inside.py` load it by its path.
"""

import importlib.util
import multiprocessing
import os
import sys
import threading
from pathlib import Path


def load(name: str, root: str) -> None:
    """The pack in `root` under the name that it has in the parent, so that what is sent there and back is known."""
    where = Path(root) / "__init__.py"
    spec = importlib.util.spec_from_file_location(name, where, submodule_search_locations=[root])
    if spec is None or spec.loader is None:
        raise ImportError(f"{where} is not there")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def end_with(parent: multiprocessing.process.BaseProcess | None) -> None:
    """A thread that ends this process when its parent is gone, by kill -9 or otherwise."""

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    given = globals()
    load(given["PACK_NAME"], given["PACK_ROOT"])
    end_with(multiprocessing.parent_process())
