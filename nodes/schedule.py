"""Values and prompts over time, from the keyframe text of prompt schedulers."""

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.frame_plot import plot_over_frames
from ..dreamoving_core.bridge.keyframes import BETWEENS, parse_keyframes, parse_prompts, prompt_weights
from ..dreamoving_core.bridge.prompt_travel import travel

Floats = io.Custom("FLOATS")
BETWEEN = (
    "What lies between two keyframes. linear: an even change, as prompt schedulers do. hold: it stays, and jumps at the "
    "next keyframe. smooth: it starts and ends gently."
)


class Keyframes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingKeyframes",
            display_name="Keyframes",
            category="DreaMoving/schedule",
            description="Values that change over the frames, from keyframe text as prompt schedulers know it, for every "
            "strength of this pack. The node draws them.",
            search_aliases=["value schedule", "batch value schedule", "fizznodes", "deforum", "float list", "animate strength"],
            inputs=[
                io.String.Input(
                    "keyframes", default="0:(0.2), 24:(1.0)", multiline=True,
                    tooltip="frame:(value), with commas or on lines of their own. Frames count from 0. Formulas are not read.",
                ),
                io.Int.Input("frames", default=32, min=1, max=4096, tooltip="How many frames the clip has."),
                io.Combo.Input("between", options=list(BETWEENS), default="linear", tooltip=BETWEEN),
            ],
            outputs=[
                Floats.Output("values", tooltip="One number per frame, for strength, scale, alpha_f or alpha_c."),
                io.Float.Output(
                    "float_list", tooltip="The same as a list of floats, for other packs' inputs that take one.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, keyframes, frames, between) -> io.NodeOutput:
        values = parse_keyframes(keyframes).at(frames, between=between)
        plot = plot_over_frames({"value": values})
        return io.NodeOutput(values, values, ui=ui.PreviewImage(plot, cls=cls))


class PromptTravel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingPromptTravel",
            display_name="Prompt Travel",
            category="DreaMoving/schedule",
            description="Prompts that change over the frames: each frame sees its own, and between two keyframes one turns "
            "into the other. Works with every sampler, ControlNet and context window. The node draws how much of each "
            "prompt every frame sees.",
            search_aliases=["batch prompt schedule", "prompt schedule", "fizznodes", "prompt keyframes", "animate prompt"],
            inputs=[
                io.Clip.Input("clip", tooltip="The text encoder of the checkpoint."),
                io.String.Input(
                    "prompts", default="0: a beach\n24: a forest", multiline=True, dynamic_prompts=False,
                    tooltip="A frame, a colon and its prompt, on lines of their own or with | between them, or as the JSON "
                    "of FizzNodes: \"0\": \"a beach\", \"24\": \"a forest\". Frames count from 0.",
                ),
                io.Int.Input(
                    "frames", default=32, min=1, max=4096,
                    tooltip="How many frames the clip has: the same as in the sampler.",
                ),
                io.Combo.Input("between", options=list(BETWEENS), default="linear", tooltip=BETWEEN),
                io.String.Input(
                    "before", default="", multiline=True, optional=True, advanced=True,
                    tooltip="Put before every prompt: what is the same throughout, such as the person.",
                ),
                io.String.Input(
                    "after", default="", multiline=True, optional=True, advanced=True,
                    tooltip="Put behind every prompt: style and quality.",
                ),
            ],
            outputs=[
                io.Conditioning.Output("conditioning", tooltip="For the sampler or Apply ControlNet, as from CLIP Text Encode."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, clip, prompts, frames, between, before="", after="") -> io.NodeOutput:
        conditioning = travel(clip, prompts, num_frames=frames, between=between, before=before, after=after)
        plot = plot_over_frames(prompt_weights(parse_prompts(prompts), frames, between=between))
        return io.NodeOutput(conditioning, ui=ui.PreviewImage(plot, cls=cls))


NODES = [Keyframes, PromptTravel]
