"""Motion models at full size: each public format in the whole U-Net, driven by core's sampler.

The other side is diffusers' UNetMotionModel: with its own motion blocks (norms over the clip), or with blocks written from
the paper (norms within each frame, `_reference_motion.py`). Both sides share the memory of their weights.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ._comparison import Comparison, relative_error
from ._ip_adapter_files import CONTEXT, random_tensors
from ._parity_guider import full_size_model
from ._reference_motion import NormAcrossFrames, positions, put_blocks, put_norms

SIZE, TEXT, RANK = 8, 77, 64
LORA_STRENGTH = 0.8

StateDict = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One public file: its layout, how we run it and how the other side does."""

    rows: int  # positions per attention
    mid: bool
    frames: int = 3
    cfg: float = 2.0  # above 1 two conditionings are computed together
    scale: float = 1.0
    stored_rows: bool = True
    norms_across_frames: bool = False
    diffusers: bool = False  # diffusers' names and blocks on either side
    trainer: bool = False  # the whole U-Net inside a trainer's wrapper
    lora: str | None = None  # "animatediff" or "peft"
    settings: dict[str, Any] = field(default_factory=dict)  # of Apply Motion, where not its defaults


CASES = {
    "v1, norms across frames": Case(rows=24, mid=False, norms_across_frames=True),
    "v1, norms within frames": Case(rows=24, mid=False, settings={"norms_across_frames": "off"}),
    "v2": Case(rows=32, mid=True, frames=4),
    "v3": Case(rows=32, mid=False),
    "AnimateLCM": Case(rows=64, mid=True, stored_rows=False, cfg=1.0),
    "AnimateDiff-Lightning": Case(rows=32, mid=True, cfg=1.0, frames=4),
    "LongAnimateDiff-64": Case(rows=128, mid=True, cfg=1.0, frames=64, scale=1.28),
    "trainer checkpoint": Case(rows=24, mid=False, trainer=True, norms_across_frames=True),
    "LoRA on v2": Case(rows=32, mid=True, lora="animatediff"),
    "diffusers adapter": Case(rows=32, mid=True, diffusers=True),
    "diffusers adapter, LoRA by PEFT": Case(rows=32, mid=True, diffusers=True, lora="peft"),
}


def comparisons() -> list[Comparison]:
    """Every format that Load Motion Model and Load Motion LoRA read."""
    return [
        Comparison(name=f"motion {name}", against=described(case), run=partial(compare, case))
        for name, case in CASES.items()
    ]


def described(case: Case) -> str:
    blocks = (
        "its own blocks, norms over the clip" if case.diffusers else "plain torch blocks, norms per frame"
    )
    norms = ", its residual and output norms across frames" if case.norms_across_frames else ""
    chunks = "two prompts" if case.cfg > 1 else "one prompt"
    return (
        f"diffusers' UNetMotionModel with {blocks}{norms}; 8 x 8 latents, {case.frames} frames, {chunks}, fp32; "
        "ours through Apply Motion and the sampler"
    )


def compare(case: Case) -> float:
    """Relative error of the U-Net's output. Raises ValueError where motion or LoRA hardly shows."""
    model = full_size_model()
    reference = reference_unet(model, case)
    file = {name: tensor for name, tensor in reference.state_dict().items() if "motion_modules" in name}
    lora = random_lora(reference, case) if case.lora else None
    call = our_call(model, case, our_motion(file, reference, case, lora))
    still = model.model.diffusion_model(call.latents, call.timesteps, call.context)
    before = reference_output(reference, call, case) if lora else None
    if lora:
        add_lora(reference, lora, case)
    expected = reference_output(reference, call, case)
    shares = {"motion": relative_error(still, expected)} | (
        {"LoRA": relative_error(before, expected)} if lora else {}
    )
    for name, share in shares.items():
        if share < 0.01:
            raise ValueError(f"{name} changes the output by {share:.1e} only: the comparison shows nothing.")
    error = relative_error(call.output, expected)
    del model, reference, file
    gc.collect()
    return error


# ---- the other side


def reference_unet(model: Any, case: Case) -> nn.Module:
    """diffusers' U-Net for video on the tensors of `model`, with random motion blocks."""
    import comfy.utils
    import diffusers

    with torch.device("meta"):
        unet = diffusers.UNetMotionModel(
            cross_attention_dim=CONTEXT,
            num_attention_heads=8,
            use_motion_mid_block=case.mid,
            motion_max_seq_length=case.rows,
        )
        if not case.diffusers:
            put_blocks(unet, case.rows)
    names = comfy.utils.unet_to_diffusers(model.model.model_config.unet_config)
    state = model.model.diffusion_model.state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in unet.state_dict().items()}
    motion = random_tensors({k: s for k, s in shapes.items() if "motion_modules" in k}, seed=case.rows)
    motion |= {key: positions(*shapes[key][1:]) for key in motion if key.endswith(".pe")}
    unet.load_state_dict({key: motion.get(key, state.get(names.get(key, ""))) for key in shapes}, assign=True)
    if case.norms_across_frames:
        put_norms(unet)
    for module in unet.modules():
        if hasattr(module, "scale") and hasattr(module, "temporal_transformer"):
            module.scale = case.scale
    return unet.eval()


def reference_output(unet: nn.Module, call: "Call", case: Case) -> Tensor:
    """`(b f) c h w`, as our call has it."""
    for module in unet.modules():
        if isinstance(module, NormAcrossFrames):
            module.num_frames = case.frames
    latents = rearrange(call.latents, "(b f) c h w -> b c f h w", f=case.frames)
    output = unet(latents, call.timesteps[:: case.frames], call.context).sample
    return rearrange(output, "b c f h w -> (b f) c h w")


def random_lora(unet: nn.Module, case: Case) -> StateDict:
    """A motion LoRA on q, k, v and out of every attention, in AnimateDiff's names or PEFT's."""
    shapes = {}
    for name, module in unet.named_modules():
        last = name.rsplit(".", 1)[-1]
        if "motion_modules" not in name or not (
            last in ("to_q", "to_k", "to_v") or name.endswith("to_out.0")
        ):
            continue
        wide_out, wide_in = module.weight.shape
        if case.lora == "peft":
            down, up = f"unet.{name}.lora_A.weight", f"unet.{name}.lora_B.weight"
        else:
            path, part = name.removesuffix(".0").rsplit(".to_", 1)
            down, up = (f"{path}.processor.to_{part}_lora.{side}.weight" for side in ("down", "up"))
        shapes |= {down: (RANK, wide_in), up: (wide_out, RANK)}
    return random_tensors(shapes, seed=3)


def add_lora(unet: nn.Module, lora: StateDict, case: Case) -> None:
    """By diffusers' own loader, or W + strength up down by hand."""
    if case.lora == "peft":
        unet.load_lora_adapter({k: v.clone() for k, v in lora.items()}, prefix="unet", adapter_name="motion")
        unet.set_adapters("motion", LORA_STRENGTH)
        return
    for key, down in lora.items():
        if ".down." in key:
            path, rest = key.split(".processor.to_")
            part = rest.split("_lora")[0]
            layer = unet.get_submodule(f"{path}.to_{part}" + (".0" if part == "out" else ""))
            change = lora[key.replace(".down.", ".up.")] @ down
            layer.weight = nn.Parameter(layer.weight + LORA_STRENGTH * change)


# ---- our side


@dataclass(frozen=True, kw_only=True)
class Call:
    """One step of our U-Net in a sampling run: what went in, and what came out; videos of one or two calls together."""

    latents: Tensor  # (b f) c h w
    timesteps: Tensor
    context: Tensor
    output: Tensor


def our_motion(motion: StateDict, reference: nn.Module, case: Case, lora: StateDict | None) -> Any:
    """A motion model, by the loaders' own steps from the tensors of a file on."""
    from ..dreamoving_core.bridge.loading import motion_notes
    from ..dreamoving_core.bridge.motion import load_motion
    from ..dreamoving_core.bridge.motion_lora import with_motion_lora
    from ..dreamoving_core.weights.io import WeightsFile
    from ..dreamoving_core.weights.keymaps import flatten_checkpoint
    from ..dreamoving_core.weights.motion import read_motion
    from ..dreamoving_core.weights.motion_lora import read_motion_lora

    tensors = {k: v for k, v in motion.items() if case.stored_rows or not k.endswith(".pe")}
    if case.trainer:
        whole = {f"module.{key}": tensor for key, tensor in reference.state_dict().items()}
        tensors, _ = flatten_checkpoint({"epoch": 1, "global_step": 10, "state_dict": whole})
    file = WeightsFile(name="random", state_dict=tensors)
    weights = read_motion(file, norm_mode="clip" if case.diffusers else None)
    loaded = load_motion(weights.state_dict, weights.config, info=motion_notes(weights.info))
    if lora:
        change = read_motion_lora(WeightsFile(name="random LoRA", state_dict=lora))
        loaded = with_motion_lora(loaded, change, strength=LORA_STRENGTH)
    return loaded


def our_call(model: Any, case: Case, motion: Any) -> Call:
    """One step in the middle of a sampling run. With little memory free, ComfyUI makes two calls of it."""
    import comfy.sample
    from comfy.patcher_extension import WrappersMP

    from ..dreamoving_core.bridge.motion import apply_motion

    generator = torch.Generator().manual_seed(5)
    noise = torch.randn(case.frames, 4, SIZE, SIZE, generator=generator)
    positive, negative = ([[torch.randn(1, TEXT, CONTEXT, generator=generator), {}]] for _ in range(2))
    calls: list[list[Tensor]] = []

    def keep(executor: Callable, *args: Any, **kwargs: Any) -> Tensor:
        before = [tensor.clone() for tensor in args[:3]]
        output = executor(*args, **kwargs)
        calls.append([*before, output.clone()])
        return output

    model = apply_motion(model, motion, scale=case.scale, **case.settings)
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "parity", keep)
    settings = (4, case.cfg, "euler", "normal")
    options = {"start_step": 2, "last_step": 3, "disable_pbar": True, "seed": 0}
    comfy.sample.sample(model, noise, *settings, positive, negative, torch.zeros_like(noise), **options)
    latents, timesteps, context, output = (torch.cat(parts) for parts in zip(*calls, strict=True))
    return Call(latents=latents, timesteps=timesteps, context=context, output=output)
