"""The noise schedule that a motion file was trained with, over the base model's own."""

import copy
from types import SimpleNamespace
from typing import Any, Literal

import comfy.model_sampling

from ..errors import InputError

BETA_START, BETA_END = 0.00085, 0.012  # [AD] linear in beta, where SD1.5 is linear in its root
LINEAR = "sqrt_linear"  # ComfyUI's name for linear in beta
LCM_TIMESTEPS = 100  # [AnimateLCM] the grid that it was distilled on; core's LCM has 50

BetaSchedule = Literal["auto", "linear", "keep", "lcm"]


def scheduled(model_sampling: Any, schedule: BetaSchedule) -> Any:
    """`model_sampling` with the betas of `schedule`, or itself where they are to be kept."""
    if schedule == "linear":
        return linear_betas(model_sampling)
    if schedule == "lcm":
        return lcm_betas(model_sampling)
    return model_sampling


def linear_betas(model_sampling: Any) -> Any:
    """The same sampling, be it epsilon or v-prediction, with AnimateDiff's betas; few-step (LCM) grids stay as they are."""
    if not isinstance(model_sampling, comfy.model_sampling.ModelSamplingDiscrete) or hasattr(
        model_sampling, "original_timesteps"
    ):
        return model_sampling
    sampling = copy.deepcopy(model_sampling)
    sampling._register_schedule(
        beta_schedule=LINEAR,
        timesteps=sampling.num_timesteps,
        linear_start=BETA_START,
        linear_end=BETA_END,
        zsnr=sampling.zsnr,
    )
    return sampling


def lcm_betas(model_sampling: Any) -> Any:
    """Core's LCM sampling on AnimateDiff's betas and AnimateLCM's grid. Raises InputError for v-prediction models."""
    # brings ComfyUI's own nodes along, which are there when a node of ours runs
    from comfy_extras.nodes_model_advanced import LCM, ModelSamplingDiscreteDistilled

    if isinstance(model_sampling, comfy.model_sampling.V_PREDICTION):
        raise InputError(
            "The LCM noise schedule is for base models that predict noise, and this one predicts v. "
            "Set beta_schedule to 'keep', or load an ordinary Stable Diffusion 1.5 checkpoint."
        )

    class AnimateLCMSampling(ModelSamplingDiscreteDistilled, LCM):
        original_timesteps = LCM_TIMESTEPS

    settings = {"beta_schedule": LINEAR, "linear_start": BETA_START, "linear_end": BETA_END}
    return AnimateLCMSampling(SimpleNamespace(sampling_settings=settings))
