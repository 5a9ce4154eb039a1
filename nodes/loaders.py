"""Loaders: from a file in ComfyUI's model folders to a socket. The file's tensors decide what it is, not its name."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.loading import (
    file_fingerprint,
    load_content_guider_file,
    load_motion_model,
    load_video_controlnet_file,
    model_files,
    model_path,
    unusable,
)

MotionModel = io.Custom("DREAMOVING_MOTION_MODEL")
ContentGuider = io.Custom("DREAMOVING_CONTENT_GUIDER")


class LoadMotionModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingLoadMotionModel",
            display_name="Load Motion Model",
            category="DreaMoving/loaders",
            description="Loads motion blocks for an SD1.5 model: AnimateDiff v1, v2, v3 and what shares their layout, "
            "or our own format.",
            search_aliases=["animatediff", "motion module", "mm_sd_v15"],
            inputs=[
                io.Combo.Input(
                    "motion_model",
                    options=model_files("motion"),
                    tooltip="A file in models/animatediff_models or models/dreamoving.",
                ),
            ],
            outputs=[MotionModel.Output("motion_model", tooltip="For Apply Motion.")],
        )

    @classmethod
    def validate_inputs(cls, motion_model) -> bool | str:
        return unusable("motion", motion_model) or True

    @classmethod
    def fingerprint_inputs(cls, motion_model) -> str:
        return file_fingerprint("motion", motion_model)

    @classmethod
    def execute(cls, motion_model) -> io.NodeOutput:
        return io.NodeOutput(load_motion_model(model_path("motion", motion_model)))


class LoadVideoControlNet(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingLoadVideoControlNet",
            display_name="Load Video ControlNet",
            category="DreaMoving/loaders",
            description="Loads a Video ControlNet, whose frames know each other, or an ordinary SD1.5 ControlNet, whose "
            "frames do not. Either way it follows its poses through context windows, which the stock loader's do not.",
            search_aliases=["controlnet", "openpose", "pose", "depth"],
            inputs=[
                io.Combo.Input(
                    "control_net",
                    options=model_files("control"),
                    tooltip="A file in models/controlnet or models/dreamoving.",
                ),
            ],
            outputs=[io.ControlNet.Output("control_net", tooltip="For the stock Apply ControlNet node.")],
        )

    @classmethod
    def validate_inputs(cls, control_net) -> bool | str:
        return unusable("control", control_net) or True

    @classmethod
    def fingerprint_inputs(cls, control_net) -> str:
        return file_fingerprint("control", control_net)

    @classmethod
    def execute(cls, control_net) -> io.NodeOutput:
        return io.NodeOutput(load_video_controlnet_file(model_path("control", control_net)))


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
            ],
            outputs=[
                ContentGuider.Output(
                    "content_guider", tooltip="For Encode Face, Encode Cloth and Apply Content Guider."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, content_guider) -> bool | str:
        return unusable("guider", content_guider) or True

    @classmethod
    def fingerprint_inputs(cls, content_guider, ip_adapter_as) -> str:
        return f"{file_fingerprint('guider', content_guider)}:{ip_adapter_as}"

    @classmethod
    def execute(cls, content_guider, ip_adapter_as) -> io.NodeOutput:
        path = model_path("guider", content_guider)
        return io.NodeOutput(load_content_guider_file(path, branch=ip_adapter_as))


NODES = [LoadMotionModel, LoadVideoControlNet, LoadContentGuider]
