"""Motion blocks applied to a model."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.motion import apply_motion

MotionModel = io.Custom("DREAMOVING_MOTION_MODEL")
Floats = io.Custom("FLOATS")

BETA_SCHEDULES = {"auto": "auto", "linear (AnimateDiff)": "linear", "keep": "keep"}
PER_FRAME = "A number, a list of numbers over the frames, or a curve from the first frame to the last."


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
                    types=[io.Curve, Floats],
                ),
                io.MultiType.Input(
                    io.Float.Input(
                        "scale", default=1.0, min=0.0, max=3.0, step=0.01,
                        tooltip="How sharply frames attend to each other; above 1 there is more motion. LongAnimateDiff "
                        f"wants 1.15 (32 frames) or 1.28 (64). {PER_FRAME}",
                    ),
                    types=[io.Curve, Floats],
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
                    tooltip="The noise schedule: auto is what the motion file was trained with (for AnimateDiff linear), "
                    "keep leaves the model's own, as an LCM or a Model Sampling node set it.",
                ),
            ],
            outputs=[io.Model.Output("model", tooltip="The model with motion, for a sampler.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, motion_model, strength, scale, start_percent, end_percent, beta_schedule
    ) -> io.NodeOutput:
        moving = apply_motion(
            model,
            motion_model,
            strength=strength,
            scale=scale,
            start_percent=start_percent,
            end_percent=end_percent,
            beta_schedule=BETA_SCHEDULES[beta_schedule],
        )
        return io.NodeOutput(moving)


NODES = [ApplyMotion]
