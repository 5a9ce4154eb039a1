"""Sound, encoded beside the frames so that the file stays interleaved. Waveforms: b c t in [-1, 1]; pieces: c t."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol, get_args

import av
import torch
from einops import rearrange
from torch import Tensor

from ..errors import InputError
from .formats import VideoFormat

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
KEPT_CHANNELS = (1, 2, 6)  # what every player plays; the others are mixed down to stereo
CHUNK_SECONDS = 1

SoundLength = Literal["trim", "pad", "repeat"]
SOUND_LENGTHS: tuple[str, ...] = get_args(SoundLength)


class Sound(Protocol):
    """Sound that is read piece by piece, as often as it is asked for."""

    @property
    def sample_rate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def pieces(self) -> Iterator[Tensor]:
        """`c t`, one after the other."""
        ...


@dataclass(frozen=True, kw_only=True)
class SoundFit:
    """How sound lies under the picture: from which second on, and what follows when it ends before the picture does.

    `length`: "trim" ends where the first of both ends, "pad" goes on in silence, "repeat" starts the sound again.
    """

    start: float = 0.0
    length: str = "trim"

    def __post_init__(self):
        if self.length not in SOUND_LENGTHS:
            raise InputError(
                f"audio_length must be one of {', '.join(SOUND_LENGTHS)}, got {self.length!r}. Choose one of these."
            )
        if not self.start >= 0:
            raise InputError(
                f"audio_start is a second from 0 on, got {self.start}. Use 0 for the whole sound."
            )


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """A ComfyUI AUDIO's first clip, `samples` `c t`."""

    samples: Tensor
    sample_rate: int

    @property
    def channels(self) -> int:
        return self.samples.shape[0]

    def pieces(self) -> Iterator[Tensor]:
        yield from self.samples.split(CHUNK_SECONDS * self.sample_rate, dim=1)


def check_audio(audio: Mapping) -> Waveform:
    """A ComfyUI AUDIO as sound. Raises InputError for a shape or values that no file holds."""
    waveform, sample_rate = audio["waveform"], int(audio["sample_rate"])
    if waveform.ndim != 3 or 0 in waveform.shape or waveform.shape[1] not in LAYOUTS or sample_rate <= 0:
        raise InputError(
            f"The sound has the shape {list(waveform.shape)} at {sample_rate} samples per second; expected one "
            "clip of 1 to 8 channels with at least one sample. Leave audio unconnected for a silent video."
        )
    if not torch.isfinite(waveform[0].sum()):
        raise InputError(
            "The sound holds values that are not numbers (NaN or infinite). Check the node it comes from."
        )
    return Waveform(samples=waveform[0], sample_rate=sample_rate)


def fitted(sound: Sound, fit: SoundFit) -> Iterator[Tensor]:
    """The pieces of `sound` from `fit.start` on; without end where it pads or repeats."""
    skipped = round(fit.start * sound.sample_rate)
    while True:
        left, heard = skipped, False
        for piece in sound.pieces():
            kept = piece[:, min(left, piece.shape[1]) :]
            left -= piece.shape[1] - kept.shape[1]
            if kept.shape[1]:
                heard = True
                yield kept
        if not heard:
            raise InputError(
                f"The sound ends before second {fit.start:g}, where audio_start begins. Choose an earlier start."
            )
        if fit.length != "repeat":
            break
    while fit.length == "pad":
        yield torch.zeros(sound.channels, CHUNK_SECONDS * sound.sample_rate)


class SoundEncoder:
    """One audio stream that follows the frames: `encode_until` is called as the picture advances."""

    def __init__(
        self,
        container: av.container.OutputContainer,
        sound: Sound,
        *,
        video_format: VideoFormat,
        fit: SoundFit,
    ):
        self.sample_rate = sound.sample_rate
        self.pieces = fitted(sound, fit)
        self.pending = torch.zeros(sound.channels, 0)
        self.layout = LAYOUTS[sound.channels]
        kept = self.layout if sound.channels in KEPT_CHANNELS else "stereo"
        rates = [rate for rate in video_format.audio_rates if rate >= self.sample_rate] or [48000]
        self.stream = container.add_stream(video_format.audio_codec, rate=rates[0], layout=kept)
        if video_format.audio_bit_rate:
            self.stream.bit_rate = video_format.audio_bit_rate
        self.container = container
        self.encoded = 0

    def encode_until(self, seconds: Fraction) -> None:
        """Encodes what lies before `seconds`, once it makes a chunk."""
        end = math.ceil(seconds * self.sample_rate)
        if end - self.encoded >= CHUNK_SECONDS * self.sample_rate:
            self._encode(end)

    def finish(self, seconds: Fraction) -> None:
        """Encodes the rest up to `seconds`, where the picture ends, and closes the stream."""
        self._encode(math.ceil(seconds * self.sample_rate))
        self.container.mux(self.stream.encode(None))

    def _encode(self, end: int) -> None:
        samples = self._take(end - self.encoded)
        if not samples.shape[1]:
            return
        packed = rearrange(samples, "c t -> 1 (t c)").contiguous()  # a plane per channel stops at seven
        frame = av.AudioFrame.from_ndarray(packed.numpy(), format="flt", layout=self.layout)
        frame.sample_rate = self.sample_rate
        frame.time_base = Fraction(1, self.sample_rate)
        frame.pts = self.encoded
        self.container.mux(self.stream.encode(frame))
        self.encoded += samples.shape[1]

    def _take(self, count: int) -> Tensor:
        """The next `count` samples `c t`, or as many as are left."""
        taken = [self.pending]
        while count > sum(piece.shape[1] for piece in taken):
            piece = next(self.pieces, None)
            if piece is None:
                break
            taken.append(piece.to("cpu", torch.float32))
        samples = torch.cat(taken, dim=1)
        self.pending = samples[:, max(count, 0) :]
        return samples[:, : max(count, 0)]
