"""`python run.py bench preprocess`: preprocessing against truth and against other implementations.

Every figure has a value, the bar that it must keep where there is one, and how it was measured.
"""

import argparse
import importlib
import json
import platform
import time
from pathlib import Path

import torch

PARTS = (
    "_pose_figures",
    "_depth_figures",
    "_pose_extract_figures",
)  # each has figures(folder) -> name -> {"value", "at_most" or "at_least", "against"}


def holds(figure: dict) -> bool:
    """Whether a figure keeps its bar; one without a bar does, NaN does not."""
    value = figure["value"]
    return value == value and figure.get("at_least", value) <= value <= figure.get("at_most", value)


def report(found: dict[str, dict], *, seconds: float) -> dict:
    """What the JSON file holds: the plain figures first."""
    return {
        "figures": {name: figure["value"] for name, figure in found.items()},
        "bars": {n: holds(f) for n, f in found.items() if "at_most" in f or "at_least" in f},
        "measured": found,
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "seconds": seconds,
    }


def line(name: str, figure: dict) -> str:
    """One row of the table."""
    bar = " ".join(
        f"{word.replace('_', ' ')} {figure[word]:g}" for word in ("at_least", "at_most") if word in figure
    )
    verdict = ("holds" if holds(figure) else "FAILS") if bar else ""
    return f"{name:34} {figure['value']:12.4f}  {bar:14} {verdict:6} {figure['against']}"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py bench preprocess", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/preprocess.json"))
    parser.add_argument(
        "--reference",
        type=Path,
        default=Path("out/reference"),
        help="where packages to compare with are installed",
    )
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    found: dict[str, dict] = {}
    start = time.monotonic()
    for part in PARTS:
        module = importlib.import_module(f".{part}", __package__)
        for name, figure in module.figures(args.reference).items():
            figure["value"] = float(figure["value"])
            found[name] = figure
            print(line(name, figure), flush=True)
    result = report(found, seconds=time.monotonic() - start)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if all(result["bars"].values()) else 1
