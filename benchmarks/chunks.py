"""What the size of a chunk does to the speed of a motion block: pairs with a CPU's size and a GPU's, in one process.

    python run.py bench chunks [--pairs 7] [--out out/chunks.json]

A motion block of DreaMoving-Tiny's widest level, both sides of guidance, 16 and 64 frames. Seconds are the process's own
on a CPU (the system's work for its memory included, which is what this is about) or the clock's on a GPU.
"""

import argparse
import json
import platform
import statistics
from pathlib import Path

import torch

from ..dreamoving_core.models.motion import MotionModule
from ..dreamoving_core.models.temporal import CHUNK_BYTES, CHUNK_BYTES_CPU, MotionConfig
from ..dreamoving_core.tiny.config import TinyConfig
from .preview import device, now

SIDE = 16  # of Tiny's latents, pixels
CALLS = 5  # of each size in a pair


def main(words: list[str]) -> int:
    options = read_options(words)
    where = "cuda" if torch.cuda.is_available() else "cpu"
    module = MotionModule(TinyConfig().model_channels, MotionConfig()).to(where).eval()
    figures = {}
    for frames in (16, 64):
        pairs = [pair_of(module, frames, where) for _ in range(options.pairs)]
        small, large = (statistics.median(each) for each in zip(*pairs, strict=True))
        figures |= {
            f"chunk_ratio_{frames}": round(statistics.median(a / b for a, b in pairs), 4),
            f"seconds_{frames}": round(small, 5),
        }
        print(f"{frames} frames: {small:.4f} s in chunks of {CHUNK_BYTES_CPU >> 20} MB, {large:.4f} s in those of "
              f"{CHUNK_BYTES >> 20} MB; ratio {figures[f'chunk_ratio_{frames}']:.3f}", flush=True)  # fmt: skip
    report = {
        "figures": figures,
        "settings": {"pairs": options.pairs, "calls": CALLS, "side": SIDE},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "device": device()},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf8")
    return 0


@torch.inference_mode()
def pair_of(module: MotionModule, frames: int, where: str) -> tuple[float, float]:
    """Seconds of a call in chunks of a CPU's size, and of a GPU's."""
    video = torch.randn(2 * frames, module.channels, SIDE, SIDE, device=where)
    seconds = []
    for size in (CHUNK_BYTES_CPU, CHUNK_BYTES):
        module.temporal_transformer.chunk_bytes = size
        module(video, num_frames=frames)
        began = now()
        for _ in range(CALLS):
            module(video, num_frames=frames)
        seconds.append((now() - began) / CALLS)
    return seconds[0], seconds[1]


def read_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench chunks", description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=7, help="pairs of sizes")
    parser.add_argument("--out", type=Path, default=Path("out/chunks.json"))
    return parser.parse_args(words)
