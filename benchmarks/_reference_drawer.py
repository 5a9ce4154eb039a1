"""controlnet_aux's pose drawer, installed on demand beside the environment and not into it.

Its detectors need packages that the drawing doesn't, so the module that draws is loaded alone: what it imports from the detectors are
two tuples of names.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

VERSION = "0.0.10"
PACKAGES = (
    f"controlnet_aux=={VERSION}", "matplotlib", "cycler", "kiwisolver", "contourpy", "python-dateutil", "six", "pyparsing",
    "packaging", "fonttools",
)  # fmt: skip


class Keypoint(NamedTuple):
    """What the drawer reads of a point: fractions of the canvas."""

    x: float
    y: float


def load_drawer(folder: Path) -> ModuleType:
    """`controlnet_aux.open_pose.util`, from `folder`, where pip puts it if it isn't there yet."""
    source = folder / "controlnet_aux" / "open_pose" / "util.py"
    if not source.is_file():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*pip, *PACKAGES], check=True)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last: what the environment has comes from there
    body = ModuleType("reference_drawer.body")
    body.Keypoint, body.BodyResult = Keypoint, object
    package = ModuleType("reference_drawer")
    package.__path__ = []
    sys.modules |= {"reference_drawer": package, "reference_drawer.body": body}
    spec = importlib.util.spec_from_file_location("reference_drawer.util", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference_picture(
    drawer: ModuleType, people: Sequence[dict[str, np.ndarray]], *, width: int, height: int
) -> np.ndarray:
    """`h w 3` uint8 of people with parts `j 3` in pixels, drawn as its `draw_poses` does."""
    canvas = np.zeros((height, width, 3), dtype=np.uint8)

    def points(part: np.ndarray, missing: Keypoint | None) -> list[Keypoint | None]:
        return [Keypoint(x / width, y / height) if seen else missing for x, y, seen in part.tolist()]

    for person in people:
        canvas = drawer.draw_bodypose(canvas, points(person["body"], None))
        for hand in ("left_hand", "right_hand"):  # there a missing point is one in the corner
            canvas = drawer.draw_handpose(canvas, points(person[hand], Keypoint(0, 0)))
        canvas = drawer.draw_facepose(canvas, points(person["face"], Keypoint(0, 0)))
    return canvas
