"""`run.py doctor`: what this Python and ComfyUI have, what they lack, and the commands that mend it. Changes nothing."""

import argparse
import os
import sys
from pathlib import Path

from ..dreamoving_core.doctor.findings import findings
from ..dreamoving_core.doctor.report import is_well, report
from ..dreamoving_core.doctor.surroundings import look_around
from ..dreamoving_core.errors import SetupError
from .comfyui import find_comfyui, is_comfyui
from .models import model_roots, show

OURS = ("dreamoving", "animatediff_models", "animatediff_motion_lora", "controlnet", "ipadapter", "insightface", "dwpose",
    "zoedepth", "clip_vision")  # fmt: skip


def doctor(root: Path, words: list[str]) -> int:
    """0 when nothing is broken. Whatever is optional may lack."""
    argparse.ArgumentParser(prog="run.py doctor", description=__doc__).parse_args(words)
    comfyui: Path | None = None
    try:
        comfyui = find_comfyui(root, environ=dict(os.environ), fetch=lambda destination: None)
    except SetupError as error:
        show(f"ComfyUI was not found: {error}")
    comfyui = comfyui if comfyui is not None and is_comfyui(comfyui) else None
    found = findings(
        look_around(
            comfyui=comfyui,
            folders={} if comfyui is None else {name: comfyui / name for name in ("output", "temp", "input")},
            models={} if comfyui is None else our_folders(comfyui),
        )
    )
    show(f"This is about {sys.executable}. For another Python, start run.py with that one.", report(found))
    return 0 if is_well(found) else 1


def our_folders(comfyui: Path) -> dict[str, list[Path]]:
    """The model folders that our loaders read, those of extra_model_paths.yaml included."""
    roots = model_roots(comfyui)
    return {name: [Path(path) for path in roots.get(name, [comfyui / "models" / name])] for name in OURS}
