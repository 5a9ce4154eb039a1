"""`python run.py bench parity [--only NAME]`: full-size public formats against independent implementations.

Each figure is the relative error of a whole network's output, on the CPU in fp32 with the same random weights on both
sides; each names what it was measured against.
"""

import argparse
import gc
import importlib.util
import json
import math
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ._comparison import Comparison

LARGEST = 1e-4  # what counts as the same result
PARTS = ("_parity_motion", "_parity_control", "_parity_guider")
ORACLES = ("torch", "diffusers", "open_clip_torch", "insightface", "onnxruntime")


def exists(part: str) -> bool:
    """A part can be left out while it is written; the report then says that it is not complete."""
    return importlib.util.find_spec(f".{part}", __package__) is not None


def comparisons() -> list[Comparison]:
    """Every comparison of every part, each name once."""
    modules = [importlib.import_module(f".{part}", __package__) for part in PARTS if exists(part)]
    found = [comparison for module in modules for comparison in module.comparisons()]
    names = [comparison.name for comparison in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Two comparisons have the name {', '.join(twice)}. Rename one.")
    return found


def chosen(found: Sequence[Comparison], only: Sequence[str]) -> list[Comparison]:
    """Those whose names contain one of `only`, or all. Raises SystemExit for a word that finds none."""
    for word in only:
        if not any(word in comparison.name for comparison in found):
            names = "\n  ".join(comparison.name for comparison in found)
            raise SystemExit(f"error: no comparison {word!r}. There are:\n  {names}")
    return [c for c in found if not only or any(word in c.name for word in only)]


def measure(comparison: Comparison) -> dict[str, Any]:
    """One figure with its seconds; an error is a figure that failed, and the others still run."""
    start = time.monotonic()
    figure: dict[str, Any] = {"against": comparison.against}
    try:
        with torch.inference_mode():
            figure["relative_error"] = float(comparison.run())
    except Exception as error:  # whatever an implementation throws: the table must show it beside the rest
        figure["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
    gc.collect()
    return figure | {"seconds": round(time.monotonic() - start, 1)}


def holds(figure: dict[str, Any]) -> bool:
    """Within the bar; NaN and a comparison that failed are not."""
    error = figure.get("relative_error", math.nan)
    return math.isfinite(error) and error <= LARGEST


def versions() -> dict[str, str]:
    """What the other sides were."""
    found = {"python": platform.python_version()}
    for package in ORACLES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def report(figures: dict[str, dict[str, Any]], *, complete: bool) -> dict[str, Any]:
    """What is written: `figures` are plain numbers by name, `measured` says how each came about."""
    return {
        "figures": {name: f["relative_error"] for name, f in figures.items() if "relative_error" in f},
        "measured": figures,
        "failed": sorted(name for name, figure in figures.items() if not holds(figure)),
        "largest_allowed": LARGEST,
        "complete": complete,
        "versions": versions(),
    }


def line(name: str, figure: dict[str, Any], *, width: int) -> str:
    """One line of the table."""
    value = f"{figure['relative_error']:.2e}" if "relative_error" in figure else figure["failed"]
    verdict = "holds" if holds(figure) else "FAILS"
    return f"{verdict}  {name:{width}}  {value}   {figure['against']}  ({figure['seconds']:.0f} s)"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py bench parity", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="part of a name; may be given again")
    parser.add_argument("--list", action="store_true", help="names alone")
    parser.add_argument("--out", type=Path, default=Path("out/parity.json"))
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    found = comparisons()
    wanted = chosen(found, args.only)
    if args.list:
        print("\n".join(comparison.name for comparison in wanted))
        return 0
    width = max((len(comparison.name) for comparison in wanted), default=0)
    figures: dict[str, dict[str, Any]] = {}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for comparison in wanted:
        figures[comparison.name] = measure(comparison)
        print(line(comparison.name, figures[comparison.name], width=width), flush=True)
        content = report(
            figures, complete=len(figures) == len(found) and all(map(exists, PARTS))
        )  # after each: a long run may be cut
        args.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")
    failed = sum(not holds(figure) for figure in figures.values())
    print(f"{len(figures) - failed} of {len(figures)} at most {LARGEST:g}, written to {args.out}")
    return 1 if failed or not figures else 0
