"""Depth of a video, and depth of other nodes, as pictures for a depth ControlNet that do not flicker."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.aux_detectors import AuxSettings, run_aux
from ..dreamoving_core.bridge.depth import RANGES, DepthSettings, extract_depth, load_depth_model
from ..dreamoving_core.bridge.depth_files import (
    depth_model_fingerprint,
    depth_models,
    unusable_depth_model,
)
from ..dreamoving_core.preprocess.aux_detectors import DETECTORS
from ..dreamoving_core.preprocess.depth_batch import KINDS, normalise_depth

DA3Geometry = io.Custom("DA3_GEOMETRY")
MoGeGeometry = io.Custom("MOGE_GEOMETRY")
PoseKeypoint = io.Custom("POSE_KEYPOINT")


def cuts() -> list[io.Float.Input]:
    return [
        io.Float.Input("cut_near", default=2.0, min=0.0, max=99.0, step=0.5, advanced=True,
            tooltip="How many percent of the clip's pixels become white: the nearest ones."),
        io.Float.Input("cut_far", default=15.0, min=0.0, max=99.0, step=0.5, advanced=True,
            tooltip="How many percent of the clip's pixels become black: the farthest ones. Less shows more of the background."),
    ]  # fmt: skip


class DepthExtract(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingDepthExtract",
            display_name="Depth Extract",
            category="DreaMoving/preprocess",
            description="Sees how far away everything in a video is (ZoeDepth), as pictures for a depth ControlNet. One range for "
            "the whole clip, so nothing flickers.",
            search_aliases=["zoedepth", "zoe depth", "depth map", "depth video", "midas"],
            inputs=[
                io.MultiType.Input("frames", types=[io.Image, io.Video],
                    tooltip="The driving clip: an IMAGE, or a VIDEO, which is read from its file as it is needed."),
                io.Combo.Input("model", options=depth_models(), default=depth_models()[0],
                    tooltip="A ZoeDepth model: its folder, or ZoeD_M12_N.pt, in models/zoedepth. DreaMoving-Tiny needs no "
                    "download and knows drawn dancers only."),
                io.Combo.Input("range", options=list(RANGES), default=RANGES[0],
                    tooltip="What white and black stand for. auto: what the model's file fixes (Tiny), else of the clip. of the "
                    "clip: the nearest and the farthest of this clip."),
                *cuts(),
                io.Boolean.Input("mirror", default=True, advanced=True,
                    tooltip="Look at every frame mirrored too and take the mean, as ZoeDepth's authors do. Off: twice as fast, a little rougher."),
                io.Int.Input("max_size", default=2048, min=0, max=16384, step=8, advanced=True,
                    tooltip="Longer side of the depth pictures in pixels at most; larger frames are made smaller first. 0: as they are."),
                io.Int.Input("batch_size", default=4, min=1, max=64, advanced=True,
                    tooltip="Frames that are looked at together. Less needs less memory."),
            ],
            outputs=[io.Image.Output("depth", tooltip="Depth pictures, near is bright, one per frame, for Apply ControlNet.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, model=None):
        return model is None or unusable_depth_model(model) or True

    @classmethod
    def fingerprint_inputs(cls, model=None, **_kwargs):
        return depth_model_fingerprint(model) if model else ""

    @classmethod
    def execute(
        cls, frames, model, range, cut_near=2.0, cut_far=15.0, mirror=True, max_size=2048, batch_size=4
    ) -> io.NodeOutput:
        settings = DepthSettings(
            span=range,
            cut_near=cut_near,
            cut_far=cut_far,
            mirror=mirror,
            max_size=max_size,
            batch_size=batch_size,
        )
        return io.NodeOutput(extract_depth(frames, load_depth_model(model), settings))


class NormaliseDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingNormaliseDepth",
            display_name="Normalise Depth",
            category="DreaMoving/preprocess",
            description="Makes depth of any node into pictures for a depth ControlNet: near is bright, and one range for the whole "
            "clip, so that it does not flicker.",
            search_aliases=["depth anything", "depth flicker", "deflicker depth", "DA3", "MoGe", "invert depth"],
            inputs=[
                io.MultiType.Input("depth", types=[io.Image, DA3Geometry, MoGeGeometry],
                    tooltip="Depth as grey pictures, or what Run Depth Anything 3 or MoGe give, which is better: pictures of other "
                    "nodes may already be normalised frame by frame, and that cannot be undone."),
                io.Combo.Input("kind", options=list(KINDS), default=KINDS[0],
                    tooltip="What the numbers mean. auto: pictures have near bright, geometry is in metres. near is dark: turned "
                    "round. as disparity: 1 / depth, more contrast near, as MiDaS sees."),
                *cuts(),
            ],
            outputs=[io.Image.Output("depth", tooltip="Depth pictures, near is bright, one per frame.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, depth, kind=KINDS[0], cut_near=2.0, cut_far=15.0) -> io.NodeOutput:
        return io.NodeOutput(normalise_depth(depth, kind=kind, cut_near=cut_near, cut_far=cut_far))


class AuxPreprocess(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingAuxPreprocess",
            display_name="Aux Preprocess",
            category="DreaMoving/preprocess",
            description="The classic detectors of the package controlnet_aux, where it is installed: OpenPose, MiDaS and ZoeDepth, "
            "from files that are on this computer. Depth gets one range for the whole clip.",
            search_aliases=["controlnet_aux", "openpose detector", "midas", "zoe", "annotator"],
            inputs=[
                io.MultiType.Input("frames", types=[io.Image, io.Video],
                    tooltip="The driving clip: an IMAGE, or a VIDEO, which is read from its file as it is needed."),
                io.Combo.Input("detector", options=list(DETECTORS), default=DETECTORS[0],
                    tooltip="OpenPose: poses as before DWPose. MiDaS: depth with more contrast near. ZoeDepth: as Depth Extract, by "
                    "other code."),
                io.Int.Input("resolution", default=512, min=64, max=2048, step=64, advanced=True,
                    tooltip="Shorter side in pixels at which frames are looked at. More sees smaller people and takes longer."),
                *cuts(),
            ],
            outputs=[
                io.Image.Output("pictures", tooltip="Pose or depth pictures for Apply ControlNet, one per frame."),
                PoseKeypoint.Output("keypoints", tooltip="OpenPose's poses for the pose tools; frames without people for depth."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, frames, detector, resolution=512, cut_near=2.0, cut_far=15.0) -> io.NodeOutput:
        settings = AuxSettings(resolution=resolution, cut_near=cut_near, cut_far=cut_far)
        return io.NodeOutput(*run_aux(detector, frames, settings))


NODES = [DepthExtract, NormaliseDepth, AuxPreprocess]
