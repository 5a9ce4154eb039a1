"""The pack's nodes. ComfyUI calls `comfy_entrypoint`, which makes the extension below; nothing happens before that."""

from comfy_api.latest import ComfyExtension, io
from typing_extensions import override

from ..dreamoving_core.bridge.loading import register_model_folders
from . import (
    cloth,
    content,
    control,
    depth,
    doctor,
    evaluation,
    face,
    loaders,
    models,
    motion,
    pose,
    pose_extract,
    preprocess,
    sampling,
    schedule,
    tiny,
    video,
)


class DreaMovingExtension(ComfyExtension):
    """Every node of the pack, in the order of a graph."""

    @override
    async def on_load(self) -> None:
        register_model_folders()

    @override
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        parts = (
            tiny,
            loaders,
            models,
            doctor,
            preprocess,
            pose_extract,
            pose,
            depth,
            face,
            cloth,
            motion,
            content,
            control,
            schedule,
            sampling,
            video,
            evaluation,
        )
        return [node for part in parts for node in part.NODES]
