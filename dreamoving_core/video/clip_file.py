"""A video file as a clip that is played forwards and backwards, with its sound, while little of it is in memory."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, takewhile

import av
import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .decode import Source, decoded, frame_rate_of, name_of, opened, probe_video
from .pictures import is_pictures, picture_pixels
from .pixels import eight_bits, to_floats

EXPECTED = 0.9  # [ours] of the frames that a header tells; some count one too many
CHUNK_BYTES = 96 * 2**20  # [ours] of frames in memory at once while a clip runs backwards

Stamped = Iterator[tuple[int, np.ndarray]]


class FileClip:
    """The frames and the sound of `source` from second `start` on, for `duration` seconds (0: to the end).

    Frames are `h w 3`, or `h w 4` where the file has alpha. Raises InputError for what is no video.
    """

    def __init__(self, source: Source, *, start: float = 0.0, duration: float = 0.0):
        self.source, self.start, self.duration = source, start, duration
        self._stamps: list[int] | None = None  # of all frames, once the clip was played
        self._promised = 0  # frames of the whole file as its header counts them; 0 where it doesn't
        if is_pictures(source):
            info = probe_video(source)
            self.frame_rate, self._tick = info.frame_rate, 1 / info.frame_rate
            length, self._has_audio = info.duration, False
        else:
            with opened(source) as container:
                stream = container.streams.video[0]
                self.frame_rate, self._tick = frame_rate_of(stream), Fraction(stream.time_base)
                self._promised = stream.frames
                length = float(container.duration / av.time_base) if container.duration else 0.0
                self._has_audio = any(found.codec_context for found in container.streams.audio)
        heard = max(0.0, length - start)
        self._length = min(duration, heard) if duration else heard

    @property
    def num_frames(self) -> int:
        """As the header tells it; exact once the clip was played."""
        if self._stamps is not None:
            return len(self._stamps)
        return max(1, round(self._length * self.frame_rate))

    @property
    def damage(self) -> str:
        """A sentence when the file, played to its end, held clearly fewer frames than its header says; else empty."""
        if self._stamps is None or self.start or self.duration:
            return ""
        told = self._promised or round(self._length * self.frame_rate)
        if len(self._stamps) >= EXPECTED * told:
            return ""
        return (
            f"{name_of(self.source)} ends early: {len(self._stamps)} of about {told} frames could be read. It is damaged, or "
            "its download was cut short: fetch or export it again."
        )

    @property
    def sound(self) -> "FileSound | None":
        return FileSound(self) if self._has_audio else None

    def forward(self) -> Iterator[Tensor]:
        """Every frame, one in memory at a time."""
        return map(to_floats, self._shown())

    def pictures(self) -> Iterator[np.ndarray]:
        """The same as `h w 3` uint8, without alpha."""
        return map(eight_bits, self._shown())

    def _shown(self) -> Iterator[np.ndarray]:
        stamps = []
        for stamp, pixels in self._play():
            stamps.append(stamp)
            yield pixels
        if not stamps:
            raise InputError(
                f"{name_of(self.source)} has no frame after second {self.start:g}. Choose an earlier start, or fetch "
                "the file again if it should be longer."
            )
        self._stamps = stamps

    def backward(self) -> Iterator[Tensor]:
        """Every frame, the last one first. A chunk is decoded at a time, from the key frame before it on."""
        if self._stamps is None:
            for _ in self.forward():
                pass
        stamps = self._stamps or []
        end, size = len(stamps), 1  # the first chunk tells how large a frame is
        while end:
            chunk = self._between(stamps[max(0, end - size) : end])
            end -= len(chunk)
            size = max(1, CHUNK_BYTES // chunk[0].nbytes)
            while chunk:
                yield to_floats(chunk.pop())

    def _between(self, stamps: list[int]) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        for seek in (stamps[0], None):  # some files lead to a later frame: those are read from the start
            frames = takewhile(lambda frame: frame[0] <= stamps[-1], self._play(seek))
            found = [pixels for stamp, pixels in frames if stamp >= stamps[0]]
            if len(found) == len(stamps):
                return found
        raise InputError(
            f"{name_of(self.source)} holds other frames when it is read again ({len(found)} instead of {len(stamps)}). "
            "Switch ping_pong off, or convert the file to mp4 first."
        )

    def _play(self, seek: int | None = None) -> Stamped:
        """The frames of the clip with their time stamps, from `seek` or a little before it on."""
        first = round(self.start / self._tick)
        stop = round((self.start + self.duration) / self._tick) if self.duration else None
        if is_pictures(self.source):
            yield from _inside(enumerate(picture_pixels(self.source, alpha=True)), first, stop)
            return
        with opened(self.source) as container:
            target = first if seek is None else seek
            if target > 0:
                container.seek(target, stream=container.streams.video[0], backward=True)
            yield from _inside(_numbered(decoded(container, alpha=True)), first, stop)


class FileSound:
    """The sound of a FileClip, decoded as it is asked for. Pieces are `c t` float32."""

    def __init__(self, clip: FileClip):
        self.clip = clip
        with opened(clip.source) as container:
            stream = _audio_stream(container)
            first = next(container.decode(stream), None)
            self.sample_rate = (first.sample_rate if first else stream.rate) or 48000
            self.channels = first.layout.nb_channels if first else stream.channels

    def pieces(self) -> Iterator[Tensor]:
        start, rate = self.clip.start, self.sample_rate
        end = round(self.clip.duration * rate) if self.clip.duration else None
        with opened(self.clip.source) as container:
            stream = _audio_stream(container)
            if start:
                container.seek(int(start / stream.time_base), stream=stream, backward=True)
            position = None  # of the next sample, counted from the start of the clip
            resampler = av.AudioResampler(format="fltp", layout=None, rate=rate)
            for frame in chain(container.decode(stream), (None,)):
                if position is None and frame is not None:
                    position = round(((frame.time or 0.0) - start) * rate)
                    if position > 0:  # the picture begins before the sound does
                        yield torch.zeros(self.channels, position)
                for part in resampler.resample(frame):
                    samples = torch.from_numpy(part.to_ndarray())
                    kept = samples[:, max(0, -position) :]
                    position += samples.shape[1]
                    if end is not None and position > end:
                        kept = kept[:, : max(0, kept.shape[1] - (position - end))]
                    if kept.shape[1]:
                        yield kept
                if end is not None and position is not None and position >= end:
                    return


def _audio_stream(container: av.container.InputContainer) -> av.AudioStream:
    return next(stream for stream in container.streams.audio if stream.codec_context)


def _numbered(frames: Iterator[tuple[int | None, np.ndarray]]) -> Stamped:
    """Frames without a time stamp, as raw streams have them, come one tick after the one before."""
    last = -1
    for stamp, pixels in frames:
        last = last + 1 if stamp is None else stamp
        yield last, pixels


def _inside(frames: Stamped, first: int, stop: int | None) -> Stamped:
    for stamp, pixels in frames:
        if stop is not None and stamp >= stop:
            return
        if stamp >= first:
            yield stamp, pixels
