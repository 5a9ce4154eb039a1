"""A video file, or a folder of pictures, as a stream of frames. Frames are `h w c` in [0, 1], sound is ComfyUI's AUDIO."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import torch
from av.video.reformatter import Colorspace
from torch import Tensor

from ..errors import InputError
from .pictures import is_pictures, picture_pixels, probe_pictures
from .pixels import to_floats

Item = TypeVar("Item")
Source = str | Path | BytesIO
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
    """Size, rate and length, without decoding the frames (pictures, which have no such header, are walked through)."""
    if is_pictures(path):
        width, height, frame_rate, duration = probe_pictures(path)
        return VideoInfo(
            width=width, height=height, frame_rate=frame_rate, duration=duration, has_audio=False
        )
    with opened(path) as container:
        stream = container.streams.video[0]
        turned = _quarter_turns(_present(next(container.decode(stream), None), path)) % 2
        return VideoInfo(
            width=stream.height if turned else stream.width,
            height=stream.width if turned else stream.height,
            frame_rate=frame_rate_of(stream),
            duration=float(container.duration / av.time_base) if container.duration else 0.0,
            has_audio=bool(container.streams.audio),
        )


def read_frames(path: str | Path, *, start: int = 0, count: int | None = None) -> Iterator[Tensor]:
    """Frames `start` to `start + count` in the order shown, `h w 3`, upright as a phone meant them.

    One frame is in memory at a time. Raises InputError for a file that is no video, or is damaged.
    """
    frames = picture_pixels(path) if is_pictures(path) else _decoded(path)
    first = _present(next(frames, None), path)
    stop = None if count is None else start + count
    for pixels in islice(chain((first,), frames), start, stop):
        yield to_floats(pixels)


def read_audio(path: str | Path) -> dict | None:
    """The first audio stream as `{"waveform": 1 c t, "sample_rate"}`, or None in a silent file."""
    if is_pictures(path):
        return None
    with opened(path) as container:
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


def frame_rate_of(stream: av.VideoStream) -> Fraction:
    return Fraction(stream.average_rate or stream.guessed_rate or 1)


def decoded(
    container: av.container.InputContainer, *, alpha: bool = False
) -> Iterator[tuple[int | None, np.ndarray]]:
    """Time stamp and pixels `h w c`, upright, of each frame in the order shown.

    uint8, or uint16 where the file holds more than eight bits. With `alpha` four channels where the file has them.
    """
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    for frame in _frames(container, stream, alpha=alpha):
        matrix = MATRICES.get(int(frame.colorspace))  # PyAV 16 does not look at it by itself
        pixels = frame.reformat(format=_pixel_format(frame, alpha=alpha), src_colorspace=matrix).to_ndarray()
        turns = _quarter_turns(frame)
        yield frame.pts, np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream, *, alpha: bool
) -> Iterator[av.VideoFrame]:
    if not (alpha and stream.metadata.get("alpha_mode") == "1" and stream.codec_context.name == "vp9"):
        yield from container.decode(stream)
        return
    decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own VP9 decoder does not see alpha
    for packet in container.demux(stream):
        yield from decoder.decode(packet if packet.size else None)


def _pixel_format(frame: av.VideoFrame, *, alpha: bool) -> str:
    deep = any(component.bits > 8 for component in frame.format.components)
    if alpha and any(component.is_alpha for component in frame.format.components):
        return "rgba64le" if deep else "rgba"
    return "rgb48le" if deep else "rgb24"


def _decoded(path: str | Path) -> Iterator[np.ndarray]:
    with opened(path) as container:
        for _, pixels in decoded(container):
            yield pixels


def _quarter_turns(frame: av.VideoFrame) -> int:
    return round(frame.rotation / 90) % 4


def _present(frame: Item | None, path: Source) -> Item:
    if frame is None:
        raise InputError(
            f"{name_of(path)} holds not one whole frame; its download was cut short, it seems. Fetch or export it again."
        )
    return frame


def name_of(source: Source) -> str:
    return "The video" if isinstance(source, BytesIO) else Path(source).name


@contextmanager
def opened(source: Source) -> Iterator[av.container.InputContainer]:
    """The file, or one that is in memory. What the reader finds wrong with it becomes an InputError."""
    name = name_of(source)
    if not isinstance(source, BytesIO) and not Path(source).is_file():
        raise InputError(f"There is no file {str(source)!r}. Check the name, or choose the file again.")
    # a reader of its own: the same bytes may be open for pictures and for sound
    file = BytesIO(source.getvalue()) if isinstance(source, BytesIO) else str(source)
    try:
        with av.open(file, mode="r") as container:
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
