"""What happens once per step and once per call of the U-Net, so that its attentions need not do it sixteen times.

A compiled U-Net makes it a must: ComfyUI's torch.compile node drops every guard on `transformer_options`, so whatever
an attention reads there is frozen to its first value, all but tensors.
"""

from comfy.ldm.modules import attention
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from ..errors import InputError
from .content_attention import ContentAttention
from .content_call import CALL, STEP, ModelCall, RunCache, Step, model_call

KEY = "dreamoving_content"
COMPILED = "torch.compile"  # the key under which ComfyUI registers a compiled model


def add_content_run(model: ModelPatcher) -> None:
    """Let every step and call of `model` be noted, and its clones have patches of their own; twice is as once."""
    for kind, wrapper in ((WrappersMP.PREDICT_NOISE, note_step), (WrappersMP.APPLY_MODEL, note_call)):
        model.remove_wrappers_with_key(kind, KEY)
        model.add_wrapper_with_key(kind, KEY, wrapper)
    model.remove_callbacks_with_key(CallbacksMP.ON_CLONE, KEY)
    model.add_callback_with_key(CallbacksMP.ON_CLONE, KEY, fork_patches)


def fork_patches(_model: ModelPatcher, clone: ModelPatcher) -> None:
    """ON_CLONE: a clone's patches share nothing that can change with those of the model it came from."""
    slots = clone.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    cache = RunCache()
    for key, patch in slots.items():
        if isinstance(patch, ContentAttention):
            slots[key] = patch.forked(cache)


def note_step(
    executor, x: Tensor, timestep: Tensor, model_options: dict | None = None, seed: int | None = None
):
    """PREDICT_NOISE: only here are the conditionings known by name; their order differs from guider to guider."""
    model_options = model_options or {}
    roles = {
        cond["uuid"]: "negative" if "negative" in name or "empty" in name else "positive"
        for name, conds in executor.class_obj.conds.items()
        for cond in conds or []
        if "uuid" in cond
    }
    step = Step(roles=roles, sigma=float(timestep.flatten()[0]))
    transformer_options = {**model_options.get("transformer_options", {}), STEP: step}
    return executor(x, timestep, {**model_options, "transformer_options": transformer_options}, seed)


def note_call(
    executor,
    x,
    t,
    c_concat=None,
    c_crossattn=None,
    control=None,
    transformer_options: dict | None = None,
    **kwargs,
):
    """APPLY_MODEL: the chunks of this call, before the U-Net sees them."""
    options = transformer_options or {}
    call = model_call(x.shape[0], x.device, options)
    call.slots = options.get("patches_replace", {}).get("attn2", {})
    if COMPILED in options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {}):
        dtype = executor.class_obj.get_dtype_inference()
        call.prepared = prepared(call, options, like=x.new_empty(x.shape[0], 1, 1, dtype=dtype))
    return executor(x, t, c_concat, c_crossattn, control, {**options, CALL: call}, **kwargs)


def prepared(call: ModelCall, transformer_options: dict, *, like: Tensor) -> dict:
    """What every patch adds in this call, as tensors.

    Raises InputError where the compiler would stop in the middle of an attention: it would then go on with the patch
    of the first one in all of them.
    """
    breaking = attention.optimized_attention in (attention.attention_sub_quad, attention.attention_split)
    if breaking and "optimized_attention_override" not in transformer_options:
        raise InputError(
            "torch.compile cannot see through the attention that ComfyUI chose, which asks for free memory. Start "
            "ComfyUI with --use-pytorch-cross-attention, or leave the compile node out."
        )
    found = {}
    for key, patch in transformer_options.get("patches_replace", {}).get("attn2", {}).items():
        if not isinstance(patch, ContentAttention):
            raise InputError(
                f"torch.compile cannot see through the {type(patch).__name__} of another node that stands over the "
                f"Content Guider in {key}. Put Apply Content Guider after that node, or leave the compile node out."
            )
        while isinstance(patch, ContentAttention):
            found[patch.name] = patch.prepared(call, like=like)
            patch = patch.previous
    return found
