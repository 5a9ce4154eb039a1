"""Pose Extract: the poses of the people in a video."""

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.pose_extract import (
    detector_files,
    detectors_fingerprint,
    extract_poses,
    point_files,
    unusable_detectors,
)
from ..dreamoving_core.preprocess.dwpose import ExtractSettings
from ..dreamoving_core.preprocess.onnx_session import AUTO, DEVICES

PoseKeypoint = io.Custom("POSE_KEYPOINT")


class PoseExtract(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingPoseExtract",
            display_name="Pose Extract",
            category="DreaMoving/preprocess",
            description="Reads the poses of everybody off a video, as DWPose does: body, hands, face and feet, frame by frame. "
            "Long videos are read from their file and never held in memory.",
            search_aliases=["dwpose", "openpose", "pose estimation", "keypoints", "rtmw", "wholebody", "yolox", "mocap"],
            inputs=[
                io.MultiType.Input("video", types=[io.Video, io.Image],
                    tooltip="A VIDEO, which is read from its file as it is needed, however long; or pictures."),
                io.Combo.Input("detector", options=detector_files(),
                    tooltip="Finds the people: yolox_l.onnx or another YOLOX file in models/dwpose. DreaMoving-Tiny's knows "
                    "drawn dancers only."),
                io.Combo.Input("pose_model", options=point_files(),
                    tooltip="Finds their joints: dw-ll_ucoco_384.onnx or another DWPose or RTMW file in models/dwpose."),
                io.Int.Input("people", default=0, min=0, max=1000,
                    tooltip="Keep only so many people of each frame, the largest ones. 0: everybody."),
                io.Int.Input("detect_every", default=0, min=0, max=1000, advanced=True,
                    tooltip="Look for people in every n-th frame and follow their joints in between. 1: in each frame. "
                    "0: 1 on a graphics card, 5 on the CPU, where looking is slow."),
                io.Float.Input("threshold", default=0.3, min=0.05, max=0.95, step=0.05, advanced=True,
                    tooltip="How sure the detector must be of a person, 0 to 1. Lower it when somebody is missed."),
                io.Combo.Input("device", options=[AUTO, *DEVICES], default=AUTO, advanced=True,
                    tooltip="Where to compute. auto: the best that the installed onnxruntime offers; the report says which and why."),
                io.BoundingBox.Input("bboxes", optional=True, force_input=True,
                    tooltip="Boxes of the people instead of the detector's, from a detection node: one list per frame."),
            ],
            outputs=[
                PoseKeypoint.Output("keypoints", tooltip="Poses, one entry per frame, empty where nobody was found."),
                io.Float.Output("frame_rate", tooltip="Frames per second of a VIDEO; 0 for pictures, which have none."),
                io.String.Output("report", tooltip="How many frames and people, and what computed it."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, detector, pose_model) -> bool | str:
        return unusable_detectors(detector, pose_model) or True

    @classmethod
    def fingerprint_inputs(cls, detector, pose_model, **_) -> str:
        return detectors_fingerprint(detector, pose_model)

    @classmethod
    def execute(
        cls, video, detector, pose_model, people=0, detect_every=0, threshold=0.3, device=AUTO, bboxes=None
    ) -> io.NodeOutput:
        settings = ExtractSettings(every=detect_every, threshold=threshold, people=people)
        files = {"detector": detector, "pose_model": pose_model, "device": device}
        keypoints, rate, report = extract_poses(video, settings, boxes=bboxes, **files)
        return io.NodeOutput(keypoints, rate, report, ui=ui.PreviewText(report))


NODES = [PoseExtract]
