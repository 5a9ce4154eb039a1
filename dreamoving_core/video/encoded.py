"""What is asked of an encoder, and what it wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from ..errors import InputError
from .formats import VideoFormat
from .sound import SoundFit


@dataclass(frozen=True, kw_only=True)
class EncodeSettings:
    """How to write. `quality` runs from 0 (small) to 100 (best), `crf` goes before it; `metadata` holds JSON texts by name.

    `loop_count` is for the formats whose players repeat by themselves (0: for ever).
    """

    format: VideoFormat
    frame_rate: Fraction
    quality: int = 70
    crf: int | None = None
    preset: str = "auto"
    loop_count: int = 0
    sound_fit: SoundFit = field(default_factory=SoundFit)
    metadata: Mapping[str, str] | None = None

    def __post_init__(self):
        self.format.check_encoder()
        self.codec_options()
        if self.frame_rate > self.format.max_rate:
            raise InputError(
                f"{self.format.name} holds at most {self.format.max_rate} frames per second, got "
                f"{float(self.frame_rate):g}. Lower frame_rate, or choose mp4."
            )
        if self.loop_count < 0:
            raise InputError(f"loop_count is 0 or more, got {self.loop_count}. Use 0 to play once.")

    def codec_options(self) -> dict[str, str]:
        return self.format.options_at(self.quality, crf=self.crf, preset=self.preset)


@dataclass(frozen=True, kw_only=True)
class EncodedVideo:
    """What was written; `width` and `height` are those of the file, after padding."""

    path: Path
    num_frames: int
    width: int
    height: int
    frame_rate: Fraction
    has_audio: bool
