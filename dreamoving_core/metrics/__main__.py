"""`python -m dreamoving_core.metrics FOLDER --truth FOLDER`: the benchmark's metrics for anyone's videos.

Each folder holds videos, or folders of numbered PNG pictures (or such pictures themselves); a clip, its truth and its
mask have the same name, size and number of frames. Nothing is downloaded: LPIPS is told where its network lies already,
joints where you name the detectors. The flow behind the warp error is estimated on the truth, by OpenCV.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

from ..errors import DreaMovingError, InputError
from ..preprocess.dwpose import ExtractSettings, open_extractor
from ..tiny import files
from .clip_files import files_in
from .figure_words import FIGURES, told
from .judges import Judges
from .video_pairs import compare

COLUMNS = 4  # clips that a table has room for


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dreamoving_core.metrics",
        description=__doc__,
        epilog=f"figures:\n{told()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, help="the videos to judge")
    add("--truth", type=Path, metavar="FOLDER", help="what they should look like")
    add("--masks", type=Path, metavar="FOLDER", help="where the person is in the truth: white on black")
    add("--detector", metavar="FILE", help="person detector, such as yolox_l.onnx; 'tiny' for drawn dancers")
    add("--pose-model", metavar="FILE", help="point network, such as dw-ll_ucoco_384.onnx; or 'tiny'")
    add("--json", type=Path, metavar="FILE", help="write the figures here, of each clip and their mean")
    return parser


def judges_of(words: argparse.Namespace) -> Judges:
    """InputError for one detector without the other or without a truth, and for a file that is not there;
    WeightsError for one of another kind."""
    if bool(words.detector) != bool(words.pose_model):
        raise InputError("--detector and --pose-model go together: one finds people, the other their joints.")
    if not words.detector:
        return Judges()
    if words.truth is None:
        raise InputError(
            "--detector and --pose-model compare the dancer with the true one: give --truth too."
        )
    people = files.chosen(words.detector, option="--detector", own=files.PERSON_DETECTOR)
    points = files.chosen(words.pose_model, option="--pose-model", own=files.POINT_DETECTOR)
    return Judges(open_extractor(people, points, ExtractSettings()))


def measured(folder: Path, truth: Path | None, *, masks: Path | None = None, judges: Judges) -> dict:
    """`figures`: the mean over clips; `clips`: of each; `notes`: what was left out."""
    clips, notes = {}, []
    for name, found in files_in(folder, truth=truth, masks=masks).items():
        clips[folder.name if name == "." else name], said = compare(found, judges)
        notes += [note for note in said if note not in notes]
    metrics = [m for m in FIGURES if any(m in figures for figures in clips.values())]
    mean = {m: statistics.fmean(figures[m] for figures in clips.values() if m in figures) for m in metrics}
    return {"figures": mean, "clips": clips, "notes": notes}


def table(found: dict) -> list[str]:
    """The figures for people: a line per figure, with the mean and each clip if there are few."""
    few = found["clips"] if len(found["clips"]) <= COLUMNS else {}
    columns = {"mean": found["figures"], **few}
    wide = {name: max(len(name), 10) + 2 for name in columns}
    lines = [" " * 25 + "".join(f"{name:>{wide[name]}}" for name in columns)]
    for metric in found["figures"]:
        cells = (cell(figures.get(metric)).rjust(wide[name]) for name, figures in columns.items())
        lines.append(f"{metric:25}" + "".join(cells))
    return [*lines, *found["notes"]]


def cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def plain(value: object) -> object:
    """JSON has no infinity, which equal clips have as their PSNR: null there."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isinf(value) else value


def main() -> int:
    """The command line; 1 when something is refused."""
    words = arguments().parse_args()
    try:
        found = measured(words.folder, words.truth, masks=words.masks, judges=judges_of(words))
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
