"""`python run.py bench registry-pictures`: the registry's icon and banner, drawn with ProcDance's dancers.

Nobody's photograph and nobody's logo: a dancer's pose over the dancer, and a row of people who dance.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..dreamoving_core.preprocess.draw_pose import draw_pose
from ..dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from ..dreamoving_core.procdance.clip import Clip, ClipSpec, render_clip

ROOT = Path(__file__).resolve().parents[1]
ICON, BANNER = ROOT / "docs" / "icon.png", ROOT / "docs" / "banner.png"
ICON_SIZE, BANNER_SIZE = 256, (1050, 450)  # [registry] at most 400 pixels square, and 21:9
COLOURS = 160  # of the palette: flat drawings keep their look, and the files get small
PEOPLE = (7, 11, 21, 34, 42)  # seeds; who they are does not matter
DANCE, FRAME = 7, 3


def dancer(seed: int, *, size: int) -> Clip:
    spec = ClipSpec(seed=seed, split="held_out", num_frames=FRAME + 1, size=size, dance_seed=DANCE)
    return render_clip(spec)


def picture_of(frame: Tensor) -> Image.Image:
    """`h w c` in [0, 1] as an image."""
    pixels = (frame.clamp(0, 1) * 255).round().byte().numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))


def pose_of(clip: Clip, *, size: int) -> Tensor:
    keypoints = encode_pose_keypoint(clip.keypoints[FRAME : FRAME + 1], width=size, height=size)
    return draw_pose(keypoints, width=size, height=size, stick_width=size / 90)[0]


def icon() -> Image.Image:
    """Half the dancer, half its pose."""
    clip = dancer(PEOPLE[0], size=ICON_SIZE)
    both = clip.images[FRAME].clone()
    half = ICON_SIZE // 2
    both[:, :half] = pose_of(clip, size=ICON_SIZE)[:, :half]
    return picture_of(both)


def banner() -> Image.Image:
    """One pose, then the people."""
    width, height = BANNER_SIZE
    size = width // (len(PEOPLE) + 1) // 2 * 2
    clips = [dancer(seed, size=size) for seed in PEOPLE]
    tiles = [pose_of(clips[0], size=size), *(clip.images[FRAME] for clip in clips)]
    canvas = Image.new("RGB", BANNER_SIZE, "#16161a")
    left = (width - size * len(tiles)) // 2
    for column, tile in enumerate(tiles):
        canvas.paste(picture_of(tile), (left + column * size, 40))
    draw = ImageDraw.Draw(canvas)
    below = 40 + size
    middle = below + (height - below) / 2
    draw.text((width / 2, middle - 28), "DreaMoving for ComfyUI", fill="#f4f4f8", font=font(76), anchor="mm")
    words = "a face, clothes, a prompt and a driving video become a dance"
    draw.text((width / 2, middle + 48), words, fill="#a8a8b4", font=font(28), anchor="mm")
    return canvas


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def main(argv: list[str]) -> int:
    argparse.ArgumentParser(
        prog="run.py bench registry-pictures", description=__doc__.splitlines()[0]
    ).parse_args(argv)
    torch.set_num_threads(1)
    for path, picture in ((ICON, icon()), (BANNER, banner())):
        picture.quantize(COLOURS).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)} {picture.size} {path.stat().st_size / 1000:.1f} kB")
    return 0
