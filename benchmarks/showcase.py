"""`python run.py bench showcase`: the README's GIF and the template's picture, from the demo's own graph.

Each row is one held-out person: face, clothes, the driving clip, and what DreaMoving-Tiny made of them. No seed is
chosen by its looks: the demo's own and the ones that follow it.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, repeat
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..dreamoving_core.procdance.sample import driven_clip
from ..dreamoving_core.video.layout import at_height
from .demo import with_seed
from .graph import ROOT, GraphRunner, load_graph
from .scores import demo_spec

FIRST_SEED = 7  # the demo's own
COLUMNS = ("face", "clothes", "driving clip", "DreaMoving-Tiny")
BAR = 22  # pixels, for the words above the columns
GIF, PICTURE = ROOT / "docs" / "demo.gif", ROOT / "workflows" / "00 Tiny demo, no downloads.jpg"


def row_of(runner: GraphRunner, seed: int, *, cell: int) -> Tensor:
    """One person's clip `f h w c`: two pictures that stand still, the driving clip, the result."""
    result = runner.outputs(with_seed(load_graph(), seed), "VAEDecode")[0].float()
    driven = driven_clip(demo_spec(seed, frames=len(result)))
    still = [
        repeat(at_height(picture, cell), "h w c -> f h w c", f=len(result))
        for picture in (driven.truth.face_reference, driven.truth.cloth_reference)
    ]
    moving = [torch.stack([at_height(f, cell) for f in clip]) for clip in (driven.driving, result)]
    return torch.cat([*still, *moving], dim=2).clamp(0, 1)


def with_words(frame: Tensor, *, cell: int) -> Image.Image:
    """A picture of `h w c` with the columns' names above it."""
    pixels = (frame * 255).round().byte().numpy()
    image = Image.new("RGB", (pixels.shape[1], pixels.shape[0] + BAR), "white")
    image.paste(Image.fromarray(np.ascontiguousarray(pixels)), (0, BAR))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13)
    for column, words in enumerate(COLUMNS):
        draw.text(((column + 0.5) * cell, BAR / 2), words, fill="black", font=font, anchor="mm")
    return image


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py bench showcase", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--cell", type=int, default=144, help="pixels")
    parser.add_argument("--every", type=int, default=2, help="frames of the clip per frame of the GIF")
    parser.add_argument("--gif", type=Path, default=GIF)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    runner = GraphRunner()
    rows = [row_of(runner, FIRST_SEED + i, cell=args.cell) for i in range(args.people)]
    clip = rearrange(torch.stack(rows), "row f h w c -> f (row h) w c")
    frames = [with_words(frame, cell=args.cell) for frame in clip[:: args.every]]
    rate = demo_spec(FIRST_SEED, frames=1).fps / args.every
    paletted = [frame.quantize(256, dither=Image.Dither.NONE) for frame in frames]
    paletted[0].save(args.gif, save_all=True, append_images=paletted[1:], duration=round(1000 / rate), loop=0)
    frames[len(frames) // 2].save(args.picture, quality=88)
    print(f"{args.gif}: {args.gif.stat().st_size / 1e6:.1f} MB; {args.picture}")
    return 0
