"""What ComfyUI's Apply ControlNet leaves out: strength over the clip and the picture, and pictures for a few frames."""

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.sparse_frames import SparseFrames, parse_frames
from ..dreamoving_core.bridge.strength_plot import changing_strengths
from ..dreamoving_core.bridge.video_control import with_frame_strength, with_sparse_frames

Floats = io.Custom("FLOATS")


class ControlStrength(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingControlStrength",
            display_name="Set Control Strength per Frame",
            category="DreaMoving/control",
            description="Lets a Video ControlNet guide some frames, or some parts of the picture, more than others. Goes "
            "between its loader and ComfyUI's Apply ControlNet.",
            search_aliases=["controlnet strength", "controlnet schedule", "controlnet mask", "keyframes"],
            inputs=[
                io.ControlNet.Input(
                    "control_net", tooltip="From Load Video ControlNet, which reads ordinary ControlNets too."
                ),
                io.MultiType.Input(
                    io.Float.Input(
                        "strength", default=1.0, min=0.0, max=10.0, step=0.01,
                        tooltip="Multiplies the strength of Apply ControlNet. 0 is off, exactly. A number, a list of "
                        "numbers over the frames, a curve from the first frame to the last, or keyframe text.",
                    ),
                    types=[io.Curve, Floats, io.String],
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the ControlNet guides: white fully, black not at all. One mask for the whole clip, or one "
                    "for each frame. Cut to the video's proportions, as control pictures are.",
                ),
            ],
            outputs=[io.ControlNet.Output("control_net", tooltip="The same ControlNet, for Apply ControlNet.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, control_net, strength, mask=None) -> io.NodeOutput:
        guiding = with_frame_strength(control_net, strength, mask=mask)
        plot = changing_strengths(strength=strength)
        return io.NodeOutput(guiding, ui=None if plot is None else ui.PreviewImage(plot, cls=cls))


BY_NUMBER, SPREAD = "by number", "spread over the clip"


class SetSparseFrames(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingSparseFrames",
            display_name="Set Sparse Frames",
            category="DreaMoving/control",
            description="Says which frames of the video the pictures of a SparseCtrl belong to. Goes between Load Video "
            "ControlNet and ComfyUI's Apply ControlNet. Without it, the first picture is for the first frame, the second "
            "for the second, and so on.",
            search_aliases=["sparsectrl", "keyframes", "first frame", "last frame", "image to video"],
            inputs=[
                io.ControlNet.Input(
                    "control_net", tooltip="A SparseCtrl from Load Video ControlNet; it is not changed."
                ),
                io.Combo.Input(
                    "placement",
                    options=[BY_NUMBER, SPREAD],
                    default=BY_NUMBER,
                    tooltip="by number: as frames says. spread over the clip: the first picture on the first frame, the "
                    "last on the last, the others evenly between.",
                ),
                io.String.Input(
                    "frames",
                    default="0",
                    tooltip="For placement by number: one frame for each picture, as 0, 16, -1. Frames count from 0; "
                    "-1 is the last, -2 the one before.",
                ),
            ],
            outputs=[
                io.ControlNet.Output("control_net", tooltip="The same SparseCtrl, for Apply ControlNet.")
            ],
        )

    @classmethod
    def execute(cls, control_net, placement, frames) -> io.NodeOutput:
        spread = placement == SPREAD
        places = SparseFrames(spread=spread, numbers=() if spread else parse_frames(frames))
        return io.NodeOutput(with_sparse_frames(control_net, places))


NODES = [ControlStrength, SetSparseFrames]
