"""`python run.py train curves FOLDER`: the losses of every stage in a folder of a run, as one SVG picture."""

import argparse
import contextlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from ..errors import InputError

log = logging.getLogger(__name__)

WIDTH, HEIGHT, MARGIN = 300, 120, 28  # of a panel, in pixels
COLUMNS = 3
SMOOTHED = 0.05  # of a stage's length: a single step's loss depends on the noise level that it drew
Points = Sequence[tuple[float, float]]


def read_losses(path: Path) -> Points:
    """(step, loss) of a stage's log. A run that went back to its checkpoint wrote some steps twice: the last one counts. A
    run that was cut may have left half a line: it is left out, and so are the lines about the run itself."""
    losses = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            row = json.loads(line)
            if "loss" in row:
                losses[row["step"]] = row["loss"]
    return sorted(losses.items())


def smoothed(points: Points) -> Points:
    """A running mean over SMOOTHED of all points, at each of them."""
    reach = max(1, round(len(points) * SMOOTHED / 2))
    values = [value for _, value in points]
    means = []
    for i, (step, _) in enumerate(points):
        near = values[max(0, i - reach) : i + reach + 1]
        means.append((step, sum(near) / len(near)))
    return means


def panel(name: str, points: Points, *, left: float, top: float) -> list[str]:
    """One stage: its smoothed loss, from the lowest to the highest of it."""
    curve = smoothed(points)
    steps, values = zip(*curve, strict=True)
    low, high, last = min(values), max(values), max(steps)
    spread = (high - low) or 1.0
    places = [
        f"{left + WIDTH * step / last:.1f},{top + HEIGHT * (1 - (value - low) / spread):.1f}"
        for step, value in curve
    ]
    words = escape(f"{name}: {last} steps, loss {values[0]:.3g} to {values[-1]:.3g}")
    return [
        f'<text x="{left}" y="{top - 8}">{words}</text>',
        f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
        f'<polyline points="{" ".join(places)}" fill="none" stroke="#3465a4" stroke-width="1.5"/>',
        f'<text x="{left + WIDTH - 3}" y="{top + 12}" text-anchor="end" fill="#888">{high:.3g}</text>',
        f'<text x="{left + WIDTH - 3}" y="{top + HEIGHT - 4}" text-anchor="end" fill="#888">{low:.3g}</text>',
    ]


def picture(stages: dict[str, Points]) -> str:
    """All stages in a grid."""
    rows = -(-len(stages) // COLUMNS)
    width, height = COLUMNS * (WIDTH + MARGIN) + MARGIN, rows * (HEIGHT + 2 * MARGIN)
    shapes = [
        shape
        for number, (name, points) in enumerate(stages.items())
        for shape in panel(
            name,
            points,
            left=MARGIN + number % COLUMNS * (WIDTH + MARGIN),
            top=MARGIN + number // COLUMNS * (HEIGHT + 2 * MARGIN),
        )
    ]
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="white"/>', *shapes, "</svg>\n"])


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py train curves", description=__doc__)
    parser.add_argument("folder", type=Path, help="the --folder of a run")
    parser.add_argument("--out", type=Path, help="the picture (default: curves.svg in that folder)")
    args = parser.parse_args(argv)
    logs = sorted(args.folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    stages = {path.stem: read_losses(path) for path in logs}
    stages = {name: points for name, points in stages.items() if points}
    if not stages:
        raise InputError(
            f"There are no logs in {args.folder}. Give the --folder of a training run: it holds STAGE.jsonl."
        )
    out = args.out or args.folder / "curves.svg"
    out.write_text(picture(stages), encoding="utf-8")
    log.info("wrote %s: %s", out, ", ".join(stages))
    return 0
