"""Which tensors set the peak: live bytes of one denoising step and of the VAE, counted on a device without data.

    python run.py bench memory [--frames 64] [--size 512] [--out out/memory.json]

Full-size SD1.5 in float16, conditional and unconditional computed together, in ComfyUI's own classes and through its own
`calc_cond_batch`; PyTorch's fused attention, as on an NVIDIA card. Weights are listed apart. No weights are read.
"""

import argparse
import json
import platform
import unittest.mock
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ._full_size import META, Networks
from ._live_tensors import LiveTensors
from ._memory_report import OWNERS, gib, largest, module_rows, owner, print_tables

TEXT_TOKENS = 77
IMAGE_TOKENS = 16  # [IPA] plus
GUIDER_FILES = {"content_attention.py": "guider", "content_guider.py": "guider"}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to run the step."""

    name: str
    motion: bool = False
    controls: int = 0
    guider: bool = False
    apart: bool = (
        False  # conditional and unconditional one after the other, as core does when memory is short
    )


CASES = (
    Case(name="stock"),
    Case(name="motion", motion=True),
    Case(name="motion_controls", motion=True, controls=2),
    Case(name="full", motion=True, controls=2, guider=True),
    Case(name="full_apart", motion=True, controls=2, guider=True, apart=True),
)


def main(words: list[str]) -> int:
    options = read_options(words)
    prefer_fused_attention()
    networks = Networks()
    frames, latent = options.frames, options.size // 8
    steps = {case.name: count_step(networks, case, frames=frames, latent=latent) for case in CASES}
    decodes = {n: count_decode(networks, frames=n, latent=latent) for n in (1, 4)}
    figures = collect_figures(networks, steps, decodes, frames=frames, latent=latent)
    report = {
        "figures": figures,
        "settings": {
            "frames": frames,
            "size": options.size,
            "dtype": "float16",
            "vae_dtype": "bfloat16",
            "cfg": True,
        },
        "versions": versions(),
        "details": {
            "at_peak_by_network_gib": {
                name: {network: gib(count) for network, count in step.by_owner().items()}
                for name, step in steps.items()
            },
            "largest_at_peak": {name: largest(step) for name, step in steps.items()},
            "modules": {name: module_rows(step, networks.names) for name, step in steps.items()},
            "vae_modules": module_rows(decodes[1], networks.names),
        },
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1), encoding="utf8")
    print_tables(report)
    print(f"\nwritten to {options.out}")
    return 0


def read_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench memory", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--size", type=int, default=512, help="pixels a side, a multiple of 64")
    parser.add_argument("--out", type=Path, default=Path("out/memory.json"))
    return parser.parse_args(words)


def prefer_fused_attention() -> None:
    """Without a GPU ComfyUI would choose its sub-quadratic attention, which holds other tensors. Before any import of it."""
    import comfy.cli_args

    comfy.cli_args.args.use_pytorch_cross_attention = True
    from comfy.ldm.modules import attention

    if attention.optimized_attention is not attention.attention_pytorch:
        raise SystemExit(
            "ComfyUI's attention was chosen before this benchmark could: run it in a process of its own."
        )


def count_step(networks: Networks, case: Case, *, frames: int, latent: int) -> LiveTensors:
    """The first denoising step of `case` (it encodes the control pictures too)."""
    import comfy.sampler_helpers
    import comfy.samplers

    with prepared(networks, case, frames=frames, latent=latent) as (patcher, conds):
        model = patcher.model
        counter = LiveTensors(networks.names, known=networks.weights(), files=GUIDER_FILES)
        with torch.inference_mode(), counter.watching():
            latents = torch.zeros(frames, 4, latent, latent, device=META)
            text = {
                name: comfy.sampler_helpers.convert_cond([cond]) for name, cond in conds(torch.zeros).items()
            }
            processed = comfy.samplers.process_conds(model, latents, text, META)
            model_options = comfy.model_patcher.create_model_options_clone(patcher.model_options)
            sigma = torch.full((frames,), 7.0)
            groups = [processed["positive"], processed["negative"]]
            comfy.samplers.calc_cond_batch(model, groups, latents, sigma, model_options)
    return counter


@contextmanager
def prepared(networks: Networks, case: Case, *, frames: int, latent: int):
    """The patched MODEL and the conditioning of `case`, and everything let go at the end."""
    import comfy.model_patcher
    import comfy.sampler_helpers

    from ..dreamoving_core.bridge.content_guider import apply_content_guider
    from ..dreamoving_core.bridge.motion import LoadedMotion, apply_motion
    from ..dreamoving_core.models.content_guider import ImageTokens

    patcher = networks.model.clone()
    if case.motion:
        motion = comfy.model_patcher.ModelPatcher(networks.motion, load_device=META, offload_device=META)
        loaded = LoadedMotion(patcher=motion, config=networks.motion_config, info={"beta_schedule": "keep"})
        patcher = apply_motion(patcher, loaded)
    if case.guider:
        tokens = {
            name: ImageTokens(
                branch=name,
                positive=torch.zeros(1, IMAGE_TOKENS, 768),
                negative=torch.zeros(1, IMAGE_TOKENS, 768),
            )
            for name in ("face", "cloth")
        }
        patcher = apply_content_guider(patcher, networks.guider, **tokens)
    patcher.free_memory = 0 if case.apart else 1 << 50
    control = control_chain([networks.pose, networks.depth][: case.controls], frames=frames, size=8 * latent)

    def conds(new) -> dict[str, list]:
        extra = {} if control is None else {"control": control, "control_apply_to_uncond": False}
        return {
            name: [new(1, TEXT_TOKENS, 768, device=META), {"pooled_output": None, **extra}]
            for name in ("positive", "negative")
        }

    patcher.model.current_patcher = patcher
    comfy.sampler_helpers.prepare_model_patcher(patcher, {}, patcher.model_options)
    try:
        yield patcher, conds
    finally:
        if control is not None:
            control.cleanup()
        patcher.cleanup()
        patcher.model.current_patcher = networks.model


def control_chain(controls: list[nn.Module], *, frames: int, size: int) -> Any:
    """The networks chained as ControlNetApplyAdvanced does it; control pictures are IMAGE, so they wait on the CPU."""
    from ..dreamoving_core.bridge.video_controlnet import VideoControlNet

    previous = None
    for network in controls:
        control = VideoControlNet(network, load_device=META)
        control.set_cond_hint(torch.zeros(1).expand(frames, 3, size, size), 1.0, (0.0, 1.0))
        control.set_previous_controlnet(previous)
        previous = control
    return previous


def count_decode(networks: Networks, *, frames: int, latent: int) -> LiveTensors:
    """The VAE's decoder over `frames` latents at once; core decides how many by the memory that is free."""
    counter = LiveTensors(networks.names, known=networks.weights())
    with torch.inference_mode(), counter.watching():
        networks.vae.decode(torch.zeros(frames, 4, latent, latent, dtype=torch.bfloat16, device=META))
    return counter


def collect_figures(
    networks: Networks,
    steps: dict[str, LiveTensors],
    decodes: dict[int, LiveTensors],
    *,
    frames: int,
    latent: int,
) -> dict[str, float]:
    """The flat map of names to numbers; all in GiB."""
    figures = {f"peak_step_{name}_gib": gib(step.peak) for name, step in steps.items()}
    # the estimate that core makes on an NVIDIA card, whatever machine this is
    with unittest.mock.patch("comfy.model_management.pytorch_attention_flash_attention", return_value=True):
        required = networks.model.model.memory_required([2 * frames, 4, latent, latent])
    figures["core_estimate_stock_gib"] = gib(required)
    for name in OWNERS:
        found = [a.nbytes for a in steps["full"].at_peak if owner(a.module) == name]
        figures[f"at_peak_full_{name}_gib"] = gib(sum(found))
    full = steps["full"]
    motion = [row for row in module_rows(full, networks.names) if row["block"] == "MotionModule"]
    figures["motion_block_adds_at_most_gib"] = max(row["added_gib"] for row in motion)
    for root in ("unet", "pose", "depth"):
        figures[f"peak_within_{root}_gib"] = gib(full.modules[root].alive) if root in full.modules else 0.0
    for root, network in networks.roots.items():
        figures[f"weights_{root}_gib"] = gib(sum(p.numel() * p.element_size() for p in network.parameters()))
    for count, decode in decodes.items():
        figures[f"peak_vae_decode_{count}_frame{'s' if count > 1 else ''}_gib"] = gib(decode.peak)
    figures["decoded_frames_on_cpu_gib"] = gib(frames * 3 * (8 * latent) ** 2 * 4)
    return figures


def versions() -> dict[str, str]:
    import comfyui_version

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "comfyui": comfyui_version.__version__,
    }
