"""Loaders: from a file in ComfyUI's model folders to a socket. The file's tensors decide what it is, not its name."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.loading import (
    file_fingerprint,
    load_content_guider_file,
    load_motion_lora,
    load_motion_model,
    load_video_controlnet_file,
    model_files,
    model_path,
    unusable,
)
from ..dreamoving_core.bridge.motion_lora import with_motion_lora
from ..dreamoving_core.weights.control_motion import MOTION_BLOCKS
from ..dreamoving_core.weights.ip_adapter_variants import VARIANTS

MotionModel = io.Custom("DREAMOVING_MOTION_MODEL")
ContentGuider = io.Custom("DREAMOVING_CONTENT_GUIDER")

MOTION_NORMS = {"auto": None, "within each frame": "frame", "across the clip": "clip"}


class LoadMotionModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingLoadMotionModel",
            display_name="Load Motion Model",
            category="DreaMoving/loaders",
            description="Loads motion blocks for an SD1.5 model: AnimateDiff v1, v2, v3, AnimateLCM, AnimateDiff-Lightning, "
            "LongAnimateDiff, diffusers motion adapters, trainer checkpoints, or our own format.",
            search_aliases=["animatediff", "motion module", "mm_sd_v15", "animatelcm", "motion adapter"],
            inputs=[
                io.Combo.Input(
                    "motion_model",
                    options=model_files("motion"),
                    tooltip="A file in models/animatediff_models or models/dreamoving.",
                ),
                io.Combo.Input(
                    "motion_norm",
                    options=list(MOTION_NORMS),
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="What the norm inside a motion block averages over. auto: what the file says, else each frame, "
                    "as AnimateDiff. Choose the clip for weights that were trained with diffusers.",
                ),
            ],
            outputs=[
                MotionModel.Output("motion_model", tooltip="For Load Motion LoRA and Apply Motion."),
                io.String.Output("about", tooltip="What the file is, and what was assumed about it."),
            ],
        )

    @classmethod
    def validate_inputs(cls, motion_model) -> bool | str:
        return unusable("motion", motion_model) or True

    @classmethod
    def fingerprint_inputs(cls, motion_model, motion_norm="auto") -> str:
        return f"{file_fingerprint('motion', motion_model)}:{motion_norm}"

    @classmethod
    def execute(cls, motion_model, motion_norm="auto") -> io.NodeOutput:
        path = model_path("motion", motion_model)
        loaded = load_motion_model(path, norm_mode=MOTION_NORMS[motion_norm])
        return io.NodeOutput(loaded, loaded.about)


class LoadMotionLora(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingLoadMotionLora",
            display_name="Load Motion LoRA",
            category="DreaMoving/loaders",
            description="Adds a motion LoRA, such as AnimateDiff's camera moves, to a motion model. Chain several to add "
            "them up. It must have been trained for that motion model's version; AnimateDiff's are for v2.",
            search_aliases=["animatediff", "motion lora", "camera", "zoom", "pan"],
            inputs=[
                MotionModel.Input(
                    "motion_model", tooltip="From Load Motion Model, or another Load Motion LoRA; not changed."
                ),
                io.Combo.Input(
                    "motion_lora",
                    options=model_files("motion_lora"),
                    tooltip="A file in models/animatediff_motion_lora or models/dreamoving.",
                ),
                io.Float.Input(
                    "strength", default=1.0, min=-10.0, max=10.0, step=0.01,
                    tooltip="How much of the LoRA is added. 0 is the motion model as it came, exactly; below 0 turns the "
                    "movement round.",
                ),
            ],
            outputs=[MotionModel.Output("motion_model", tooltip="The motion model with the LoRA, for Apply Motion.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, motion_lora) -> bool | str:
        return unusable("motion_lora", motion_lora) or True

    @classmethod
    def fingerprint_inputs(cls, motion_lora, **_) -> str:
        return file_fingerprint("motion_lora", motion_lora)

    @classmethod
    def execute(cls, motion_model, motion_lora, strength) -> io.NodeOutput:
        lora = load_motion_lora(model_path("motion_lora", motion_lora))
        return io.NodeOutput(with_motion_lora(motion_model, lora, strength=strength))


class LoadVideoControlNet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingLoadVideoControlNet",
            display_name="Load Video ControlNet",
            category="DreaMoving/loaders",
            description="Loads a Video ControlNet, whose frames know each other, an ordinary SD1.5 ControlNet, whose "
            "frames do not, or a SparseCtrl. It follows its poses through context windows, which the stock loader's do not.",
            search_aliases=["controlnet", "openpose", "pose", "depth", "sparsectrl"],
            inputs=[
                io.Combo.Input(
                    "control_net",
                    options=model_files("control"),
                    tooltip="A file in models/controlnet or models/dreamoving.",
                ),
                io.Combo.Input(
                    "motion_blocks",
                    options=list(MOTION_BLOCKS),
                    default=MOTION_BLOCKS[0],
                    optional=True,
                    tooltip="as the file says; off: an image ControlNet, each frame by itself; from the motion model: "
                    "copies of its blocks, as DreaMoving's training starts. Untrained, they make poses less exact.",
                ),
                MotionModel.Input(
                    "motion_model",
                    optional=True,
                    tooltip="From Load Motion Model, for motion_blocks 'from the motion model'.",
                ),
                io.Boolean.Input(
                    "pooled",
                    default=False,
                    optional=True,
                    advanced=True,
                    tooltip="For control_v11e_sd15_shuffle alone: it guides colours and style, not places. "
                    "Its file does not say so.",
                ),
            ],
            outputs=[io.ControlNet.Output("control_net", tooltip="For the stock Apply ControlNet node.")],
        )

    @classmethod
    def validate_inputs(cls, control_net) -> bool | str:
        return unusable("control", control_net) or True

    @classmethod
    def fingerprint_inputs(
        cls, control_net, motion_blocks=MOTION_BLOCKS[0], motion_model=None, pooled=False
    ) -> str:
        return f"{file_fingerprint('control', control_net)}:{motion_blocks}:{pooled}"

    @classmethod
    def execute(
        cls, control_net, motion_blocks=MOTION_BLOCKS[0], motion_model=None, pooled=False
    ) -> io.NodeOutput:
        path = model_path("control", control_net)
        control = load_video_controlnet_file(
            path, motion_blocks=motion_blocks, motion=motion_model, pooled=pooled
        )
        return io.NodeOutput(control)


class LoadContentGuider(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingLoadContentGuider",
            display_name="Load Content Guider",
            category="DreaMoving/loaders",
            description="Loads the networks that turn face and clothes pictures into guidance: a Content Guider, or an "
            "IP-Adapter for SD1.5.",
            search_aliases=["ip-adapter", "ipadapter", "face", "cloth", "reference"],
            inputs=[
                io.Combo.Input(
                    "content_guider",
                    options=model_files("guider"),
                    tooltip="A file in models/dreamoving or models/ipadapter.",
                ),
                io.Combo.Input(
                    "ip_adapter_as",
                    options=["both", "face", "cloth"],
                    default="both",
                    tooltip="Which branch an IP-Adapter file serves. A Content Guider knows its branches itself.",
                ),
                io.Combo.Input(
                    "ip_adapter_variant",
                    options=list(VARIANTS),
                    default=VARIANTS[0],
                    optional=True,
                    advanced=True,
                    tooltip="What an IP-Adapter's tensors cannot tell. auto knows the published files by their contents, and says in the second output what it assumed about others.",
                ),
            ],
            outputs=[
                ContentGuider.Output(
                    "content_guider", tooltip="For Encode Face, Encode Cloth and Apply Content Guider."
                ),
                io.String.Output("about", tooltip="What the file is, and what was assumed about it."),
            ],
        )

    @classmethod
    def validate_inputs(cls, content_guider) -> bool | str:
        return unusable("guider", content_guider) or True

    @classmethod
    def fingerprint_inputs(cls, content_guider, ip_adapter_as, ip_adapter_variant="auto") -> str:
        return f"{file_fingerprint('guider', content_guider)}:{ip_adapter_as}:{ip_adapter_variant}"

    @classmethod
    def execute(cls, content_guider, ip_adapter_as, ip_adapter_variant="auto") -> io.NodeOutput:
        path = model_path("guider", content_guider)
        loaded = load_content_guider_file(path, branch=ip_adapter_as, variant=ip_adapter_variant)
        return io.NodeOutput(loaded, loaded.about)


NODES = [LoadMotionModel, LoadMotionLora, LoadVideoControlNet, LoadContentGuider]
