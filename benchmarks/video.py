"""Memory and speed of Video Combine: the peak above its input, each case in a process of its own. Linux only.

    python run.py bench video [--size 1280x720] [--images 300] [--streamed 3000] [--each 90] [--out out/video.json]

The node's own path, `bridge/video_result.py`, from an IMAGE in memory and from a VIDEO that is read from its file; then
every format from an IMAGE of `--each` frames. Exit status 1 when one of the first two needs more than 400 MiB.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ._resident import peak_bytes, start_counting

LIMIT_MIB = 400
RATE = Fraction(24)
MIB = 2**20


def main(words: list[str]) -> int:
    options = read_options(words)
    if options.case:
        source, format, frames = options.case.split(":")
        print(json.dumps(run_case(source, format, int(frames), options.size)))
        return 0
    cases = {f"images_{options.images}": f"images:mp4:{options.images}"}
    cases[f"streamed_{options.streamed}"] = f"streamed:mp4:{options.streamed}"
    limited = list(cases)
    if options.each:
        cases[f"streamed_ping_pong_{options.each}"] = f"ping_pong:mp4:{options.each}"
    for name in format_names() if options.each else ():
        cases[f"{name.replace(' ', '_')}_{options.each}"] = f"images:{name}:{options.each}"
    found = {}
    for name, case in cases.items():
        found[name] = in_own_process(case, options.size)
        print(
            f"{name:32} {found[name]['peak_mib']:8.1f} MiB {found[name]['frames_per_second']:8.1f} frames/s",
            flush=True,
        )
    figures = {
        f"{name}_{key}": value
        for name, case in found.items()
        for key, value in case.items()
        if key in ("peak_mib", "frames_per_second")
    }
    report = {
        "figures": figures,
        "settings": {"size": options.size, "limit_mib": LIMIT_MIB, "rate": str(RATE)},
        "versions": versions(),
        "details": found,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1), encoding="utf8")
    print(f"\nwritten to {options.out}")
    too_much = [name for name in limited if found[name]["peak_mib"] > LIMIT_MIB]
    if too_much:
        print(f"more than {LIMIT_MIB} MiB above the input: {', '.join(too_much)}")
    return 1 if too_much else 0


def read_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench video", description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="1280x720", help="width x height in pixels")
    parser.add_argument("--images", type=int, default=300, help="frames of the IMAGE")
    parser.add_argument("--streamed", type=int, default=3000, help="frames of the VIDEO")
    parser.add_argument("--each", type=int, default=90, help="frames of every format; 0 leaves them out")
    parser.add_argument("--out", type=Path, default=Path("out/video.json"))
    parser.add_argument("--case", help=argparse.SUPPRESS)  # what the processes of its own are started with
    return parser.parse_args(words)


def in_own_process(case: str, size: str) -> dict[str, Any]:
    """The result of `run_case` in a fresh process, so that no case inherits another one's memory."""
    inside = Path(__file__).absolute().parents[1] / "tools" / "inside.py"
    command = [sys.executable, str(inside), "bench", "video", "--case", case, "--size", size]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_case(source: str, format: str, frames: int, size: str) -> dict[str, Any]:
    """Peak resident memory in MiB above what was resident when the input was there, and frames per second."""
    import folder_paths

    from ..dreamoving_core.bridge.video_result import CombineSettings, combine_video

    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory(prefix="dreamoving-") as folder:
        folder_paths.set_output_directory(folder)
        folder_paths.set_temp_directory(folder)
        settings = CombineSettings(
            prefix="clip", format=format, frame_rate=RATE, ping_pong=source == "ping_pong"
        )
        with torch.inference_mode():
            combine_video(drawn(2, width=64, height=64), settings)  # loads what is loaded once
            images = source_of(source, frames, width=width, height=height, folder=Path(folder))
            before = start_counting()
            began = time.perf_counter()
            combine_video(images, settings)
            seconds = time.perf_counter() - began
            peak = peak_bytes()
    shown = 2 * frames - 2 if settings.ping_pong else frames
    return {
        "peak_mib": round((peak - before) / MIB, 1),
        "input_mib": round(before / MIB, 1),
        "frames": shown,
        "seconds": round(seconds, 2),
        "frames_per_second": round(shown / seconds, 2),
    }


def source_of(source: str, frames: int, *, width: int, height: int, folder: Path) -> Any:
    """An IMAGE, or a core VIDEO of a file."""
    from comfy_api.latest import InputImpl

    from ..dreamoving_core.video.encode import encode_video

    if source == "images":
        return drawn(frames, width=width, height=height)
    path = folder / "source.mp4"
    pictures = drawings(frames, width=width, height=height)
    encode_video(path, pictures, format="mp4", frame_rate=RATE, preset="ultrafast")
    return InputImpl.VideoFromFile(str(path))


def drawn(frames: int, *, width: int, height: int) -> Tensor:
    """An IMAGE `f h w c`."""
    images = torch.empty(frames, height, width, 3)
    for image, drawing in zip(images, drawings(frames, width=width, height=height), strict=True):
        image.copy_(drawing)
    return images


def drawings(frames: int, *, width: int, height: int) -> Iterator[Tensor]:
    """Frames `h w 3` with movement and some grain, which is what encoders spend memory on."""
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0.1, 0.8, 2 * width).expand(height, -1)
    grain = 0.1 * torch.rand(height, width, 3, generator=generator)
    for i in range(frames):
        start = 4 * i % width
        yield grain.roll(3 * i, dims=1) + ramp[:, start : start + width, None]


def format_names() -> list[str]:
    from ..dreamoving_core.video.formats import FORMATS

    return list(FORMATS)


def versions() -> dict[str, Any]:
    import av

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "av": av.__version__,
        "ffmpeg": {name: list(number) for name, number in av.library_versions.items()},
        "processors": os.cpu_count(),
    }
