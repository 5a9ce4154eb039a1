"""Clips that FFmpeg does not read well, through PIL: animated WebP, and folders of numbered pictures. Pixels: h w c."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from ..errors import InputError

FRAME_RATE = "frame_rate"  # a text in the first picture of a folder


def is_pictures(source: str | Path | BytesIO) -> bool:
    """Whether `source` is read here. FFmpeg reads WebP only in its newest versions, and reports a wrong size there."""
    return not isinstance(source, BytesIO) and (
        Path(source).suffix.lower() == ".webp" or Path(source).is_dir()
    )


def picture_pixels(path: str | Path, *, alpha: bool = False) -> Iterator[np.ndarray]:
    """uint8 frames in order; with `alpha` four channels where the file has them."""
    for file in _files(path):
        with _opened(file) as image:
            for frame in ImageSequence.Iterator(image):
                yield np.array(frame.convert("RGBA" if alpha and frame.mode == "RGBA" else "RGB"))


def probe_pictures(path: str | Path) -> tuple[int, int, Fraction, float]:
    """Width, height, frames per second and seconds."""
    files = _files(path)
    with _opened(files[0]) as image:
        size = image.width, image.height
        if Path(path).is_dir():
            rate = Fraction(image.info.get(FRAME_RATE, 1))
            return *size, rate, float(len(files) / rate)
        milliseconds = [frame.info["duration"] for frame in ImageSequence.Iterator(image) if frame.load()]
    total = sum(milliseconds)
    rate = Fraction(len(milliseconds) * 1000, total).limit_denominator(1001) if total else Fraction(1)
    return *size, rate, total / 1000


def _files(path: str | Path) -> list[Path]:
    if not Path(path).is_dir():
        return [Path(path)]
    files = sorted(Path(path).glob("*.png"))
    if not files:
        raise InputError(
            f"The folder {str(path)!r} holds no PNG pictures. Choose the folder of a png sequence."
        )
    return files


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if not path.is_file():
        raise InputError(f"There is no file {str(path)!r}. Check the name, or choose the file again.")
    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path.name} cannot be read as a picture ({error}). It may be damaged: export it again."
        ) from error
