"""A scorecard as lines for people and as JSON for programs."""

import json
import math
from typing import Any

from .scorecard import MEASURES, Scorecard


def as_text(card: Scorecard) -> str:
    """One line per figure: the number, its unit, by what it was measured, where it is worst; or why there is none."""
    lines = [f"{card.num_frames} frames, {card.width} x {card.height}"]
    for name, figure in card.figures.items():
        if figure.value is None:
            lines.append(f"{name}: not measured ({figure.how})")
            continue
        worst = f"; worst: {', '.join(map(str, figure.worst))}" if figure.worst else ""
        lines.append(f"{name}: {number(figure.value)} {MEASURES[name].unit} ({figure.how}{worst})")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits that say something."""
    return f"{value:.3g}" if abs(value) >= 0.001 or value == 0 else f"{value:.1e}"


def as_data(card: Scorecard) -> dict[str, Any]:
    """`figures`, a flat map of what was measured; `details` with units, reasons and the value of each frame (null: none)."""
    return {
        "figures": {name: figure.value for name, figure in card.figures.items() if figure.value is not None},
        "frames": card.num_frames,
        "width": card.width,
        "height": card.height,
        "details": {
            name: {
                "value": figure.value,
                "unit": MEASURES[name].unit,
                "how": figure.how,
                "worst": list(figure.worst),
                "series": [None if math.isnan(value) else value for value in figure.series],
            }
            for name, figure in card.figures.items()
        },
    }


def as_json(card: Scorecard) -> str:
    """`as_data` as text."""
    return json.dumps(as_data(card), indent=1)
