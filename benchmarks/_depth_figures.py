"""Figures of `bench preprocess` on depth: ZoeDepth against controlnet_aux, Tiny's depth and flicker against the truth."""

import contextlib
import importlib
import io
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..dreamoving_core.metrics.flicker import flicker
from ..dreamoving_core.preprocess.depth_batch import normalise_depth
from ..dreamoving_core.preprocess.depth_range import DepthSamples
from ..dreamoving_core.preprocess.depth_zoe import ZoeDepth, ZoeSettings, load_zoe, metric_depth
from ..dreamoving_core.procdance.clip import ClipSpec, render_clip
from ..dreamoving_core.tiny import files
from ..dreamoving_core.video.clip_file import FileClip
from ..dreamoving_core.video.encode import encode_video
from ._reference_drawer import load_drawer
from ._resident import extra_mb

CLIPS = (7, 21, 33, 55)  # seeds of the held-out split
FRAMES = 16
SMALL = (96, 128)  # the network's picture for parity: a sixteenth of the work of 384 x 512


def figures(folder: Path) -> dict[str, dict]:
    """Name -> value, bar and how it was measured."""
    return {**parity(folder), **truth(), **speed()}


def random_reference(folder: Path) -> nn.Module:
    """controlnet_aux's own ZoeDepth with a BEiT-B and random weights that keep the size of the signal."""
    load_drawer(folder)  # installs the package there
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        models = importlib.import_module("controlnet_aux.zoe.zoedepth.models.zoedepth.zoedepth_v1")
        config = importlib.import_module("controlnet_aux.zoe.zoedepth.utils.config")
        settings = config.get_config(
            "zoedepth", "infer", midas_model_type="DPT_BEiT_B_384", img_size=list(SMALL)
        )
        torch.manual_seed(0)
        model = models.ZoeDepth.build_from_config(settings).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias_table"):
                parameter.normal_(0, 0.5)
            elif "gamma_" in name:
                parameter.fill_(0.5)
            elif parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@torch.no_grad()
def parity(folder: Path) -> dict[str, dict]:
    """The same weights in controlnet_aux and in Depth Extract's network, by way of a file as its authors write it."""
    reference = random_reference(folder)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "ZoeD_M12_N.pt"
        torch.save({"model": reference.state_dict(), "epoch": 5}, path)
        ours = load_zoe(path)
    ours = replace(ours, settings=ZoeSettings(height=SMALL[0], width=SMALL[1]))
    coarse = torch.rand(1, 3, 12, 20)
    pictures = rearrange(
        functional.interpolate(coarse, (90, 150), mode="bicubic"), "f c h w -> f h w c"
    ).clamp(0, 1)
    theirs = reference.infer(rearrange(pictures, "f h w c -> f c h w"))[:, 0]
    difference = (metric_depth(ours, pictures) - theirs).abs().max()
    how = "controlnet_aux 0.0.10's ZoeDepth.infer, border and mirror included, BEiT-B, random weights, metres"
    return {
        "zoe_parity": {"value": difference, "at_most": 1e-5, "against": how},
        "zoe_parity_spread": {"value": theirs.max() - theirs.min(), "at_least": 0.01, "against": "what there was to compare"},
    }  # fmt: skip


def seen_in_mp4(images: Tensor, model: ZoeDepth) -> Tensor:
    """Metres `f h w` of a clip that went through an mp4."""
    with tempfile.TemporaryDirectory() as place:
        path = encode_video(Path(place) / "clip.mp4", images, format="mp4", frame_rate=12).path
        return torch.cat([metric_depth(model, frame[None]) for frame in FileClip(str(path)).forward()])


def by_clip(metres: Tensor) -> Tensor:
    samples = DepthSamples()
    for frame in metres:
        samples.add(frame)
    return samples.range().picture(metres)


def by_frame(metres: Tensor) -> Tensor:
    """As the authors and most nodes do it."""
    return torch.cat([by_clip(frame[None]) for frame in metres])


def truth() -> dict[str, dict]:
    """Depth of held-out dancers from their mp4 against the true depth pictures, and flicker in three normalisations."""
    model = load_zoe(files.FOLDER / files.DEPTH)
    near, far = model.depth_range
    ranges: dict[str, Callable[[Tensor], Tensor]] = {
        "fixed": lambda metres: ((far - metres) / (far - near)).clamp(0, 1),
        "clip": by_clip,
        "frame": by_frame,
    }
    found: dict[str, list[Tensor]] = {}
    for seed in CLIPS:
        clip = render_clip(ClipSpec(seed=seed, split="held_out", num_frames=FRAMES))
        metres = seen_in_mp4(clip.images, model)
        true_metres = far - clip.depth * (far - near)
        for name, normalise in ranges.items():
            ours, wanted = normalise(metres), normalise(true_metres)
            error = (ours - wanted).abs()
            found.setdefault(f"depth_error_{name}", []).append(error.mean())
            found.setdefault(f"depth_error_{name}_person", []).append(error[clip.mask].mean())
            found.setdefault(f"depth_flicker_{name}", []).append(
                torch.tensor(flicker(ours[..., None], wanted[..., None]))
            )
    how = f"true depth of {len(CLIPS)} held-out clips of {FRAMES} frames, read off an mp4; 1 is white"
    measured: dict[str, dict[str, Any]] = {
        name: {"value": torch.stack(values).mean(), "against": how} for name, values in found.items()
    }
    measured["depth_error_fixed"]["at_most"] = 0.05
    return measured


def speed() -> dict[str, dict]:
    """Frames per second and peak memory of Tiny's depth and of the normaliser, on one core."""
    model = load_zoe(files.FOLDER / files.DEPTH)
    images, depth = torch.rand(8, 128, 128, 3), torch.rand(48, 512, 512, 1).expand(-1, -1, -1, 3)
    steps: dict[str, tuple[int, Callable[[], object]]] = {
        "depth_tiny_128": (8, lambda: metric_depth(model, images)),
        "depth_normalise_512": (48, lambda: normalise_depth(depth)),
    }
    found: dict[str, dict] = {}
    for name, (frames, step) in steps.items():
        step()
        start = time.perf_counter()
        step()
        found[f"{name}_frames_per_second"] = {
            "value": frames / (time.perf_counter() - start),
            "against": "one core",
        }
        found[f"{name}_peak_mb"] = {
            "value": extra_mb(step),
            "against": f"growth of the process, {frames} frames, result included",
        }
    return found
