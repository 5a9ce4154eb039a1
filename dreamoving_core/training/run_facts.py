"""What tells one run from another: the pack and its revision, the packages, and settings that are not the preset's."""

import importlib.metadata
import subprocess
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch

from ..version import VERSION

PACK = Path(__file__).resolve().parents[2]


def versions() -> dict[str, str]:
    """Of the pack, its git revision ("" for an installed copy), torch and accelerate."""
    return {
        "version": VERSION,
        "revision": revision(PACK),
        "torch": str(torch.__version__),
        "accelerate": importlib.metadata.version("accelerate"),
    }


def revision(folder: Path) -> str:
    """The commit of a git checkout, with "-dirty" behind it where files differ; "" where there is none, or no git."""
    if not (folder / ".git").exists():  # a folder above may be another checkout
        return ""
    words = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def changes(preset: Any, used: Any) -> dict[str, Any]:
    """The numbers of a stage or schedule that are not its preset's, by name, those of its parts too."""
    before = flat(preset)
    return {name: value for name, value in flat(used).items() if value != before[name]}


def flat(data: Any) -> dict[str, Any]:
    """The fields of a dataclass; in the place of a part that is one, its fields."""
    found: dict[str, Any] = {}
    for field in fields(data):
        value = getattr(data, field.name)
        found |= flat(value) if is_dataclass(value) else {field.name: value}
    return found
