"""Where the motion blocks of a loaded ControlNet come from: its file, nowhere, or a motion model. [DM §2.4.3]"""

import comfy.lora
import torch
from torch import Tensor

from ..errors import InputError
from ..models.motion import MotionConfig
from ..weights.control_motion import MotionBlocks, started_from_motion, without_motion
from ..weights.video_controlnet import VideoControlNetWeights
from .motion import LoadedMotion


def choose_motion(
    weights: VideoControlNetWeights, motion_blocks: MotionBlocks, motion: LoadedMotion | None
) -> tuple[dict[str, Tensor], MotionConfig | None]:
    """The tensors to load, and the layout of their motion blocks where the file does not tell it.

    Raises InputError without a motion model to start from, and for SparseCtrl, whose blocks cannot be exchanged.
    """
    if motion_blocks == "off":
        return without_motion(weights.state_dict), None
    if motion_blocks == "as the file says":
        return weights.state_dict, None
    if motion is None:
        raise InputError(
            "motion_blocks is 'from the motion model', but no motion model is connected. "
            "Connect Load Motion Model, or set motion_blocks to 'as the file says'."
        )
    if weights.sparse:
        raise InputError(
            f"'{weights.name}' is a SparseCtrl, whose motion blocks were trained with it and carry its pictures from "
            "frame to frame. Set motion_blocks to 'as the file says'."
        )
    name = motion.info.get("name", "The motion model")
    return started_from_motion(weights.state_dict, motion_weights(motion), motion.config, name=name)


@torch.no_grad()
def motion_weights(motion: LoadedMotion) -> dict[str, Tensor]:
    """A motion model's tensors with its motion LoRAs added.

    Clones share one network, which may carry the LoRA of another clone just now: what ComfyUI backed up is the file's.
    """
    patcher, found = motion.patcher, {}
    for key, tensor in patcher.model.state_dict().items():
        backup = patcher.backup.get(key)
        tensor = tensor if backup is None else backup.weight
        if key in patcher.patches:
            whole = tensor.to(torch.float32, copy=True)
            tensor = comfy.lora.calculate_weight(patcher.patches[key], whole, key).to(tensor.dtype)
        found[key] = tensor
    return found
