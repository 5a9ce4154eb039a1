"""Scorecard: how good a finished video is, in numbers."""

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.scorecard import score_video
from ..dreamoving_core.metrics.scorecard import ScoreSettings
from ..dreamoving_core.metrics.scorecard_text import as_json, as_text

FaceRecogniser = io.Custom("DREAMOVING_FACE_RECOGNISER")
PoseKeypoint = io.Custom("POSE_KEYPOINT")


class Scorecard(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingScorecard",
            display_name="Scorecard",
            category="DreaMoving/evaluation",
            description="Judges a finished dance video in five numbers: identity to the reference, pose error, flicker, window "
            "seams and colour drift; draws them over the frames, and shows the worst frames. What an input is missing for is "
            "left out, and the node says so.",
            search_aliases=["evaluate", "quality", "metrics", "score", "flicker", "identity", "compare videos", "benchmark", "face similarity"],
            inputs=[
                io.MultiType.Input("images", types=[io.Image, io.Video],
                    tooltip="The video to judge: pictures, or a VIDEO, which is read from its file as it is needed, however long."),
                io.Int.Input("context_length", default=0, min=0, max=4096,
                    tooltip="For window_seams: frames of a context window, as in the sampler that made the video. 0: it was made "
                    "without windows, and seams are not looked for."),
                io.Int.Input("context_overlap", default=4, min=0, max=4095,
                    tooltip="For window_seams: frames that two windows shared, as in the sampler."),
                io.Int.Input("worst", default=3, min=1, max=16,
                    tooltip="How many of the worst frames to show for each figure. They lie apart from each other."),
                io.Boolean.Input("fit_poses", default=False,
                    tooltip="For pose_error: take one scale and one place over the whole clip out first. For a video that is cropped "
                    "otherwise than the poses, or a dancer of another size."),
                io.Image.Input("reference", optional=True,
                    tooltip="For identity: one or more pictures of the person who should dance."),
                PoseKeypoint.Input("keypoints", optional=True,
                    tooltip="For pose_error: the poses that were wanted, as they were given to Draw Pose."),
                PoseKeypoint.Input("result_keypoints", optional=True,
                    tooltip="For pose_error: the poses of the video itself, from Pose Extract."),
                FaceRecogniser.Input("face_recogniser", optional=True,
                    tooltip="For identity: compares faces, from Load Face Recogniser. It goes before clip_vision."),
                io.ClipVision.Input("clip_vision", optional=True,
                    tooltip="For identity without a face recogniser: compares whole pictures, clothes and background too."),
            ],
            outputs=[
                io.String.Output("scorecard", tooltip="Everything as JSON: the numbers under figures, the value of every frame under details."),
                io.Image.Output("plot", tooltip="One panel per figure over the frames, the worst frames marked."),
                io.Image.Output("worst_frames", tooltip="The worst frames of each figure, with its name, value and the frame's number, counted from 0."),
                io.String.Output("report", tooltip="The numbers as lines for people, with what was not measured and why."),
            ],
            is_output_node=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls, images, context_length=0, context_overlap=4, worst=3, fit_poses=False, reference=None, keypoints=None,
        result_keypoints=None, face_recogniser=None, clip_vision=None,
    ) -> io.NodeOutput:  # fmt: skip
        settings = ScoreSettings(
            context_length=context_length, context_overlap=context_overlap, fit_poses=fit_poses, worst=worst
        )
        card, plot, frames = score_video(
            images, settings, reference=reference, keypoints=keypoints, result_keypoints=result_keypoints,
            face_recogniser=face_recogniser, clip_vision=clip_vision,
        )  # fmt: skip
        shown = ui.PreviewText(as_text(card)).as_dict() | ui.PreviewImage(plot, cls=cls).as_dict()
        return io.NodeOutput(as_json(card), plot, frames, as_text(card), ui=shown)


NODES = [Scorecard]
