"""Pose tools: read, choose, clean, fit, resample, mirror and crop POSE_KEYPOINT."""

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.pose_files import pose_fingerprint, pose_texts
from ..dreamoving_core.errors import MissingPackageError
from ..dreamoving_core.preprocess.pose_clean import CleanSettings, clean_clip
from ..dreamoving_core.preprocess.pose_clip import PoseClip, read_clip, write_clip
from ..dreamoving_core.preprocess.pose_edit import Box, crop_with_picture, mirror_clip, resample_clip
from ..dreamoving_core.preprocess.pose_fit import MODES, FitSettings, fit_to_reference
from ..dreamoving_core.preprocess.pose_json import read_pose_json
from ..dreamoving_core.preprocess.pose_overlay import overlay_fit, preview_clip
from ..dreamoving_core.preprocess.pose_track import CHOICES, pick_person, track_people
from ..dreamoving_core.video.rates import parse_frame_rate

PoseKeypoint = io.Custom("POSE_KEYPOINT")
KEYPOINTS = "Poses from Sample Clip, SDPose, a DWPose node or another pose tool."
PREVIEW_RATE = 12.0


def animation(clip: PoseClip, *, cls: type[io.ComfyNode]) -> ui.SavedImages | ui.PreviewText:
    """A small moving preview in the node; without OpenCV, which draws it, a line that says so."""
    try:
        pictures = preview_clip(clip)
    except MissingPackageError as error:
        return ui.PreviewText(f"No preview: {error}")
    saved = ui.ImageSaveHelper.save_animated_webp(
        pictures,
        "dreamoving_pose",
        io.FolderType.temp,
        cls,
        PREVIEW_RATE,
        lossless=False,
        quality=80,
        method=0,
    )
    return ui.SavedImages([saved], is_animated=len(pictures) > 1)


class ReadPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingReadPose",
            display_name="Read Pose JSON",
            category="DreaMoving/preprocess",
            description="Reads poses from OpenPose's JSON files or from what a pose node saved.",
            search_aliases=["load openpose json", "pose keypoint json", "load pose"],
            inputs=[
                io.String.Input(
                    "source",
                    multiline=True,
                    default="",
                    tooltip="A .json file or a folder of them (one per frame) in ComfyUI's input folder, or the JSON itself.",
                ),
                io.Int.Input("width", default=0, min=0, max=16384,
                    tooltip="Width of the video in pixels, where the file doesn't tell; OpenPose's own files don't."),
                io.Int.Input("height", default=0, min=0, max=16384,
                    tooltip="Height of the video in pixels, where the file doesn't tell."),
            ],
            outputs=[PoseKeypoint.Output("keypoints", tooltip="Poses, one entry per frame.")],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, source, width=0, height=0):
        return pose_fingerprint(source)

    @classmethod
    def execute(cls, source, width=0, height=0) -> io.NodeOutput:
        keypoints = read_pose_json(pose_texts(source), width=width, height=height)
        return io.NodeOutput(keypoints, ui=animation(read_clip(keypoints), cls=cls))


class TrackPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingTrackPerson",
            display_name="Track Person",
            category="DreaMoving/preprocess",
            description="Follows everybody through the clip and keeps one of them, also when people cross or vanish for a moment.",
            search_aliases=["pick person", "select person", "pose tracking"],
            inputs=[
                PoseKeypoint.Input("keypoints", tooltip=KEYPOINTS),
                io.Combo.Input("who", options=list(CHOICES), default=CHOICES[0],
                    tooltip="Whom to keep. number: people are counted in the order in which they appear, from left to right."),
                io.Int.Input("number", default=1, min=1, max=1000, tooltip="For who = number: 1 is the first person."),
            ],
            outputs=[
                PoseKeypoint.Output("keypoints", tooltip="One person at most per frame; frames without them are empty."),
                io.Int.Output("people", tooltip="How many people were found in the clip."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, keypoints, who=CHOICES[0], number=1) -> io.NodeOutput:
        tracked = track_people(read_clip(keypoints))
        person = pick_person(tracked, who, number=number)
        return io.NodeOutput(write_clip(person), tracked.points.shape[1], ui=animation(person, cls=cls))


class CleanPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingCleanPose",
            display_name="Clean Pose",
            category="DreaMoving/preprocess",
            description="Takes out a detector's leaps, closes short gaps and calms trembling joints.",
            search_aliases=["smooth pose", "pose jitter", "savgol", "stabilize pose", "interpolate missing joints"],
            inputs=[
                PoseKeypoint.Input("keypoints", tooltip=KEYPOINTS),
                io.Int.Input("smoothing", default=9, min=0, max=99,
                    tooltip="Frames over which a joint's path is smoothed. More is calmer and rounds off quick moves. Below 4: off."),
                io.Int.Input("gaps", default=8, min=0, max=999,
                    tooltip="Longest gap in frames that is closed in a straight line; longer ones stay empty. 0: off."),
                io.Float.Input("outliers", default=4.0, min=0.0, max=20.0, step=0.5,
                    tooltip="How far a single place may leap, in the path's own standard deviations. Less finds more. 0: off."),
            ],
            outputs=[PoseKeypoint.Output("keypoints", tooltip="The cleaned poses, frame by frame.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, keypoints, smoothing=9, gaps=8, outliers=4.0) -> io.NodeOutput:
        clip = read_clip(keypoints)
        cleaned = clean_clip(clip, CleanSettings(smoothing=smoothing, gaps=gaps, outliers=outliers))
        return io.NodeOutput(write_clip(cleaned), ui=animation(cleaned, cls=cls))


class FitPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingFitPose",
            display_name="Fit to Reference",
            category="DreaMoving/preprocess",
            description="Puts a dance on another body: the proportions, the size and the place of the person in a reference picture.",
            search_aliases=["retarget pose", "align pose", "scale pose", "pose transfer", "rescale skeleton"],
            inputs=[
                PoseKeypoint.Input("keypoints", tooltip="The dance. " + KEYPOINTS),
                PoseKeypoint.Input("reference", tooltip="The pose of the reference picture, from the same pose node."),
                io.Combo.Input("mode", options=list(MODES), default=MODES[0],
                    tooltip="bone by bone: every limb as long as the reference's. whole figure: size and place alone. off: nothing."),
                io.Int.Input("anchor_frame", default=-1, min=-1, max=999999, advanced=True,
                    tooltip="The frame of the dance that stands where the reference stands. -1: the clip as a whole."),
                io.Image.Input("image", optional=True, tooltip="The reference picture, for the overlay alone."),
            ],
            outputs=[
                PoseKeypoint.Output("keypoints", tooltip="The fitted dance on the reference picture's canvas, frame by frame."),
                io.Image.Output("overlay",
                    tooltip="The reference, its pose in grey and the fitted pose; red dots where joints leave the picture."),
                io.String.Output("warnings", tooltip="What does not fit, in words; empty when all is well."),
                io.Float.Output("scale", tooltip="The reference's size over the dancer's."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, keypoints, reference, mode=MODES[0], anchor_frame=-1, image=None) -> io.NodeOutput:
        settings = FitSettings(mode=mode, anchor_frame=anchor_frame)
        fit = fit_to_reference(read_clip(keypoints), read_clip(reference), settings)
        overlay = overlay_fit(fit, image, frame=max(anchor_frame, 0))
        words = "\n".join(fit.warnings)
        shown = ui.PreviewImage(overlay, cls=cls).as_dict() | ui.PreviewText(words or "It fits.").as_dict()
        return io.NodeOutput(write_clip(fit.clip), overlay, words, fit.scale, ui=shown)


class ResamplePose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingResamplePose",
            display_name="Resample Pose",
            category="DreaMoving/preprocess",
            description="The same dance with another number of frames per second.",
            search_aliases=["pose fps", "frame rate", "retime pose"],
            inputs=[
                PoseKeypoint.Input("keypoints", tooltip=KEYPOINTS),
                io.Float.Input("frame_rate", default=30.0, min=0.01, max=1000.0, step=0.01,
                    tooltip="Frames per second of the poses; 29.97 and its like are taken exactly."),
                io.Float.Input("new_rate", default=12.0, min=0.01, max=1000.0, step=0.01,
                    tooltip="Frames per second that are wanted. The duration stays."),
            ],
            outputs=[
                PoseKeypoint.Output("keypoints", tooltip="The dance at the new frame rate."),
                io.Float.Output("frame_rate", tooltip="The new frame rate, for Video Combine."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, keypoints, frame_rate=30.0, new_rate=12.0) -> io.NodeOutput:
        rate, wanted = parse_frame_rate(frame_rate), parse_frame_rate(new_rate)
        clip = resample_clip(read_clip(keypoints), rate=rate, new_rate=wanted)
        return io.NodeOutput(write_clip(clip), float(wanted), ui=animation(clip, cls=cls))


class MirrorPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingMirrorPose",
            display_name="Mirror Pose",
            category="DreaMoving/preprocess",
            description="Turns a dance around as a mirror does; left limbs become right ones, hands and face too.",
            search_aliases=["flip pose", "flip horizontal"],
            inputs=[
                PoseKeypoint.Input("keypoints", tooltip=KEYPOINTS),
                io.Image.Input("images", optional=True, tooltip="Pictures to mirror along with the poses."),
            ],
            outputs=[
                PoseKeypoint.Output("keypoints", tooltip="The mirrored poses, frame by frame."),
                io.Image.Output("images", tooltip="The mirrored pictures, where there are any."),
            ],
        )

    @classmethod
    def execute(cls, keypoints, images=None) -> io.NodeOutput:
        clip = mirror_clip(read_clip(keypoints))
        mirrored = None if images is None else images.flip(2)
        return io.NodeOutput(write_clip(clip), mirrored, ui=animation(clip, cls=cls))


class CropPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingCropPose",
            display_name="Crop Pose",
            category="DreaMoving/preprocess",
            description="Cuts the same rectangle out of poses and pictures, around everybody or as given.",
            search_aliases=["crop video and pose", "zoom pose"],
            inputs=[
                PoseKeypoint.Input("keypoints", tooltip=KEYPOINTS),
                io.Image.Input("images", optional=True, tooltip="Pictures to crop along, one per pose."),
                io.Int.Input("width", default=512, min=0, max=16384, step=8,
                    tooltip="Width of the result in pixels. 0: follows from the height, or is the rectangle's own."),
                io.Int.Input("height", default=512, min=0, max=16384, step=8,
                    tooltip="Height of the result in pixels. 0: follows from the width, or is the rectangle's own."),
                io.Float.Input("margin", default=0.15, min=0.0, max=4.0, step=0.01,
                    tooltip="Room around everybody, in shares of the rectangle's longer side."),
                io.Int.Input("x", default=0, min=-16384, max=16384, advanced=True,
                    tooltip="Left edge of a rectangle of your own, in pixels; counts when box_width and box_height do."),
                io.Int.Input("y", default=0, min=-16384, max=16384, advanced=True,
                    tooltip="Its upper edge, in pixels."),
                io.Int.Input("box_width", default=0, min=0, max=16384, advanced=True,
                    tooltip="Its width in pixels. 0: around everybody in the clip."),
                io.Int.Input("box_height", default=0, min=0, max=16384, advanced=True,
                    tooltip="Its height in pixels. 0: around everybody in the clip."),
            ],
            outputs=[
                PoseKeypoint.Output("keypoints", tooltip="The poses on the cropped canvas, frame by frame."),
                io.Image.Output("images", tooltip="The cropped pictures, where there are any."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, keypoints, images=None, width=512, height=512, margin=0.15, x=0, y=0, box_width=0, box_height=0
    ) -> io.NodeOutput:
        box = Box(x=x, y=y, width=box_width, height=box_height) if box_width and box_height else None
        size = {"box": box, "margin": margin, "width": width, "height": height}
        clip, pictures = crop_with_picture(read_clip(keypoints), images, **size)
        return io.NodeOutput(write_clip(clip), pictures, ui=animation(clip, cls=cls))


NODES = [
    ReadPose,
    TrackPerson,
    CleanPose,
    FitPose,
    ResamplePose,
    MirrorPose,
    CropPose,
]
