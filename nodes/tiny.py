"""DreaMoving-Tiny, the small model that this repository trains."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.tiny_files import load_tiny, tiny_fingerprint
from ..dreamoving_core.procdance.palette import STYLES


class DreaMovingLoadTiny(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingLoadTiny",
            display_name="Load DreaMoving-Tiny",
            category="DreaMoving/loaders",
            description="A complete small model, trained by this repository on procedural dancers: 128 x 128 pixels, "
            "runs on any computer. Use it to learn the graph; swap in real loaders for real pictures.",
            search_aliases=["demo model", "example model", "checkpoint"],
            inputs=[
                io.Combo.Input(
                    "style",
                    options=list(STYLES),
                    default=STYLES[0],
                    optional=True,  # workflows from before it was there have none
                    tooltip="How it draws: soft, without outlines, or outlined, pastel with dark lines. "
                    "outlined is a LoRA on the base model, as with a stylised checkpoint; everything else stays.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    "MODEL", tooltip="The base model: like a Stable Diffusion 1.5 checkpoint, but tiny."
                ),
                io.Clip.Output("CLIP", tooltip="The text encoder, for CLIP Text Encode."),
                io.Vae.Output("VAE", tooltip="Between pictures and latents."),
                io.ClipVision.Output(
                    "CLIP_VISION", tooltip="The image encoder, for Encode Face and Encode Cloth."
                ),
                io.Custom("DREAMOVING_MOTION_MODEL").Output("motion_model", tooltip="For Apply Motion."),
                io.ControlNet.Output("control_pose", tooltip="The Video ControlNet for poses."),
                io.ControlNet.Output("control_depth", tooltip="The Video ControlNet for depth."),
                io.Custom("DREAMOVING_CONTENT_GUIDER").Output(
                    "content_guider", tooltip="For Encode Face, Encode Cloth and Apply Content Guider."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, style=STYLES[0]) -> str:
        return tiny_fingerprint()

    @classmethod
    def execute(cls, style=STYLES[0]) -> io.NodeOutput:
        tiny = load_tiny(style=style)
        return io.NodeOutput(
            tiny.model,
            tiny.clip,
            tiny.vae,
            tiny.clip_vision,
            tiny.motion,
            tiny.control_pose,
            tiny.control_depth,
            tiny.content_guider,
        )


NODES = [DreaMovingLoadTiny]
