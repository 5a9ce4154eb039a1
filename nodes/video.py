"""Video Combine: frames, sound and the workflow in one file that plays in the node."""

from comfy_api.latest import InputImpl, Types, io, ui

from ..dreamoving_core.bridge.output import OutputFile, save_video
from ..dreamoving_core.video.formats import FORMATS
from ..dreamoving_core.video.pixels import rgb
from ..dreamoving_core.video.rates import parse_frame_rate


def preview(file: OutputFile, *, format: str) -> ui.PreviewVideo | ui.SavedImages:
    """What makes the result play in the node."""
    result = ui.SavedResult(file.filename, file.subfolder, io.FolderType(file.folder))
    if FORMATS[format].playback == "video":
        return ui.PreviewVideo([result])
    return ui.SavedImages([result], is_animated=True)


def as_video(file: OutputFile, *, format: str, images, frame_rate: str | float, audio):
    """Core VIDEO: the file; beside GIF and WebP, which core cannot decode well, the frames themselves."""
    if FORMATS[format].playback == "video":
        return InputImpl.VideoFromFile(file.path)
    components = Types.VideoComponents(
        images=rgb(images), audio=audio, frame_rate=parse_frame_rate(frame_rate)
    )
    return InputImpl.VideoFromComponents(components)


class VideoCombine(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingVideoCombine",
            display_name="Video Combine",
            category="DreaMoving/video",
            description="Turns frames into a video file with sound and the workflow inside, and plays it.",
            search_aliases=["save video", "export video", "mp4", "webm", "gif", "webp", "VHS video combine"],
            inputs=[
                io.Image.Input(
                    "images",
                    tooltip="The frames, in order. An alpha channel is left out; odd sizes are padded by one pixel.",
                ),
                io.MultiType.Input(
                    io.String.Input("frame_rate", default="12"),
                    types=[io.Float, io.Int],
                    tooltip="Frames per second: a number (12, 29.97) or an exact fraction (30000/1001). 23.976, "
                    "29.97 and 59.94 become the exact broadcast rates. A connected fps number works too.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default="mp4",
                    tooltip="mp4 (H.264) plays everywhere; webm (VP9) is smaller and slower; gif and webp loop in "
                    "pages and messages, without sound.",
                ),
                io.Int.Input(
                    "quality",
                    default=70,
                    min=0,
                    max=100,
                    tooltip="100 is best, 0 is the smallest file. mp4: 70 is crf 15, 60 is crf 19. gif has no quality.",
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
                    tooltip="Sound from the first frame on, cut where the picture ends (mp4 and webm).",
                ),
                io.Image.Input(
                    "side_by_side",
                    optional=True,
                    tooltip="Frames to show to the left of the result, for instance the poses: as many as images, or one.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
            outputs=[
                io.Video.Output("video", tooltip="The result for other video nodes."),
                io.String.Output("filename", tooltip="Full path of the file."),
            ],
        )

    @classmethod
    def execute(
        cls, images, frame_rate, format, quality, filename_prefix, save_output, audio=None, side_by_side=None
    ) -> io.NodeOutput:
        file = save_video(
            images,
            side_by_side,
            prefix=filename_prefix,
            format=format,
            frame_rate=frame_rate,
            quality=quality,
            audio=audio,
            keep=save_output,
            hidden=cls.hidden,
        )
        video = as_video(file, format=format, images=images, frame_rate=frame_rate, audio=audio)
        return io.NodeOutput(video, file.path, ui=preview(file, format=format))


NODES = [VideoCombine]
