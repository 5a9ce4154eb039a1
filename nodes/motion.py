"""Motion blocks applied to a model."""

from comfy_api.latest import io, ui

from ..dreamoving_core.bridge.block_strengths import EVEN, block_strengths
from ..dreamoving_core.bridge.motion import apply_motion
from ..dreamoving_core.bridge.strength_plot import changing_strengths

MotionModel = io.Custom("DREAMOVING_MOTION_MODEL")
BlockStrengths = io.Custom("DREAMOVING_BLOCK_STRENGTHS")
Floats = io.Custom("FLOATS")

BETA_SCHEDULES = {"auto": "auto", "linear (AnimateDiff)": "linear", "keep": "keep", "lcm (AnimateLCM)": "lcm"}
PER_FRAME = (
    "A number, a list of numbers over the frames, a curve from the first frame to the last, or keyframe text."
)
GROUPS = {
    "down_0": "on the way down, full size: fine movement and texture",
    "down_1": "on the way down, half size",
    "down_2": "on the way down, a quarter",
    "down_3": "on the way down, an eighth: the figure as a whole",
    "mid": "the middle, an eighth. Only some files have it (AnimateDiff v2, AnimateLCM, LongAnimateDiff)",
    "up_0": "on the way up, an eighth: the figure as a whole",
    "up_1": "on the way up, a quarter: limbs",
    "up_2": "on the way up, half size",
    "up_3": "on the way up, full size: fine movement and texture",
}


class ApplyMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingApplyMotion",
            display_name="Apply Motion",
            category="DreaMoving/motion",
            description="Lets the frames of a batch know each other, so that they become one moving clip. The batch size "
            "of the latent is the number of frames.",
            search_aliases=["animatediff", "motion module", "temporal"],
            inputs=[
                io.Model.Input("model", tooltip="An SD1.5 model; the input itself is not changed."),
                MotionModel.Input("motion_model", tooltip="From Load Motion Model or Load DreaMoving-Tiny."),
                io.MultiType.Input(
                    io.Float.Input(
                        "strength", default=1.0, min=0.0, max=2.0, step=0.01,
                        tooltip=f"How much of the motion blocks is added. 0 is the stock model, exactly. {PER_FRAME}",
                    ),
                    types=[io.Curve, Floats, io.String],
                ),
                io.MultiType.Input(
                    io.Float.Input(
                        "scale", default=1.0, min=0.0, max=3.0, step=0.01,
                        tooltip="How sharply frames attend to each other; above 1 there is more motion. LongAnimateDiff "
                        f"wants 1.15 (32 frames) or 1.28 (64). {PER_FRAME}",
                    ),
                    types=[io.Curve, Floats, io.String],
                    advanced=True,
                ),
                io.Float.Input(
                    "start_percent", default=0.0, min=0.0, max=1.0, step=0.01, advanced=True,
                    tooltip="The share of the denoising after which motion begins (0 is the first step).",
                ),
                io.Float.Input(
                    "end_percent", default=1.0, min=0.0, max=1.0, step=0.01, advanced=True,
                    tooltip="The share of the denoising after which motion ends (1 is the last step).",
                ),
                io.Combo.Input(
                    "beta_schedule", options=list(BETA_SCHEDULES), default="auto", advanced=True,
                    tooltip="The noise schedule: auto is what the motion file was trained with (for AnimateDiff linear, "
                    "for AnimateLCM lcm), keep leaves the model's own, as an LCM or a Model Sampling node set it.",
                ),
                io.Combo.Input(
                    "norms_across_frames", options=["auto", "on", "off"], default="auto", optional=True, advanced=True,
                    tooltip="Whether the base model's own norms average over all frames of the clip. AnimateDiff v1 was "
                    "trained so, later files were not; auto is what the file was trained with.",
                ),
                io.Combo.Input(
                    "positions", options=["formula", "stretch"], default="formula", optional=True, advanced=True,
                    tooltip="For clips (or context windows) longer than the file's positions. formula counts on as in "
                    "training; stretch squeezes the clip into the file's positions: calmer, slower movement.",
                ),
                BlockStrengths.Input(
                    "block_strengths", optional=True,
                    tooltip="From Motion Block Strengths: how strong the blocks of each resolution are.",
                ),
            ],
            outputs=[io.Model.Output("model", tooltip="The model with motion, for a sampler.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, motion_model, strength, scale, start_percent, end_percent, beta_schedule,
        norms_across_frames="auto", positions="formula", block_strengths=None,
    ) -> io.NodeOutput:  # fmt: skip
        moving = apply_motion(
            model, motion_model, strength=strength, scale=scale, start_percent=start_percent, end_percent=end_percent,
            beta_schedule=BETA_SCHEDULES[beta_schedule], norms_across_frames=norms_across_frames, positions=positions,
            blocks=block_strengths or EVEN,
        )  # fmt: skip
        plot = changing_strengths(strength=strength, scale=scale)
        return io.NodeOutput(moving, ui=None if plot is None else ui.PreviewImage(plot, cls=cls))


class MotionBlockStrengths(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingMotionBlockStrengths",
            display_name="Motion Block Strengths",
            category="DreaMoving/motion",
            description="Makes the motion blocks of some resolutions stronger or weaker than others, for Apply Motion. "
            "What it gives is multiplied with Apply Motion's own strength or scale.",
            search_aliases=["per block", "block weight", "animatediff"],
            inputs=[
                io.Combo.Input(
                    "multiplies", options=["strength", "scale"], default="strength",
                    tooltip="Which setting of Apply Motion these numbers are multiplied with. Chain two nodes for both.",
                ),
                *(
                    io.Float.Input(
                        group, default=1.0, min=0.0, max=3.0, step=0.05,
                        tooltip=f"Blocks {where}. 1 leaves them alone; a strength of 0 takes them out.",
                    )
                    for group, where in GROUPS.items()
                ),
                BlockStrengths.Input(
                    "block_strengths", optional=True,
                    tooltip="Another of these nodes, for the other setting. The same setting is replaced.",
                ),
            ],
            outputs=[BlockStrengths.Output("block_strengths", tooltip="For Apply Motion.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, multiplies, **factors) -> io.NodeOutput:
        before = factors.pop("block_strengths", None)
        return io.NodeOutput(block_strengths(factors, target=multiplies, before=before))


NODES = [ApplyMotion, MotionBlockStrengths]
