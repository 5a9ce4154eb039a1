"""A video file as a stream of frames. Frames are `h w c` in [0, 1], sound is ComfyUI's AUDIO."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import torch
from av.video.reformatter import Colorspace
from PIL import Image, ImageSequence, UnidentifiedImageError
from torch import Tensor

from ..errors import InputError

Item = TypeVar("Item")
# numbers of H.273 -> the converter's names; 2 (unspecified) and the rest keep the converter's own default
MATRICES = {1: Colorspace.ITU709, 5: Colorspace.ITU601, 6: Colorspace.ITU601}


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What the header says. `duration` in seconds; 0 where the file does not tell."""

    width: int
    height: int
    frame_rate: Fraction
    duration: float
    has_audio: bool


def probe_video(path: str | Path) -> VideoInfo:
    """Size, rate and length, without decoding the frames (WebP, which has no such header, is walked through)."""
    if _is_webp(path):
        return _probe_webp(path)
    with _opened(path) as container:
        stream = container.streams.video[0]
        turned = _quarter_turns(_present(next(container.decode(stream), None), path)) % 2
        return VideoInfo(
            width=stream.height if turned else stream.width,
            height=stream.width if turned else stream.height,
            frame_rate=Fraction(stream.average_rate or stream.guessed_rate or 1),
            duration=float(container.duration / av.time_base) if container.duration else 0.0,
            has_audio=bool(container.streams.audio),
        )


def read_frames(path: str | Path, *, start: int = 0, count: int | None = None) -> Iterator[Tensor]:
    """Frames `start` to `start + count` in the order shown, `h w 3`, upright as a phone meant them.

    One frame is in memory at a time. Raises InputError for a file that is no video, or is damaged.
    """
    frames = _webp_frames(path) if _is_webp(path) else _decoded_frames(path)
    first = _present(next(frames, None), path)
    stop = None if count is None else start + count
    for pixels in islice(chain((first,), frames), start, stop):
        yield torch.from_numpy(pixels).to(torch.float32).div_(255.0)


def read_audio(path: str | Path) -> dict | None:
    """The first audio stream as `{"waveform": 1 c t, "sample_rate"}`, or None in a silent file."""
    if _is_webp(path):
        return None
    with _opened(path) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp")
        pieces = [
            torch.from_numpy(piece.to_ndarray())
            for frame in (*container.decode(stream), None)
            for piece in resampler.resample(frame)
        ]
        if not pieces:
            return None
        return {"waveform": torch.cat(pieces, dim=1).unsqueeze(0), "sample_rate": stream.rate}


def _decoded_frames(path: str | Path) -> Iterator[np.ndarray]:
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            matrix = MATRICES.get(int(frame.colorspace))  # PyAV 16 does not look at it by itself
            pixels = frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()
            turns = _quarter_turns(frame)
            yield np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _quarter_turns(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) % 4


def _present(frame: Item | None, path: str | Path) -> Item:
    if frame is None:
        raise InputError(
            f"{Path(path).name} holds not one whole frame; its download was cut short, it seems. Fetch or export it again."
        )
    return frame


@contextmanager
def _opened(path: str | Path) -> Iterator[av.container.InputContainer]:
    name = Path(path).name
    if not Path(path).is_file():
        raise InputError(f"There is no file {str(path)!r}. Check the name, or choose the file again.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(
                    f"{name} holds no picture that can be read: it is sound only, or its download was cut short. "
                    "Play it in a player, then choose another file or fetch it again."
                )
            yield container
    except av.error.FFmpegError as error:
        raise InputError(
            f"{name} cannot be read as a video ({error.strerror}). It may be damaged, or its download cut short: "
            "play it in a player, then fetch or export it again."
        ) from error


def _is_webp(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".webp"


def _webp_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Through PIL: FFmpeg reads animated WebP only in its newest versions, and reports a wrong size there."""
    with _opened_webp(path) as image:
        for frame in ImageSequence.Iterator(image):
            yield np.array(frame.convert("RGB"))


def _probe_webp(path: str | Path) -> VideoInfo:
    with _opened_webp(path) as image:
        milliseconds = [frame.info["duration"] for frame in ImageSequence.Iterator(image) if frame.load()]
        duration = sum(milliseconds) / 1000
        rate = (
            Fraction(len(milliseconds) * 1000, sum(milliseconds)).limit_denominator(1001)
            if duration
            else Fraction(1)
        )
        return VideoInfo(
            width=image.width, height=image.height, frame_rate=rate, duration=duration, has_audio=False
        )


@contextmanager
def _opened_webp(path: str | Path) -> Iterator[Image.Image]:
    if not Path(path).is_file():
        raise InputError(f"There is no file {str(path)!r}. Check the name, or choose the file again.")
    try:
        with Image.open(path) as image:
            yield image
    except (UnidentifiedImageError, OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{Path(path).name} cannot be read as a picture ({error}). It may be damaged: export it again."
        ) from error
