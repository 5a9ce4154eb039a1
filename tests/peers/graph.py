"""Nodes of every pack called by their ids, as ComfyUI's executor calls them, and the few graphs that the tests share."""

from pathlib import Path

import torch

PACK = Path(__file__).resolve().parents[2]
PEERS = ("ComfyUI-AnimateDiff-Evolved", "ComfyUI-Advanced-ControlNet", "ComfyUI_IPAdapter_plus")
FRAMES, SIZE, STEPS, CFG = 4, 8, 1, 2.0


def call(node_id, /, **inputs):
    """The outputs of a node; inputs that are not given have their widgets' defaults."""
    import nodes

    node = nodes.NODE_CLASS_MAPPINGS[node_id]
    required = {name: default_of(spec) for name, spec in node.INPUT_TYPES().get("required", {}).items()}
    values = {name: value for name, value in required.items() if value is not None} | inputs
    instance = node if hasattr(node, "GET_SCHEMA") else node()
    with torch.inference_mode():
        outputs = getattr(instance, node.FUNCTION)(**values)
    return tuple(getattr(outputs, "result", outputs))


LOADED = {}  # loader to its last inputs and output


def load(node_id, **inputs):
    """What a loader gives. The last one of each is kept: full-size models are 1.7 GB each in float32."""
    if LOADED.get(node_id, (None,))[0] != inputs:
        LOADED.pop(node_id, None)
        LOADED[node_id] = (inputs, call(node_id, **inputs)[0])
    return LOADED[node_id][1]


def default_of(spec):
    """A widget's default, the first of a list, or None for a socket."""
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    if "default" in options:
        return options["default"]
    choices = kind if isinstance(kind, list) else options.get("options")
    return choices[0] if choices else None


def prompts_for(model):
    """A positive and a negative CONDITIONING of seven random tokens."""
    width = model.model.model_config.unet_config["context_dim"]
    drawn = [torch.randn(1, 7, width, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    return tuple([[tokens, {"pooled_output": None}]] for tokens in drawn)


def latents_of(model, *, prompts=None, frames=FRAMES, cfg=CFG, seed=0, steps=STEPS):
    """What the stock KSampler makes of it."""
    positive, negative = prompts or prompts_for(model)
    (latent,) = call(
        "KSampler",
        model=model,
        seed=seed,
        steps=steps,
        cfg=cfg,
        sampler_name="euler",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent_image={"samples": torch.zeros(frames, 4, SIZE, SIZE)},
        denoise=1.0,
    )
    return latent["samples"]


def plain_state(model):
    """Every tensor of the network by name: its shape, and a sum that any change would change."""
    return {key: (tuple(value.shape), float(value.sum())) for key, value in model.model.state_dict().items()}


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm())


# ---- our nodes


def our_motion(model, file, **settings):
    motion = load("DreaMovingLoadMotionModel", motion_model=file)
    (moving,) = call("DreaMovingApplyMotion", model=model, motion_model=motion, **settings)
    return moving


def our_guider(model, file, encoder, image, *, alpha=1.0, **settings):
    """`file` as the face branch, guided by `image`."""
    guider = load("DreaMovingLoadContentGuider", content_guider=file, ip_adapter_as="face")
    tokens, _ = call("DreaMovingEncodeFace", content_guider=guider, clip_vision=encoder, image=image)
    (guided,) = call(
        "DreaMovingApplyContentGuider",
        model=model,
        content_guider=guider,
        face_tokens=tokens,
        alpha_f=alpha,
        **settings,
    )
    return guided


def our_windows(model, *, length, overlap):
    return call("DreaMovingContextWindows", model=model, context_length=length, context_overlap=overlap)[0]


# ---- the peers'


def evolved_motion(model, *files, context=None):
    """AnimateDiff-Evolved's Gen2 nodes; several files are chained, the first one nearest to the attention."""
    chain = None
    for file in files:
        motion = load("ADE_LoadAnimateDiffModel", model_name=file)
        previous = {} if chain is None else {"prev_m_models": chain}
        (chain,) = call("ADE_ApplyAnimateDiffModel", motion_model=motion, **previous)
    options = {"m_models": chain, "context_options": context}
    given = {name: value for name, value in options.items() if value is not None}
    return call("ADE_UseEvolvedSampling", model=model, beta_schedule="autoselect", **given)[0]


def evolved_windows(model, *, length, overlap):
    """Evolved Sampling's own context windows, without a motion model."""
    return evolved_motion(model, context=evolved_context(length=length, overlap=overlap))


def evolved_context(*, length, overlap):
    return call(
        "ADE_StandardStaticContextOptions",
        context_length=length,
        context_overlap=overlap,
        fuse_method="pyramid",
    )[0]


def plus_adapter(model, file, encoder, image, **settings):
    adapter = load("IPAdapterModelLoader", ipadapter_file=file)
    return call(
        "IPAdapterAdvanced", model=model, ipadapter=adapter, image=image, clip_vision=encoder, **settings
    )[0]


# ---- control


def pictures(*, frames=FRAMES, seed=0):
    """Control pictures of random coarse squares, as a LoadImage node gives them."""
    squares = torch.rand(frames, 4, 4, 3, generator=torch.Generator().manual_seed(seed))
    side = 8 * SIZE // 4
    return squares.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)


def controlled(control, images, *, prompts, advanced=False, **settings):
    """The two prompts behind the stock Apply ControlNet, or Advanced-ControlNet's."""
    node = "ACN_AdvancedControlNetApply_v2" if advanced else "ControlNetApplyAdvanced"
    positive, negative = prompts
    return call(node, positive=positive, negative=negative, control_net=control, image=images, **settings)[:2]
