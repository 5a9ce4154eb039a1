"""What ComfyUI's Apply ControlNet leaves out: a ControlNet strength that changes over the clip."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.video_control import with_frame_strength

Floats = io.Custom("FLOATS")


class ControlStrength(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingControlStrength",
            display_name="Set Control Strength per Frame",
            category="DreaMoving/control",
            description="Lets a Video ControlNet guide some frames more than others. Goes between its loader and "
            "ComfyUI's Apply ControlNet.",
            search_aliases=["controlnet strength", "controlnet schedule", "keyframes"],
            inputs=[
                io.ControlNet.Input(
                    "control_net", tooltip="From Load Video ControlNet, which reads ordinary ControlNets too."
                ),
                io.MultiType.Input(
                    io.Float.Input(
                        "strength", default=1.0, min=0.0, max=10.0, step=0.01,
                        tooltip="Multiplies the strength of Apply ControlNet. 0 is off, exactly. A number, a list of "
                        "numbers over the frames, or a curve from the first frame to the last.",
                    ),
                    types=[io.Curve, Floats],
                ),
            ],
            outputs=[io.ControlNet.Output("control_net", tooltip="The same ControlNet, for Apply ControlNet.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, control_net, strength) -> io.NodeOutput:
        return io.NodeOutput(with_frame_strength(control_net, strength))


NODES = [ControlStrength]
