"""`python run.py bench story_pictures`: the pictures beside the workflows, from each story's Tiny variant in a real server.

No seed is chosen by its looks. Every picture says "Tiny": it shows what a graph does, not what full-size models look like.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..dreamoving_core.batch.client import Client, output_files
from ..dreamoving_core.batch.server import ServerSettings, free_port, running_server
from ..tools.demo import DEMO_WORKFLOW
from ..tools.workflows import STORIES, slug, tiny_path, workflow_path
from .graph import ROOT
from .stand_ins import write_stand_ins

COLUMNS, ROWS, CELL, BAR = (
    2,
    2,
    160,
    26,
)  # pictures, their size, room for the words above: the browser's cards are square


def sheet_of(video: Path, words: str) -> Image.Image:
    """Frames of a video, spread evenly, with words above."""
    with av.open(str(video)) as file:
        pictures = [frame.to_image() for frame in file.decode(video=0)]
    chosen = [pictures[i] for i in np.linspace(0, len(pictures) - 1, COLUMNS * ROWS).round().astype(int)]
    sheet = Image.new("RGB", (COLUMNS * CELL, ROWS * CELL + BAR), "white")
    for place, picture in enumerate(chosen):
        sheet.paste(
            picture.resize((CELL, CELL), Image.Resampling.LANCZOS),
            (place % COLUMNS * CELL, BAR + place // COLUMNS * CELL),
        )
    fonts = (ImageFont.load_default(size=size) for size in (12, 11, 10, 9))
    font = next((font for font in fonts if font.getlength(words) <= sheet.width - 4), None)
    ImageDraw.Draw(sheet).text((sheet.width / 2, BAR / 2), words, fill="black", font=font, anchor="mm")
    return sheet


def run_stories(names: list[str], folder: Path) -> None:
    """Run Tiny variants and put each one's video into `folder`."""
    import comfy

    with tempfile.TemporaryDirectory(prefix="dreamoving-") as base:
        write_stand_ins(Path(base) / "models")
        settings = ServerSettings(
            python=Path(sys.executable), comfyui=Path(comfy.__path__[0]).parent, pack=ROOT, base=Path(base),
            log=Path(base) / "server.log", port=free_port(), cpu=True, threads=1,
        )  # fmt: skip
        with running_server(settings):
            client = Client(settings.url, timeout=120)
            for name in names:
                graph = json.loads((ROOT / tiny_path(STORIES[name])).read_text(encoding="utf-8"))
                made = [file for file in output_files(client.run(graph)) if file.filename.endswith(".mp4")]
                (video,) = [file for file in made if file.type == STORIES[name].pictured]
                client.download(video, folder / f"{slug(STORIES[name])}.mp4")
                print(name)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py bench story_pictures", description=__doc__.splitlines()[0])
    parser.add_argument("stories", nargs="*", help="names of stories; all of them when none is given")
    parser.add_argument(
        "--videos", type=Path, help="where videos of a run lie; without it they are made anew"
    )
    args = parser.parse_args(argv)
    names = args.stories or list(STORIES)
    with tempfile.TemporaryDirectory(prefix="dreamoving-") as made:
        folder = args.videos or Path(made)
        if not args.videos:
            run_stories(names, folder)
        for name in names:
            shown = "a drawn dance" if STORIES[name].pictured == "output" else "the fitted poses"
            picture = sheet_of(folder / f"{slug(STORIES[name])}.mp4", f"{name}: DreaMoving-Tiny, {shown}")
            path = (ROOT / workflow_path(STORIES[name])).with_suffix(".jpg")
            picture.save(path, quality=88)
            print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
    demo = (ROOT / DEMO_WORKFLOW).with_suffix("")
    shutil.copy(f"{demo}.jpg", f"{demo}.app.jpg")  # the quick start's own, by `run.py bench showcase`
    return 0
