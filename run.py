#!/usr/bin/env python3
"""The one door: `python run.py COMMAND`. Needs nothing but Python 3.10 to 3.13; prepares the rest by itself, once.

    demo [--seed N]              a dance video from the bundled tiny model, into out/demo
    test [--slow] [pytest ...]   the tests; --slow runs those outside the default suite too
    test workflows [pytest ...]  every story on DreaMoving-Tiny in a real server, and what it made
    test browser [pytest ...]    ComfyUI's own page in a Chromium, with screenshots in out/browser
    serve [--port P] [...]       a ComfyUI with this pack in it; further words go to ComfyUI
    check                        lint, format and types; check workflows: every file of workflows/ and subgraphs/
    bench NAME [...]             a benchmark of benchmarks/
    train tiny|sd15|prepare [...]  training, its data and its curves: docs/training.md
    workflows                    write the files of workflows/ anew from tools/workflows.py
    contract                     take additions of the nodes' schemas into tests/contract
    locales                      write the English texts of locales/ anew; say what translations lack
    registry --publisher ID ...  complete pyproject.toml for the Comfy Registry, before publishing
    models [STORY|FILE ...]      which model files the workflows need, and which are here; downloads nothing
    doctor                       what is installed, what lacks, what that means, and the command that mends it

COMFYUI_PATH names the ComfyUI to use. Without it: the one whose custom_nodes holds this folder, else a private copy.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).absolute().parent  # not resolved: a link in custom_nodes stays in custom_nodes


def load_pack():
    """Import this folder under the name `dreamoving`, as ComfyUI does by path: the folder may have any name."""
    spec = importlib.util.spec_from_file_location(
        "dreamoving", str(ROOT / "__init__.py"), submodule_search_locations=[str(ROOT)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["dreamoving"] = module
    spec.loader.exec_module(module)


def main(argv):
    if sys.version_info < (3, 10):  # noqa: UP036 (the older Python must be able to say so)
        sys.exit("error: DreaMoving needs Python 3.10 to 3.13, this is %d.%d." % sys.version_info[:2])  # noqa: UP031
    load_pack()
    commands = importlib.import_module("dreamoving.tools.commands")
    return commands.main(argv, root=ROOT, usage=__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
