"""Motion LoRAs on a loaded motion model: weight patches in ComfyUI's care, as its own LoRA loader makes them."""

from dataclasses import replace

from comfy.weight_adapter.lora import LoRAAdapter

from ..errors import WeightsError
from ..weights.motion_lora import LowRank, MotionLora, refuse_other_version
from .motion import LoadedMotion


def with_motion_lora(motion: LoadedMotion, lora: MotionLora, *, strength: float = 1.0) -> LoadedMotion:
    """The motion model with `strength` times the LoRA on its weights; 0 gives `motion` itself.

    Further LoRAs add up. Raises WeightsError for a LoRA of another motion model's layout.
    """
    weights = {key: tuple(value.shape) for key, value in motion.patcher.model.state_dict().items()}
    refuse_other_version(lora, weights, motion_model=motion.info.get("name", "the motion model"))
    if strength == 0.0:
        return motion
    patcher = motion.patcher.clone()
    patches = {target: low_rank_patch(layer) for target, layer in lora.layers.items()}
    applied = patcher.add_patches(patches, strength)
    if len(applied) != len(patches):
        raise WeightsError(
            f"ComfyUI took {len(applied)} of the {len(patches)} layers of '{lora.name}'. Update ComfyUI."
        )
    return replace(motion, patcher=patcher)


def low_rank_patch(layer: LowRank) -> LoRAAdapter:
    """Core's form: up, down, alpha, and three things that motion LoRAs do not have (middle, DoRA, reshape)."""
    alpha = None if layer.alpha is None else float(layer.alpha)
    return LoRAAdapter(set(), (layer.up, layer.down, alpha, None, None, None))
