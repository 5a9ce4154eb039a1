"""Video Combine: frames, sound and the workflow in one file that plays in the node."""

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.output import OutputFile
from ..dreamoving_core.bridge.video_result import CombinedVideo, CombineSettings, combine_video
from ..dreamoving_core.video.formats import FORMATS, PRESETS
from ..dreamoving_core.video.sound import SOUND_LENGTHS, SoundFit


def listed(file: OutputFile) -> ui.SavedResult:
    return ui.SavedResult(file.filename, file.subfolder, io.FolderType(file.folder))


def shown(result: CombinedVideo, *, format: str) -> dict:
    """What makes the result play in the node, and tells others where it is: the preview first, which the browser plays."""
    if FORMATS[format].playback != "preview":
        return ui.PreviewVideo([listed(result.file)]).as_dict()
    files = [result.preview] if result.pictures else [result.preview, result.file]
    pictures = {"frames": [listed(picture) for picture in result.pictures]} if result.pictures else {}
    return ui.PreviewVideo([listed(file) for file in files]).as_dict() | pictures


class VideoCombine(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingVideoCombine",
            display_name="Video Combine",
            category="DreaMoving/video",
            description="Turns frames into a video file with sound and the workflow inside, and plays it.",
            search_aliases=[
                "save video", "export video", "mp4", "h264", "h265", "hevc", "av1", "webm", "vp9", "transparent video",
                "prores", "mov", "mkv", "ffv1", "gif", "webp", "apng", "png sequence", "contact sheet", "ping pong", "boomerang",
                "VHS video combine",
            ],
            inputs=[
                io.MultiType.Input(
                    "images",
                    types=[io.Image, io.Video],
                    tooltip="The frames in order, or a VIDEO, which is read from its file as it is needed, however long. An "
                    "alpha channel goes into the formats that carry one; odd sizes are padded by one pixel where needed.",
                ),
                io.MultiType.Input(
                    io.String.Input("frame_rate", default="12"),
                    types=[io.Float, io.Int],
                    tooltip="Frames per second: a number (12, 29.97) or an exact fraction (30000/1001). 23.976, "
                    "29.97 and 59.94 become the exact broadcast rates. A connected fps number works too. A VIDEO keeps its own.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default="mp4",
                    tooltip="mp4 (H.264) plays everywhere; webm (VP9) is smaller and slower; gif and webp loop in pages and "
                    "messages, without sound. mp4 h265 and mp4 av1 are smaller still; webm alpha, webp alpha, mov prores 4444, "
                    "mkv ffv1, apng and png sequence carry alpha; mkv ffv1, apng and png sequence lose nothing.",
                ),
                io.Int.Input(
                    "quality",
                    default=70,
                    min=0,
                    max=100,
                    tooltip="100 is best, 0 is the smallest file. mp4: 70 is crf 15, 60 is crf 19. gif, mov, mkv and png have none.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="DreaMoving/dance",
                    tooltip="Name of the file, with folders inside ComfyUI's output folder; a number is added.",
                ),
                io.Boolean.Input(
                    "save_output",
                    default=True,
                    tooltip="On: keep the file in the output folder. Off: only a preview, in the temp folder that ComfyUI empties.",
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Sound from the first frame on (mp4, webm, mov and mkv). It takes the place of a VIDEO's own.",
                ),
                io.MultiType.Input(
                    "side_by_side",
                    types=[io.Image, io.Video],
                    optional=True,
                    tooltip="Frames to show to the left of the result, for instance the poses: as many as images, or one.",
                ),
                io.Int.Input(
                    "crf",
                    default=-1,
                    min=-1,
                    max=63,
                    optional=True,
                    advanced=True,
                    tooltip="The encoder's own number instead of quality: 0 is best; up to 51 for mp4 and mp4 h265, 63 for mp4 av1 "
                    "and webm. -1 takes it from quality. Formats without crf ignore it.",
                ),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="How long the encoder searches: slower makes smaller files of the same quality. For mp4 and webm.",
                ),
                io.Boolean.Input(
                    "ping_pong",
                    default=False,
                    optional=True,
                    tooltip="Play forwards, then backwards, so that the clip loops without a jump.",
                ),
                io.Int.Input(
                    "loop_count",
                    default=0,
                    min=0,
                    max=100,
                    optional=True,
                    tooltip="How many times more the clip is played. gif, webp and apng repeat by themselves: 0 is for ever there.",
                ),
                io.Combo.Input(
                    "audio_length",
                    options=list(SOUND_LENGTHS),
                    default="trim",
                    optional=True,
                    advanced=True,
                    tooltip="What follows sound that is shorter than the picture: trim ends it there, pad goes on in silence, repeat "
                    "starts it again. Longer sound is always cut where the picture ends.",
                ),
                io.Float.Input(
                    "audio_start",
                    default=0.0,
                    min=0.0,
                    max=86400.0,
                    step=0.01,
                    optional=True,
                    advanced=True,
                    tooltip="Second of the sound that falls on the first frame: as many as were skipped of the driving clip.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            outputs=[
                io.Video.Output("video", tooltip="The result for other video nodes."),
                io.String.Output("filename", tooltip="Full path of the file, or of the folder of a png sequence."),
                io.Image.Output(
                    "contact_sheet", tooltip="Sixteen frames, spread evenly over the result, on one picture with their seconds."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, images, frame_rate, format, quality, filename_prefix, save_output, audio=None, side_by_side=None,
        crf=-1, preset="auto", ping_pong=False, loop_count=0, audio_length="trim", audio_start=0.0,
    ) -> io.NodeOutput:  # fmt: skip
        settings = CombineSettings(
            prefix=filename_prefix,
            format=format,
            frame_rate=frame_rate,
            quality=quality,
            keep=save_output,
            crf=crf,
            preset=preset,
            ping_pong=ping_pong,
            loop_count=loop_count,
            sound_fit=SoundFit(start=audio_start, length=audio_length),
        )
        result = combine_video(images, settings, side_by_side=side_by_side, audio=audio, hidden=cls.hidden)
        return io.NodeOutput(
            result.video, result.file.path, result.contact_sheet, ui=shown(result, format=format)
        )


NODES = [VideoCombine]
