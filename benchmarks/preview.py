"""What the sampler's moving preview costs: pairs with and without it, one after the other, in one process.

    python run.py bench preview [--pairs 7] [--frames 32] [--steps 10] [--out out/preview.json]

The demo's own sampler on DreaMoving-Tiny. Each preview is also made into the JPEG that the server would send. Seconds
are the process's own (on a CPU, which other programs may share) or the clock's (on a GPU). The order in a pair
alternates; the ratio is the median over the pairs. Exit status 1 when it is above 1.03.
"""

import argparse
import json
import platform
import statistics
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import ImageOps

from .graph import GraphRunner, changed, load_graph

LIMIT = 1.03
SAMPLER = "DreaMovingSampler"


class SentPreviews:
    """Stands where ComfyUI's server does: takes progress, and makes previews into JPEGs as `server.py` does."""

    def __init__(self) -> None:
        self.count, self.bytes = 0, 0

    def __call__(self, value: int, total: int, preview: Any, node_id: str | None = None) -> None:
        if preview is None:
            return
        kind, picture, limit = preview
        file = BytesIO()
        ImageOps.contain(picture, (limit, limit)).save(file, format=kind, quality=95)
        self.count += 1
        self.bytes += file.tell()


def main(words: list[str]) -> int:
    import comfy.utils

    options = read_options(words)
    sent = SentPreviews()
    comfy.utils.set_progress_bar_global_hook(sent)
    graph = changed(load_graph(), {SAMPLER: {"steps": options.steps, "frames": options.frames}})
    graph = changed(graph, {"DreaMovingSampleClip": {"frames": options.frames}})
    runner = GraphRunner()
    runner.outputs(changed(graph, {SAMPLER: {"steps": 1}}), SAMPLER)  # loads what is loaded once
    sent.count = sent.bytes = 0  # of the pairs alone
    before = set(runner.kept)
    pairs = []
    for number in range(options.pairs):
        seconds = {}
        for preview in (True, False) if number % 2 else (False, True):
            began = now()
            runner.outputs(changed(graph, {SAMPLER: {"preview": preview}}), SAMPLER)
            seconds[preview] = now() - began
            runner.kept = {key: value for key, value in runner.kept.items() if key in before}
        pairs.append(seconds)
        print(f"pair {number + 1}: {seconds[True]:.3f} s with, {seconds[False]:.3f} s without", flush=True)
    ratios = [pair[True] / pair[False] for pair in pairs]
    ratio = statistics.median(ratios)
    report = {
        "figures": {
            "preview_cost_ratio": round(ratio, 4),
            "previews_per_run": sent.count / options.pairs,
            "seconds_without": round(statistics.median(pair[False] for pair in pairs), 3),
        },
        "settings": {"pairs": options.pairs, "frames": options.frames, "steps": options.steps, "limit": LIMIT},
        "details": {"ratios": [round(each, 4) for each in ratios], "bytes_per_preview": sent.bytes // max(sent.count, 1)},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "device": device()},
    }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1), encoding="utf8")
    print(
        f"\nwith / without: {ratio:.4f} (median of {options.pairs} pairs), {sent.count} previews; {options.out}"
    )
    return 0 if ratio <= LIMIT else 1


def read_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench preview", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7, help="pairs of runs")
    parser.add_argument("--frames", type=int, default=32, help="frames of the clip")
    parser.add_argument("--steps", type=int, default=10, help="steps of the sampler")
    parser.add_argument("--out", type=Path, default=Path("out/preview.json"))
    return parser.parse_args(words)


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu"
