"""Video Combine: frames from a socket into a new file of ComfyUI's folders, and what plays and goes on from there."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from comfy_api.latest import Input, InputImpl, Types
from torch import Tensor

from ..video.encode import video_writer
from ..video.encoded import EncodeSettings
from ..video.formats import FORMATS, video_format
from ..video.layout import SheetFrames
from ..video.pixels import rgb
from ..video.playback import ImageClip, SideBySide, played, shown_frames
from ..video.rates import parse_frame_rate
from ..video.sound import SoundFit, check_audio
from .output import OutputFile, output_file, pictures_of, run_metadata, watched
from .video_clip import frame_size, open_clip, own_frame_rate, own_sound

PREVIEW_QUALITY = 85  # [ours] other nodes may go on from it


@dataclass(frozen=True, kw_only=True)
class CombineSettings:
    """What the artist chose. `crf` below 0 takes it from `quality`."""

    prefix: str
    format: str
    frame_rate: str | float | Fraction
    quality: int = 70
    keep: bool = True
    crf: int = -1
    preset: str = "auto"
    ping_pong: bool = False
    loop_count: int = 0
    sound_fit: SoundFit = field(default_factory=SoundFit)


@dataclass(frozen=True, kw_only=True)
class CombinedVideo:
    """`preview` is an mp4 in the temp folder, where a browser or core can't use `file` itself.

    `pictures` are the files in it when `file` is a folder.
    """

    file: OutputFile
    preview: OutputFile | None
    pictures: tuple[OutputFile, ...]
    video: Input.Video
    contact_sheet: Tensor  # 1 h w 3


def combine_video(
    images: Tensor | Input.Video,
    settings: CombineSettings,
    *,
    side_by_side: Tensor | Input.Video | None = None,
    audio: Mapping | None = None,
    hidden: Any = None,
) -> CombinedVideo:
    """Writes `images`, with `side_by_side` to their left. A VIDEO keeps its rate, and its sound unless there is `audio`.

    One pass over the frames. Raises InputError, and leaves no file.
    """
    own = open_clip(images)
    encoding = _encoding(images, settings, metadata=run_metadata(hidden))
    form, rate = encoding.format, encoding.frame_rate
    repeats = 0 if form.loop_key else settings.loop_count
    # what core can't open goes on as the frames that came in; where those are not in memory, as the preview
    in_memory = isinstance(own, ImageClip) and not (settings.ping_pong or repeats)
    previewed = form.playback == "preview" or not (form.core_reads or in_memory)
    width, height = frame_size(images)
    file = output_file(settings.prefix, form.extension, width=width, height=height, keep=settings.keep)
    preview = None
    if previewed:
        preview = output_file(
            settings.prefix + "_preview", "mp4", width=width, height=height, keep=False
        )  # its own name: a preview may lie in the same folder as the file

    clip = own
    if side_by_side is not None and own.num_frames:
        clip = SideBySide(open_clip(side_by_side), own)
    total = shown_frames(clip.num_frames, ping_pong=settings.ping_pong, repeats=repeats)
    sound = own_sound(images, own) if audio is None else check_audio(audio)
    sheet = SheetFrames()
    with ExitStack() as writers:
        outputs = [writers.enter_context(video_writer(file.path, encoding, sound=sound))]
        if preview is not None:
            outputs.append(
                writers.enter_context(video_writer(preview.path, _preview_of(encoding), sound=sound))
            )
        for frame in watched(played(clip, ping_pong=settings.ping_pong, repeats=repeats), total=total):
            for output in outputs:
                output.write(frame)
            sheet.add(frame)

    if form.core_reads:
        video = InputImpl.VideoFromFile(file.path)
    elif in_memory:
        video = InputImpl.VideoFromComponents(
            Types.VideoComponents(images=rgb(own.images), audio=audio, frame_rate=rate)
        )
    else:
        video = InputImpl.VideoFromFile(preview.path)
    return CombinedVideo(
        file=file,
        preview=preview,
        pictures=pictures_of(file) if form.container == "folder" else (),
        video=video,
        contact_sheet=sheet.sheet(rate)[None],
    )


def _encoding(
    images: Tensor | Input.Video, settings: CombineSettings, *, metadata: Mapping[str, str]
) -> EncodeSettings:
    return EncodeSettings(
        format=video_format(settings.format),
        frame_rate=own_frame_rate(images) or parse_frame_rate(settings.frame_rate),
        quality=settings.quality,
        crf=None if settings.crf < 0 else settings.crf,
        preset=settings.preset,
        loop_count=settings.loop_count,
        sound_fit=settings.sound_fit,
        metadata=metadata,
    )


def _preview_of(encoding: EncodeSettings) -> EncodeSettings:
    return EncodeSettings(
        format=FORMATS["mp4"],
        frame_rate=encoding.frame_rate,
        quality=PREVIEW_QUALITY,
        preset="veryfast",
        sound_fit=encoding.sound_fit,
    )
