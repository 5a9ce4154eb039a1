"""The Doctor inside ComfyUI: the Python that runs it, and the folders that it uses."""

from pathlib import Path

import folder_paths

from ..doctor.findings import findings
from ..doctor.report import is_well, report
from ..doctor.surroundings import look_around
from .loading import FOLDERS

CORE_FOLDERS = ("checkpoints", "controlnet", "clip_vision")


def doctors_report() -> tuple[str, bool]:
    """A page of text, and whether nothing is broken."""
    writable = {
        "output": folder_paths.get_output_directory(),
        "temp": folder_paths.get_temp_directory(),
        "input": folder_paths.get_input_directory(),
    }
    Path(writable["temp"]).mkdir(parents=True, exist_ok=True)  # ComfyUI makes it when it first needs it
    known = folder_paths.folder_names_and_paths
    found = findings(
        look_around(
            comfyui=Path(folder_paths.base_path),
            folders={name: Path(path) for name, path in writable.items()},
            models={
                name: [Path(p) for p in known[name][0]] for name in (*CORE_FOLDERS, *FOLDERS) if name in known
            },
        )
    )
    return report(found), is_well(found)
