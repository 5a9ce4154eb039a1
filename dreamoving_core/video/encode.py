"""Frames into a video file, one at a time: memory does not grow with the length of the clip.

A file gets its name only when it is whole; until then it ends in `.part`.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from torch import Tensor

from ..errors import InputError
from .formats import VideoFormat, video_format
from .metadata import write_image_metadata
from .palette import PaletteFilter
from .pixels import pad_to, to_bytes
from .rates import parse_frame_rate
from .sound import SoundEncoder, check_audio

BT709 = 1  # the number of ITU-R BT.709 as matrix, primaries and transfer in H.273
LIMITED_RANGE = 1


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """How to write. `quality` runs from 0 (small) to 100 (best); `metadata` holds JSON texts by name."""

    format: VideoFormat
    frame_rate: Fraction
    quality: int = 70
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class EncodedVideo:
    """What was written; `width` and `height` are those of the file, after padding."""

    path: Path
    num_frames: int
    width: int
    height: int
    frame_rate: Fraction
    has_audio: bool


def encode_video(
    path: str | Path,
    frames: Iterable[Tensor],
    *,
    format: str,
    frame_rate: str | float | Fraction,
    quality: int = 70,
    audio: Mapping | None = None,
    metadata: Mapping[str, str] | None = None,
) -> EncodedVideo:
    """Writes `frames`, each `h w c` or a batch `f h w c` in [0, 1], to `path`. An IMAGE tensor is such an iterable.

    Sound is cut where the picture ends; formats without sound leave it out. Raises InputError, and leaves no file.
    """
    settings = EncodeSettings(
        format=video_format(format),
        frame_rate=parse_frame_rate(frame_rate),
        quality=quality,
        metadata=metadata,
    )
    with VideoWriter(path, settings, audio=audio) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.written()


class VideoWriter:
    """A context manager around one file. Leaving it by an exception, a cancelled run included, removes the file."""

    def __init__(self, path: str | Path, settings: EncodeSettings, *, audio: Mapping | None = None):
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.settings = settings
        self.num_frames = 0
        self.width = self.height = 0  # of the file; the frames may be smaller
        self.source_size = (0, 0)  # height, width of the frames
        self._options = settings.format.options_at(settings.quality)
        self._audio = audio if settings.format.audio_codec else None
        self._container = self._stream = self._sound = self._palette = None
        if settings.frame_rate > settings.format.max_rate:
            raise InputError(
                f"{settings.format.name} holds at most {settings.format.max_rate} frames per second, got "
                f"{float(settings.frame_rate):g}. Lower frame_rate, or choose mp4."
            )
        if self._audio is not None:
            check_audio(self._audio)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ):
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()  # after a success nothing is left to discard

    def write(self, frames: Tensor) -> None:
        """Adds one frame `h w c`, or a batch `f h w c`."""
        for frame in frames if frames.ndim == 4 else (frames,):
            pixels = pad_to(
                to_bytes(frame, number=self.num_frames + 1), multiple=self.settings.format.alignment
            )
            if self._container is None:
                self._open(frame, pixels)
            elif tuple(frame.shape[:2]) != self.source_size:
                raise InputError(
                    f"Frame {self.num_frames + 1} is {frame.shape[1]} x {frame.shape[0]} pixels, the ones before are "
                    f"{self.source_size[1]} x {self.source_size[0]}. Resize them to one size first."
                )
            self._encode(pixels)

    def written(self) -> EncodedVideo:
        """What the finished file holds."""
        return EncodedVideo(
            path=self.path,
            num_frames=self.num_frames,
            width=self.width,
            height=self.height,
            frame_rate=self.settings.frame_rate,
            has_audio=self._sound is not None,
        )

    def _open(self, frame: Tensor, pixels: np.ndarray) -> None:
        form, rate = self.settings.format, self.settings.frame_rate
        height, width = self.height, self.width = pixels.shape[:2]
        if max(height, width) > form.max_side:
            raise InputError(
                f"{form.name} holds pictures of at most {form.max_side} pixels a side, got {width} x {height}. "
                "Make the frames smaller, or choose another format."
            )
        self.source_size = tuple(frame.shape[:2])
        self._container = av.open(
            str(self.part), "w", format=form.container, options=dict(form.container_options)
        )
        if form.metadata == "tags":
            self._container.metadata.update(self.settings.metadata or {})
        self._stream = self._container.add_stream(form.codec, rate=rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, form.pixel_format
        self._stream.options = self._options
        codec = self._stream.codec_context
        codec.time_base = 1 / rate
        if form.pixel_format.startswith("yuv"):
            codec.colorspace = codec.color_primaries = codec.color_trc = BT709
            codec.color_range = LIMITED_RANGE
        if form.pixel_format == "pal8":
            self._palette = PaletteFilter(width, height, time_base=1 / rate)
        if self._audio is not None:
            self._sound = SoundEncoder(self._container, self._audio, video_format=form)

    def _encode(self, pixels: np.ndarray) -> None:
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = self.num_frames, 1 / self.settings.frame_rate
        for ready in self._palette.push(frame) if self._palette else (self._converted(frame),):
            self._container.mux(self._stream.encode(ready))
        self.num_frames += 1
        if self._sound:
            self._sound.encode_until(self.num_frames / self.settings.frame_rate)

    def _converted(self, frame: av.VideoFrame) -> av.VideoFrame:
        if not self.settings.format.pixel_format.startswith("yuv"):
            return frame.reformat(format=self.settings.format.pixel_format)
        # said explicitly: left alone, the converter uses the matrix of standard definition and colours shift
        return frame.reformat(
            format=self.settings.format.pixel_format,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def _finish(self) -> None:
        if self._container is None:
            raise InputError("There is no frame to write: got 0. Check the node that images comes from.")
        if self._palette:
            for ready in self._palette.push(None):
                self._container.mux(self._stream.encode(ready))
        self._container.mux(self._stream.encode(None))
        if self._sound:
            self._sound.finish(self.num_frames / self.settings.frame_rate)
        self._container.close()
        if self.settings.format.metadata != "tags":
            write_image_metadata(self.part, self.settings.metadata or {}, kind=self.settings.format.metadata)
        os.replace(self.part, self.path)

    def _discard(self) -> None:
        if self._container is None:
            return
        with contextlib.suppress(av.error.FFmpegError):  # the error that brought us here is the one to see
            self._container.close()
        self.part.unlink(missing_ok=True)
