"""The table of file formats: what each is made of, and what it can carry."""

from dataclasses import dataclass, field
from typing import Literal

from ..errors import InputError

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
OPUS_RATES = (48000,)


@dataclass(frozen=True, kw_only=True)
class VideoFormat:
    """One row. `quality_range`: the codec's own number at quality 0 and at quality 100."""

    name: str
    container: str
    codec: str
    pixel_format: str
    metadata: Literal["tags", "exif", "comment"]
    playback: Literal["video", "image"]
    alignment: int = 1  # width and height become multiples of it
    max_side: int = 16384
    max_rate: int = 1000
    quality_key: str | None = None
    quality_range: tuple[int, int] = (0, 0)
    codec_options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    audio_codec: str | None = None
    audio_rates: tuple[int, ...] = ()
    audio_bit_rate: int = 0

    @property
    def extension(self) -> str:
        return self.name

    def options_at(self, quality: int) -> dict[str, str]:
        """Codec options at `quality` from 0 (small) to 100 (best)."""
        if not 0 <= quality <= 100:
            raise InputError(f"quality goes from 0 (small file) to 100 (best), got {quality}.")
        if self.quality_key is None:
            return dict(self.codec_options)
        worst, best = self.quality_range
        return {**self.codec_options, self.quality_key: str(round(worst + (best - worst) * quality / 100))}


FORMATS: dict[str, VideoFormat] = {
    row.name: row
    for row in (
        VideoFormat(
            name="mp4",
            container="mp4",
            codec="libx264",
            pixel_format="yuv420p",
            metadata="tags",
            playback="video",
            alignment=2,
            quality_key="crf",
            quality_range=(43, 3),  # [ours] crf 0 is lossless and of a profile that browsers do not play
            # custom tags hold the workflow; the index stands in front, so that a browser plays while it loads
            container_options={"movflags": "use_metadata_tags+faststart"},
            audio_codec="aac",
            audio_rates=AAC_RATES,
            audio_bit_rate=192_000,
        ),
        VideoFormat(
            name="webm",
            container="webm",
            codec="libvpx-vp9",
            pixel_format="yuv420p",
            metadata="tags",
            playback="video",
            alignment=2,
            quality_key="crf",
            quality_range=(60, 4),
            codec_options={
                "b": "0",
                "deadline": "good",
                "cpu-used": "4",
                "row-mt": "1",
            },  # b 0: constant quality
            audio_codec="libopus",
            audio_rates=OPUS_RATES,
            audio_bit_rate=160_000,
        ),
        VideoFormat(
            name="gif",
            container="gif",
            codec="gif",
            pixel_format="pal8",
            metadata="comment",
            playback="image",
            max_rate=50,  # delays are whole hundredths; players read a delay of one as ten
            container_options={"loop": "0"},
        ),
        VideoFormat(
            name="webp",  # its encoder joins frames that are exactly the same and keeps the length
            container="webp",
            codec="libwebp_anim",
            pixel_format="bgra",
            metadata="exif",
            playback="image",
            max_side=16383,
            quality_key="quality",
            quality_range=(40, 100),
            container_options={"loop": "0"},
        ),
    )
}


def video_format(name: str) -> VideoFormat:
    """The row called `name`."""
    if name not in FORMATS:
        raise InputError(f"The format {name!r} is unknown. Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[name]
