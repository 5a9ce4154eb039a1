"""A small random Video ControlNet for the small SD1.5 of `small_host`, and ComfyUI's own ControlNet with the same weights."""

from functools import cache

import torch
from small_host import conditioning, randomise, sample_latents, small_config, small_model

FRAMES = 6
SIZE = 4  # latent cells


@cache
def base_model():
    return small_model()


def fresh_model():
    """The small SD1.5, loaded once; each caller has a clone."""
    return base_model().clone()


def motion_config(**changes):
    from dreamoving.dreamoving_core.models.motion import MotionConfig

    return MotionConfig(
        **{"down": ((32, 32), (64, 64), (128, 128), (128, 128)), "mid": 128, "up": (), **changes}
    )


def control_model(config=None, *, unet_config=None, dtype=None):
    """The network alone, with random weights."""
    import comfy.ops
    from dreamoving.dreamoving_core.bridge.video_control_model import VideoControlModel
    from dreamoving.dreamoving_core.models.backend import Backend

    backend = Backend(operations=comfy.ops.disable_weight_init, dtype=dtype or torch.float32)
    network = VideoControlModel(unet_config or small_config().unet_config(), config, backend=backend)
    state_dict = randomise(network.state_dict(), seed=3)
    for key, value in state_dict.items():
        if key.startswith("input_hint_block."):
            value *= 2.5  # each SiLU shrinks what it passes; pictures must matter beside the noise
    network.load_state_dict(state_dict)
    return network


def distance(found, expected):
    """How far two results are from each other, relative to the second."""
    return float((found - expected).detach().norm() / expected.detach().norm())


def weights():
    """State dict of the Video ControlNet; `without_motion` of it is the image ControlNet."""
    return dict(cached_weights())


@cache
def cached_weights():
    return control_model(motion_config()).state_dict()


def without_motion(state_dict):
    return {key: value for key, value in state_dict.items() if not key.startswith("motion.")}


def with_zero_motion(state_dict):
    """Motion blocks as training starts them: they change nothing."""
    return {
        key: torch.zeros_like(value) if key.startswith("motion.") and ".proj_out." in key else value
        for key, value in state_dict.items()
    }


def video_control(state_dict=None, **options):
    """A CONTROL_NET of its own; without arguments the weights are loaded once for all tests."""
    from dreamoving.dreamoving_core.bridge.video_controlnet import load_video_controlnet

    if state_dict is None and not options:
        return cached_control().copy()
    state_dict = weights() if state_dict is None else state_dict
    return load_video_controlnet(state_dict, unet_config=small_config().unet_config(), **options)


@cache
def cached_control():
    return video_control(weights())


def steered(control, strength=1.0, mask=None):
    """A copy with a strength per frame and a mask."""
    from dreamoving.dreamoving_core.bridge.video_control import with_frame_strength

    return with_frame_strength(control, strength, mask=mask)


def stock_control(state_dict):
    """ComfyUI's own ControlNet with the image part of the same weights."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.model_management
    import comfy.ops

    config = small_config().unet_config()
    config.pop("out_channels")
    network = comfy.cldm.cldm.ControlNet(**config, hint_channels=3, operations=comfy.ops.disable_weight_init)
    network.load_state_dict(without_motion(state_dict))
    return comfy.controlnet.ControlNet(network, load_device=comfy.model_management.get_torch_device())


def pictures(frames=FRAMES, *, size=8 * SIZE, seed=0, channels=3):
    """Control pictures of random coarse squares, `f h w c` in [0, 1], as a LoadImage node gives them."""
    squares = torch.rand(frames, 4, 4, channels, generator=torch.Generator().manual_seed(seed))
    return squares.repeat_interleave(size // 4, dim=1).repeat_interleave(size // 4, dim=2)


def apply(control, images, *, strength=1.0, start=0.0, end=1.0, conds=None):
    """The two prompts after the stock Apply ControlNet node."""
    import nodes

    positive, negative = conds or (conditioning(seed=1), conditioning(seed=2))
    return nodes.ControlNetApplyAdvanced().apply_controlnet(
        positive, negative, control, images, strength, start, end
    )


def run(
    control,
    images,
    *,
    model=None,
    frames=FRAMES,
    strength=1.0,
    start=0.0,
    end=1.0,
    conds=None,
    size=SIZE,
    **options,
):
    """Latents of a stock KSampler that the control drives."""
    prompts = apply(control, images, strength=strength, start=start, end=end, conds=conds)
    return sample_latents(model or fresh_model(), *prompts, frames=frames, size=size, **options)


def plain(model=None, *prompts, **options):
    """The same without control, or with prompts that carry it already."""
    return sample_latents(model or fresh_model(), *prompts, **{"frames": FRAMES, "size": SIZE, **options})
