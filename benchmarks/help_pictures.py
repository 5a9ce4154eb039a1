"""`python run.py bench help-pictures [NAME ...]`: the clips and pictures of the help pages, `web/docs/pictures/`.

One animated WebP per main input: the same seed with one number changed, side by side. What is sampled is sampled by
DreaMoving-Tiny, and says so; the rest is drawn. Pictures that are there stay unless they are named or `--again` is given.
"""

import argparse
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ._help_drawn import DRAWN
from ._help_sampled import SAMPLED, TinyGraph

FOLDER = Path(__file__).resolve().parents[1] / "web" / "docs" / "pictures"
LARGEST = 60_000  # bytes of one file; help pages are read over slow lines too
CELL = 128  # pixels of a tile's height
WORDS, GAP, MARGIN = 18, 4, 6  # pixels: the line above a tile, between tiles, around all
GROUND, TEXT, BADGE = "#1b1b1f", "#e8e8ee", "#9a9aa4"
RATE = 12  # frames per second
QUALITIES = (70, 55, 40, 28, 18, 10)

Tile = tuple[str, Tensor]  # words, clip `f h w c` in [0, 1]
PICTURES: dict[str, Callable[..., list[Tile]]] = {**SAMPLED, **DRAWN}


def frame_picture(tiles: Sequence[Tile], frame: int, *, badge: str) -> Image.Image:
    """All tiles at one frame (a shorter clip stays at its last), words above, the badge below."""
    pictures = []
    for _, clip in tiles:
        pixels = (clip[min(frame, len(clip) - 1)].clamp(0, 1) * 255).round().byte().numpy()
        image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        width = round(image.width * CELL / image.height)
        pictures.append(image.resize((width, CELL), Image.Resampling.LANCZOS))
    total = sum(p.width for p in pictures) + GAP * (len(pictures) - 1) + 2 * MARGIN
    canvas = Image.new("RGB", (total, CELL + 2 * WORDS + MARGIN), GROUND)
    draw = ImageDraw.Draw(canvas)
    at = MARGIN
    for (words, _), picture in zip(tiles, pictures, strict=True):
        size = next(s for s in (12, 11, 10, 9, 8, 7) if s == 7 or font(s).getlength(words) <= picture.width)
        draw.text((at + picture.width / 2, WORDS / 2 + 2), words, fill=TEXT, font=font(size), anchor="mm")
        canvas.paste(picture, (at, WORDS + 2))
        at += picture.width + GAP
    draw.text((total - MARGIN, canvas.height - WORDS / 2 - 1), badge, fill=BADGE, font=font(10), anchor="rm")
    return canvas


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def encoded(tiles: Sequence[Tile], *, badge: str) -> bytes:
    """An animated WebP below `LARGEST`, at the best quality that fits."""
    frames = [
        frame_picture(tiles, frame, badge=badge) for frame in range(max(len(clip) for _, clip in tiles))
    ]
    data = b""
    for quality in QUALITIES:
        file = io.BytesIO()
        frames[0].save(
            file, "WEBP", save_all=True, append_images=frames[1:], duration=round(1000 / RATE), loop=0,
            quality=quality, method=4, minimize_size=True,
        )  # fmt: skip
        data = file.getvalue()
        if len(data) < LARGEST:
            return data
    raise SystemExit(f"{len(data)} bytes even at quality {QUALITIES[-1]}: show fewer frames or tiles.")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py bench help-pictures", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    parser.add_argument("--again", action="store_true", help="make those that are there too")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.names) - PICTURES.keys()
    if unknown:
        parser.error(f"no pictures {', '.join(sorted(unknown))}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    graph = TinyGraph()
    torch.set_num_threads(1)
    for name in arguments.names or PICTURES:
        file = FOLDER / f"{name}.webp"
        if file.is_file() and not (arguments.again or arguments.names):
            continue
        sampled = name in SAMPLED
        with torch.inference_mode():
            tiles = PICTURES[name](graph) if sampled else PICTURES[name]()
        drawn = "drawn by Keyframes" if name == "keyframes" else "drawn by Sample Clip"
        badge = "DreaMoving-Tiny, 128 x 128" if sampled else drawn
        data = encoded(tiles, badge=badge)
        file.write_bytes(data)
        print(f"{name:24} {len(tiles)} tiles {len(data) / 1000:6.1f} kB", flush=True)
    return 0
