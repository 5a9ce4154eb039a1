"""The table of file formats: what each is made of, and what it can carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import av

from ..errors import InputError

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
OPUS_RATES = (48000,)
PCM_RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000)
PRESETS = ("auto", "ultrafast", "veryfast", "fast", "medium", "slow", "veryslow")
X26X_PRESETS = {name: {"preset": name} for name in PRESETS[1:]}
VP9_PRESETS = dict(
    zip(PRESETS[1:], ({"cpu-used": n} for n in ("8", "6", "5", "3", "1", "0")), strict=True)
)  # beyond 5 libvpx searches as little as for a live broadcast
AV1_PRESETS = dict(
    zip(PRESETS[1:], ({"preset": n} for n in ("12", "10", "9", "7", "5", "3")), strict=True)
)  # [ours] SVT-AV1 numbers its presets; higher is faster

# custom tags hold the workflow; the index stands in front, so that a browser plays while it loads
TAGS_IN_FRONT = {"movflags": "use_metadata_tags+faststart"}
VP9 = {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}  # b 0: constant quality


@dataclass(frozen=True, kw_only=True)
class VideoFormat:
    """One row. `quality_range`: the codec's own number at quality 0 and at quality 100."""

    name: str
    extension: str  # "" for a folder of pictures
    container: str
    codec: str
    pixel_format: str
    alpha_format: str | None = None  # of pictures with four channels; None leaves alpha out
    metadata: Literal["tags", "exif", "comment", "text"]
    playback: Literal[
        "video", "image", "preview"
    ]  # preview: browsers don't play it, so they get an mp4 beside it
    core_reads: bool  # whether core's VIDEO opens the file
    depth: int = 8  # bits of the pictures that the converter gets
    alignment: int = 1  # width and height become multiples of it
    min_side: int = 1
    max_side: int = 16384
    max_rate: int = 1000
    loop_key: tuple[str, int] | None = (
        None  # option that repeats while playing, and what it adds to loop_count
    )
    quality_key: str | None = None
    quality_range: tuple[int, int] = (0, 0)
    max_crf: int | None = None
    presets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    codec_options: Mapping[str, str] = field(default_factory=dict)
    codec_tag: str | None = None
    min_reordered: int = 0  # clips of fewer frames get decoding times that the encoder never set
    container_options: Mapping[str, str] = field(default_factory=dict)
    audio_codec: str | None = None
    audio_rates: tuple[int, ...] = ()
    audio_bit_rate: int = 0

    def options_at(self, quality: int, *, crf: int | None = None, preset: str = "auto") -> dict[str, str]:
        """Codec options at `quality` from 0 (small) to 100 (best), or at `crf`. Formats without crf or preset ignore them."""
        if not 0 <= quality <= 100:
            raise InputError(f"quality goes from 0 (small file) to 100 (best), got {quality}.")
        if preset not in PRESETS:
            raise InputError(f"The preset {preset!r} is unknown. Choose one of: {', '.join(PRESETS)}.")
        options = {**self.codec_options, **self.presets.get(preset, {})}
        if self.quality_key is None:
            return options
        worst, best = self.quality_range
        value = round(worst + (best - worst) * quality / 100)
        if crf is not None and self.max_crf is not None:
            if not 0 <= crf <= self.max_crf:
                raise InputError(
                    f"The crf of {self.name} goes from 0 (best) to {self.max_crf} (smallest), got {crf}. "
                    "-1 takes it from quality."
                )
            value = crf
        return {**options, self.quality_key: str(value)}

    def repeats(self, loop_count: int) -> dict[str, str]:
        """Container options that make players repeat a clip `loop_count` times more; 0 is for ever."""
        if self.loop_key is None:
            return {}
        key, added = self.loop_key
        return {key: str(loop_count + added if loop_count else 0)}

    def check_encoder(self) -> None:
        """Raises InputError, naming what to choose instead, when this PyAV was built without an encoder."""
        for codec in filter(None, (self.codec, self.audio_codec)):
            try:
                av.codec.Codec(codec, "w")
            except av.codec.codec.UnknownCodecError as error:
                raise InputError(
                    f"{self.name} needs the encoder {codec}, which is missing from the PyAV {av.__version__} that is "
                    f"installed. Choose {_instead(self)}, or update PyAV: pip install -U av"
                ) from error


MP4 = VideoFormat(
    name="mp4",
    extension="mp4",
    container="mp4",
    codec="libx264",
    pixel_format="yuv420p",
    metadata="tags",
    playback="video",
    core_reads=True,
    alignment=2,
    quality_key="crf",
    quality_range=(43, 3),  # [ours] crf 0 is lossless and of a profile that browsers do not play
    max_crf=51,
    presets=X26X_PRESETS,
    container_options=TAGS_IN_FRONT,
    audio_codec="aac",
    audio_rates=AAC_RATES,
    audio_bit_rate=192_000,
)
WEBM = VideoFormat(
    name="webm",
    extension="webm",
    container="webm",
    codec="libvpx-vp9",
    pixel_format="yuv420p",
    metadata="tags",
    playback="video",
    core_reads=True,
    alignment=2,
    quality_key="crf",
    quality_range=(60, 4),
    max_crf=63,
    presets=VP9_PRESETS,
    codec_options=VP9,
    audio_codec="libopus",
    audio_rates=OPUS_RATES,
    audio_bit_rate=160_000,
)
WEBP = VideoFormat(
    name="webp",  # its encoder joins frames that are exactly the same and keeps the length
    extension="webp",
    container="webp",
    codec="libwebp_anim",
    pixel_format="bgra",
    metadata="exif",
    playback="image",
    core_reads=False,
    max_side=16383,
    loop_key=("loop", 1),
    quality_key="quality",
    quality_range=(40, 100),
)
_ROWS = (
    MP4,
    WEBM,
    VideoFormat(
        name="gif",
        extension="gif",
        container="gif",
        codec="gif",
        pixel_format="pal8",
        metadata="comment",
        playback="preview",  # ComfyUI's frontend takes a gif for a video, which no browser plays
        core_reads=False,
        max_rate=50,  # delays are whole hundredths; players read a delay of one as ten
        loop_key=("loop", 0),
    ),
    WEBP,
    replace(
        MP4,
        name="mp4 h265",
        codec="libx265",
        playback="preview",
        min_side=64,  # below its block size x265 writes past its memory, and the process may die
        quality_range=(46, 6),  # [ours] within 1 dB of mp4 at the same quality, on moving grain
        codec_options={"x265-params": "log-level=error"},
        codec_tag="hvc1",  # what Apple's players ask for
        min_reordered=3,
    ),
    replace(
        MP4,
        name="mp4 av1",
        codec="libsvtav1",
        pixel_format="yuv420p10le",  # of its main profile: less banding at the same size
        depth=16,
        min_side=64,  # older SVT-AV1 takes the whole process down with smaller ones
        quality_range=(60, 8),  # [ours] as above
        max_crf=63,
        presets=AV1_PRESETS,
        codec_options={"preset": "8"},
    ),
    replace(
        WEBM,
        name="webm alpha",
        alpha_format="yuva420p",
        codec_options={**VP9, "auto-alt-ref": "0"},  # libvpx has no hidden frames beside alpha
    ),
    replace(WEBP, name="webp alpha", alpha_format="bgra"),
    VideoFormat(
        name="mov prores 4444",
        extension="mov",
        container="mov",
        codec="prores_ks",
        pixel_format="yuv444p10le",
        alpha_format="yuva444p10le",
        metadata="tags",
        playback="preview",
        core_reads=True,
        depth=16,
        alignment=2,
        codec_options={"profile": "4444", "vendor": "apl0", "alpha_bits": "16"},
        container_options=TAGS_IN_FRONT,
        audio_codec="pcm_s16le",
        audio_rates=PCM_RATES,
    ),
    VideoFormat(
        name="mkv ffv1",
        extension="mkv",
        container="matroska",
        codec="ffv1",
        pixel_format="bgr0",  # RGB as it is: eight bits come back unchanged
        alpha_format="bgra",
        metadata="tags",
        playback="preview",
        core_reads=True,
        min_side=2,
        codec_options={"level": "3", "g": "1", "slicecrc": "1"},  # every frame stands alone and is checked
        audio_codec="flac",
        audio_rates=PCM_RATES,
    ),
    VideoFormat(
        name="apng",
        extension="png",  # as ComfyUI calls them: under this name the workflow is found again
        container="apng",
        codec="apng",
        pixel_format="rgb24",
        alpha_format="rgba",
        metadata="text",
        playback="image",
        core_reads=False,
        loop_key=("plays", 1),
    ),
    VideoFormat(
        name="png sequence",
        extension="",
        container="folder",
        codec="png",
        pixel_format="rgb24",
        alpha_format="rgba",
        metadata="text",
        playback="preview",
        core_reads=False,
    ),
)
FORMATS: dict[str, VideoFormat] = {row.name: row for row in _ROWS}


def video_format(name: str) -> VideoFormat:
    """The row called `name`."""
    if name not in FORMATS:
        raise InputError(f"The format {name!r} is unknown. Choose one of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def _instead(missing: VideoFormat) -> str:
    if missing.name == "mp4":
        return "webm"
    if missing.alpha_format:
        return "mkv ffv1, apng or png sequence, which keep alpha too"
    return "mp4 or webm"
