"""Sound, encoded beside the frames so that the file stays interleaved. Waveforms: b c t in [-1, 1]."""

import math
from collections.abc import Mapping
from fractions import Fraction

import av
import torch
from einops import rearrange
from torch import Tensor

from ..errors import InputError
from .formats import VideoFormat

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
KEPT_CHANNELS = (1, 2, 6)  # what every player plays; the others are mixed down to stereo
CHUNK_SECONDS = 1


def check_audio(audio: Mapping) -> tuple[Tensor, int]:
    """A ComfyUI AUDIO as (`c t` of its first item, samples per second)."""
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
    return waveform[0], sample_rate


class SoundEncoder:
    """One audio stream that follows the frames: `encode_until` is called as the picture advances."""

    def __init__(self, container: av.container.OutputContainer, audio: Mapping, *, video_format: VideoFormat):
        self.waveform, self.sample_rate = check_audio(audio)
        channels = self.waveform.shape[0]
        self.layout = LAYOUTS[channels]
        kept = self.layout if channels in KEPT_CHANNELS else "stereo"
        rates = [rate for rate in video_format.audio_rates if rate >= self.sample_rate] or [48000]
        self.stream = container.add_stream(video_format.audio_codec, rate=rates[0], layout=kept)
        self.stream.bit_rate = video_format.audio_bit_rate
        self.container = container
        self.encoded = 0

    def encode_until(self, seconds: Fraction) -> None:
        """Encodes what lies before `seconds`, once it makes a chunk or is the end of the sound."""
        total = self.waveform.shape[1]
        end = min(math.ceil(seconds * self.sample_rate), total)
        if end - self.encoded >= CHUNK_SECONDS * self.sample_rate or self.encoded < end == total:
            self._encode(end)

    def finish(self, seconds: Fraction) -> None:
        """Encodes the rest up to `seconds`, where the picture ends, and closes the stream."""
        end = min(math.ceil(seconds * self.sample_rate), self.waveform.shape[1])
        if end > self.encoded:
            self._encode(end)
        self.container.mux(self.stream.encode(None))

    def _encode(self, end: int) -> None:
        samples = self.waveform[:, self.encoded : end].to("cpu", torch.float32)
        packed = rearrange(samples, "c t -> 1 (t c)").contiguous()  # a plane per channel stops at seven
        frame = av.AudioFrame.from_ndarray(packed.numpy(), format="flt", layout=self.layout)
        frame.sample_rate = self.sample_rate
        frame.time_base = Fraction(1, self.sample_rate)
        frame.pts = self.encoded
        self.container.mux(self.stream.encode(frame))
        self.encoded = end
