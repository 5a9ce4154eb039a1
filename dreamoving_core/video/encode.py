"""Frames into a video file, one at a time: memory does not grow with the length of the clip.

A file gets its name only when it is whole; until then it ends in `.part`.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from torch import Tensor

from ..errors import InputError
from .encoded import EncodedVideo, EncodeSettings
from .formats import video_format
from .frame_bytes import NO_FRAMES, FrameBytes
from .metadata import write_image_metadata
from .palette import PaletteFilter
from .picture_folder import PictureFolder
from .rates import parse_frame_rate
from .sound import Sound, SoundEncoder, SoundFit, check_audio

BT709 = 1  # the number of ITU-R BT.709 as matrix, primaries and transfer in H.273
LIMITED_RANGE = 1


def encode_video(
    path: str | Path,
    frames: Iterable[Tensor],
    *,
    format: str,
    frame_rate: str | float | Fraction,
    quality: int = 70,
    audio: Mapping | None = None,
    metadata: Mapping[str, str] | None = None,
    crf: int | None = None,
    preset: str = "auto",
    loop_count: int = 0,
    sound_fit: SoundFit | None = None,
) -> EncodedVideo:
    """Writes `frames`, each `h w c` or a batch `f h w c` in [0, 1], to `path`. An IMAGE tensor is such an iterable.

    Sound is cut where the picture ends; formats without sound leave it out. The rest are fields of EncodeSettings.
    Raises InputError, and leaves no file.
    """
    settings = EncodeSettings(
        format=video_format(format),
        frame_rate=parse_frame_rate(frame_rate),
        quality=quality,
        metadata=metadata,
        crf=crf,
        preset=preset,
        loop_count=loop_count,
        sound_fit=sound_fit or SoundFit(),
    )
    with video_writer(path, settings, sound=None if audio is None else check_audio(audio)) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.written()


def video_writer(
    path: str | Path, settings: EncodeSettings, *, sound: Sound | None = None
) -> "VideoWriter | PictureFolder":
    """What writes `settings.format`: a file, or a folder of pictures."""
    if settings.format.container == "folder":
        return PictureFolder(path, settings)
    return VideoWriter(path, settings, sound=sound)


class VideoWriter:
    """A context manager around one file. Leaving it by an exception, a cancelled run included, removes the file."""

    def __init__(self, path: str | Path, settings: EncodeSettings, *, sound: Sound | None = None):
        self.path = Path(path)
        self.part = self.path.with_name(self.path.name + ".part")
        self.settings = settings
        self._frames = FrameBytes(settings.format)
        self._source = sound if settings.format.audio_codec else None
        self._container = self._stream = self._sound = self._palette = None
        self._pixel_format = settings.format.pixel_format

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
            pixels = self._frames.take(frame)
            if self._container is None:
                self._open()
            self._encode(pixels)

    def written(self) -> EncodedVideo:
        """What the finished file holds."""
        return EncodedVideo(
            path=self.path,
            num_frames=self._frames.count,
            width=self._frames.width,
            height=self._frames.height,
            frame_rate=self.settings.frame_rate,
            has_audio=self._sound is not None,
        )

    def _open(self) -> None:
        form, rate = self.settings.format, self.settings.frame_rate
        self._container = av.open(
            str(self.part),
            "w",
            format=form.container,
            options={**form.container_options, **form.repeats(self.settings.loop_count)},
        )
        if form.metadata == "tags":
            self._container.metadata.update(self.settings.metadata or {})
        if self._frames.alpha:
            self._pixel_format = form.alpha_format
        self._stream = stream = self._container.add_stream(form.codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = (
            self._frames.width,
            self._frames.height,
            self._pixel_format,
        )
        stream.options = self.settings.codec_options()
        codec = stream.codec_context
        codec.time_base = 1 / rate
        if form.codec_tag:
            codec.codec_tag = form.codec_tag
        if self._pixel_format.startswith("yuv"):
            codec.colorspace = codec.color_primaries = codec.color_trc = BT709
            codec.color_range = LIMITED_RANGE
        if self._pixel_format == "pal8":
            self._palette = PaletteFilter(stream.width, stream.height, time_base=1 / rate)
        if self._source is not None:
            self._sound = SoundEncoder(
                self._container, self._source, video_format=form, fit=self.settings.sound_fit
            )

    def _encode(self, pixels: np.ndarray) -> None:
        frame = av.VideoFrame.from_ndarray(pixels, format=self._frames.layout)
        frame.pts, frame.time_base = self._frames.count - 1, 1 / self.settings.frame_rate
        for ready in self._palette.push(frame) if self._palette else (self._converted(frame),):
            self._container.mux(self._stream.encode(ready))
        if self._sound:
            self._sound.encode_until(self._frames.count / self.settings.frame_rate)

    def _converted(self, frame: av.VideoFrame) -> av.VideoFrame:
        if not self._pixel_format.startswith("yuv"):
            return frame.reformat(format=self._pixel_format)
        # said explicitly: left alone, the converter uses the matrix of standard definition and colours shift
        converted = frame.reformat(
            format=self._pixel_format, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        with contextlib.suppress(AttributeError):  # PyAV 16 has no tags of frames, which ProRes alone writes
            converted.color_primaries = converted.color_trc = BT709
        return converted

    def _finish(self) -> None:
        if self._container is None:
            raise InputError(NO_FRAMES)
        if self._palette:
            for ready in self._palette.push(None):
                self._container.mux(self._stream.encode(ready))
        for packet in self._stream.encode(None):
            if self._frames.count < self.settings.format.min_reordered:
                packet.dts = packet.pts
            self._container.mux(packet)
        if self._sound:
            self._sound.finish(self._frames.count / self.settings.frame_rate)
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
