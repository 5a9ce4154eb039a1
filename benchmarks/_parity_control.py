"""ControlNets at full size: the whole U-Net's output under control, driven by core's nodes and sampler.

The other side is diffusers: its U-Net, ControlNet, SparseCtrl and motion blocks, and its VAE. Names are changed by ComfyUI's
own table where a file is in LDM's layout.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ._comparison import Comparison, relative_error
from ._control_reference import (
    SIZES,
    MovingControlNet,
    StateDict,
    filled,
    in_ldm_names,
    in_published_names,
    normalise_each_frame,
    vae_and_latents,
)
from ._ip_adapter_files import CONTEXT
from ._parity_guider import diffusers_unet, full_size_model

FRAMES, SIZE, TEXT = 3, 8, 77
PLACES = (0, -1)  # of SparseCtrl's two pictures


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of our U-Net in a sampling run: what went in, and what came out under control."""

    latents: Tensor  # (b f) c h w
    timesteps: Tensor
    context: Tensor
    output: Tensor


def comparisons() -> list[Comparison]:
    """Every layout of a ControlNet that Load Video ControlNet reads."""
    driven = "8 x 8 latents, 3 frames, fp32; ours through Apply ControlNet and the sampler"
    image = "diffusers' ControlNetModel and U-Net"
    sparse = "diffusers' SparseControlNetModel with its norms taken frame by frame, and U-Net"
    return [
        Comparison(
            name="control LDM",
            against=f"{image}, names by ComfyUI's table; {driven}",
            run=partial(image_control, ldm=True),
        ),
        Comparison(
            name="control diffusers",
            against=f"{image}; {driven}",
            run=partial(image_control, ldm=False),
        ),
        Comparison(
            name="control with motion",
            against=f"{image}, whose blocks are those of diffusers' UNetMotionModel; ours in our format; {driven}",
            run=moving_control,
        ),
        Comparison(
            name="control SparseCtrl rgb",
            against=f"{sparse}, pictures through AutoencoderKL; ours in the published names; {driven}",
            run=partial(sparse_control, latent_hint=True, published=True),
        ),
        Comparison(
            name="control SparseCtrl scribble",
            against=f"{sparse}; ours in the published names; {driven}",
            run=partial(sparse_control, latent_hint=False, published=True),
        ),
        Comparison(
            name="control SparseCtrl scribble, clip norms",
            against=f"diffusers' SparseControlNetModel as it is, and U-Net; ours in our format; {driven}",
            run=partial(sparse_control, latent_hint=False, published=False),
        ),
    ]


# ---- the comparisons


def image_control(*, ldm: bool) -> float:
    """An image ControlNet: a picture for every frame, no motion blocks."""
    import diffusers

    reference = filled(diffusers.ControlNetModel, seed=1, **SIZES)
    names = reference.state_dict()
    pictures = random_pictures(FRAMES)
    model = full_size_model()
    call = our_call(model, our_control(in_ldm_names(names) if ldm else dict(names)), pictures)

    def residuals() -> tuple[Sequence[Tensor], Tensor]:
        return reference(call.latents, call.timesteps, call.context, pictures, return_dict=False)

    return compared(model, call, residuals)


def moving_control() -> float:
    """A Video ControlNet: two attentions over the frames after each block, and one block in the middle."""
    reference = filled(MovingControlNet, seed=2)
    names = reference.state_dict()
    pictures = random_pictures(FRAMES)
    model = full_size_model()
    call = our_call(model, our_control(in_ldm_names(names), our_header(model)), pictures)
    return compared(model, call, lambda: reference(call.latents, call.timesteps, call.context, hint=pictures))


def sparse_control(*, latent_hint: bool, published: bool) -> float:
    """SparseCtrl: pictures for the first and the last frame, a mask, no noisy latents, motion blocks."""
    import diffusers

    from ..dreamoving_core.bridge.sparse_frames import SparseFrames
    from ..dreamoving_core.bridge.video_control import with_sparse_frames

    reference = filled(
        diffusers.SparseControlNetModel,
        seed=3,
        **SIZES,
        conditioning_channels=4 if latent_hint else 3,
        use_simplified_condition_embedding=latent_hint,
    )
    model, pictures = full_size_model(), random_pictures(len(PLACES))
    if published:
        control = our_control(in_published_names(reference.state_dict()))
        normalise_each_frame(reference)
    else:
        control = our_control(in_ldm_names(reference.state_dict()), our_header(model))
    control = with_sparse_frames(control, SparseFrames(numbers=PLACES))
    hint, vae = pictures, None
    if latent_hint:
        vae, hint = vae_and_latents(pictures)
    call = our_call(model, control, pictures, vae=vae)
    return compared(model, call, partial(sparse_residuals, reference, call, hint))


def sparse_residuals(reference: nn.Module, call: Call, hint: Tensor) -> tuple[Sequence[Tensor], Tensor]:
    """What SparseControlNetModel adds, given pictures for the frames of PLACES."""
    frames = torch.zeros(FRAMES, *hint.shape[1:])
    mask = torch.zeros(FRAMES, 1, *hint.shape[2:])
    frames[list(PLACES)], mask[list(PLACES)] = hint, 1.0
    frames, mask, latents = (
        rearrange(x, "(b f) c h w -> b c f h w", f=FRAMES) for x in (frames, mask, call.latents)
    )
    return reference(
        latents, call.timesteps[:1], call.context, frames, conditioning_mask=mask, return_dict=False
    )


def compared(model: Any, call: Call, residuals: Callable[[], tuple[Sequence[Tensor], Tensor]]) -> float:
    """Our output against diffusers' U-Net under `residuals`. Raises ValueError when the control hardly shows."""
    unet = diffusers_unet(model)
    inputs = (call.latents, call.timesteps, call.context)
    skips, middle = residuals()
    expected = unet(
        *inputs, down_block_additional_residuals=skips, mid_block_additional_residual=middle
    ).sample
    share = relative_error(unet(*inputs).sample, expected)
    if share < 0.01:
        raise ValueError(f"The control changes the output by {share:.1e} only: the comparison shows nothing.")
    return relative_error(call.output, expected)


# ---- our side


def our_header(model: Any) -> dict[str, str]:
    """Metadata of our own format: the U-Net's sizes, and diffusers' norms, which no tensor tells."""
    from ..dreamoving_core.weights.formats import write_config

    sizes = model.model.model_config.unet_config.items()
    unet = {key: value for key, value in sizes if not isinstance(value, torch.dtype)}
    return write_config("dreamoving.video_controlnet", {"unet": unet, "motion": {"norm_mode": "clip"}})


def our_control(state_dict: StateDict, metadata: dict[str, str] | None = None) -> Any:
    """A CONTROL_NET, by the loader's own steps from a file on."""
    from ..dreamoving_core.bridge.video_controlnet import load_video_controlnet
    from ..dreamoving_core.weights.io import WeightsFile
    from ..dreamoving_core.weights.video_controlnet import read_video_controlnet

    file = WeightsFile(name="random", state_dict=state_dict, metadata=metadata or {})
    weights = read_video_controlnet(file)
    if weights.left_out:
        raise ValueError(f"{len(weights.left_out)} tensors were not used, such as {weights.left_out[0]}.")
    return load_video_controlnet(weights.state_dict, weights.metadata, name=weights.name)


def our_call(model: Any, control: Any, pictures: Tensor, *, vae: Any = None) -> Call:
    """One step in the middle of a sampling run, with the control applied by core's node."""
    import comfy.sample
    from comfy.patcher_extension import WrappersMP

    from nodes import ControlNetApplyAdvanced

    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(FRAMES, 4, SIZE, SIZE, generator=generator)
    prompt = [[torch.randn(1, TEXT, CONTEXT, generator=generator), {}]]
    images = rearrange(pictures, "f c h w -> f h w c")
    positive, negative = ControlNetApplyAdvanced().apply_controlnet(
        prompt, prompt, control, images, 1.0, 0.0, 1.0, vae=vae
    )
    calls = []

    def keep(executor: Any, *args: Any, **kwargs: Any) -> Tensor:
        before = [tensor.clone() for tensor in args[:3]]
        output = executor(*args, **kwargs)
        calls.append(Call(latents=before[0], timesteps=before[1], context=before[2], output=output.clone()))
        return output

    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "parity", keep)
    settings = (4, 1.0, "euler", "normal")
    options = {"start_step": 2, "last_step": 3, "disable_pbar": True, "seed": 0}
    comfy.sample.sample(model, noise, *settings, positive, negative, torch.zeros_like(noise), **options)
    (call,) = calls
    return call


def random_pictures(count: int) -> Tensor:
    """`f c h w` in [0, 1], of the size that the latents stand for."""
    return torch.rand(count, 3, 8 * SIZE, 8 * SIZE, generator=torch.Generator().manual_seed(4))
