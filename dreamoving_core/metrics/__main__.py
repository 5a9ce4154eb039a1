"""`python -m dreamoving_core.metrics FOLDER --truth FOLDER`: the benchmark's metrics for anyone's videos.

Each folder holds videos, or folders of numbered PNG pictures (or such pictures themselves); a clip and its truth have
the same name. Nothing is downloaded: LPIPS is told where its network lies already.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

from ..errors import DreaMovingError
from .judges import Judges
from .video_pairs import compare, pairs_in


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dreamoving_core.metrics",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="the videos to judge")
    parser.add_argument("--truth", type=Path, help="what they should look like")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser


def measured(folder: Path, truth: Path | None) -> dict:
    """`figures`: the mean over clips; `clips`: of each; `notes`: what was left out."""
    judges, clips, notes = Judges(), {}, []
    for name, (clip, true) in pairs_in(folder, truth).items():
        clips[folder.name if name == "." else name], said = compare(clip, true, judges)
        notes += [note for note in said if note not in notes]
    metrics = dict.fromkeys(metric for figures in clips.values() for metric in figures)
    mean = {m: statistics.fmean(figures[m] for figures in clips.values() if m in figures) for m in metrics}
    return {"figures": mean, "clips": clips, "notes": notes}


def table(found: dict) -> list[str]:
    """The figures for people: a line per clip, the mean below."""
    metrics, wide = list(found["figures"]), max(len(name) for name in [*found["clips"], "mean"]) + 2
    lines = [" " * wide + "".join(f"{metric:>18}" for metric in metrics)]
    for name, figures in [*found["clips"].items(), ("mean", found["figures"])]:
        cells = (f"{figures[m]:18.4f}" if m in figures else f"{'-':>18}" for m in metrics)
        lines.append(f"{name:{wide}}" + "".join(cells))
    return [*lines, *found["notes"]]


def plain(value: object) -> object:
    """JSON has no infinity, which equal clips have as their PSNR: null there."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isinf(value) else value


def main() -> int:
    """The command line; 1 when something is refused."""
    words = arguments().parse_args()
    try:
        found = measured(words.folder, words.truth)
    except DreaMovingError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if words.json:
        words.json.parent.mkdir(parents=True, exist_ok=True)
        words.json.write_text(json.dumps(plain(found), indent=1) + "\n", encoding="utf8")
    sys.stdout.write("\n".join(table(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
