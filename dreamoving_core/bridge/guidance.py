"""Classifier-free guidance for the first part of the sampling only [LI]."""

from collections.abc import Callable

import comfy.samplers
from comfy.model_patcher import ModelPatcher

from ..errors import InputError


def guided_until(model: ModelPatcher, end_percent: float) -> ModelPatcher:
    """A clone (at 1 the model itself) that is guided up to this share of the sampling; later steps are those of cfg 1.

    They are twice as fast. A function of another pack that evaluates both sides goes on doing so, without the negative.
    """
    if not 0.0 <= end_percent <= 1.0:
        raise InputError(
            f"cfg_end_percent goes from 0 (no guidance) to 1 (guidance in all steps), got {end_percent}."
        )
    if end_percent == 1.0:
        return model
    model = model.clone()
    last = float(model.get_model_object("model_sampling").percent_to_sigma(end_percent))
    evaluate = model.model_options.get("sampler_calc_cond_batch_function", _evaluated)
    model.set_model_sampler_calc_cond_batch_function(_positive_alone_below(last, evaluate))
    return model


def _positive_alone_below(last: float, evaluate: Callable) -> Callable:
    def guided(args: dict) -> list:
        positive, negative = args["conds"]
        if float(args["sigma"].max()) > last or negative is None:
            return evaluate(args)
        found = evaluate({**args, "conds": [positive, None]})
        return [found[0], found[0]]  # whatever makes guidance of two equal sides returns them

    return guided


def _evaluated(args: dict) -> list:
    return comfy.samplers.calc_cond_batch(
        args["model"], args["conds"], args["input"], args["sigma"], args["model_options"]
    )
