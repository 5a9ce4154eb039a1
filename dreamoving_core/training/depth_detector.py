"""Trains DreaMoving-Tiny's depth detector: ZoeDepth's architecture with a small BEiT, on ProcDance's true depth. [ours]

What it learns is the metric depth that stands behind ProcDance's depth pictures, so that the pictures come back when
the file's own range is shown (`preprocess/depth_zoe.py`). Pictures get JPEG's blocks, which stand for a video's.
"""

import io
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ..preprocess.depth_zoe import RANGE_KEY, ZoeSettings, new_zoe, prepare
from ..preprocess.depth_zoe_keys import under_public_names
from ..procdance.render import render_frames
from ..procdance.seeds import VERSION
from ..weights.formats import provenance
from ..weights.io import write_weights
from .dances import as_bytes, as_floats
from .draws import rows_drawn, uniforms
from .export import LICENSE, half
from .precision import autocast
from .rendering import picture_moment
from .schedule import Schedule
from .trainer import Trainer, new_accelerator

log = logging.getLogger(__name__)

NEAR, FAR = 1.0, 3.0  # metres behind a picture's white and black
SIZE = 128
BATCH = 8
STEPS = 1400
PICTURES = {128: 2400, 256: 160}  # by side in pixels; the large ones are made smaller as the detector does it
LARGE_EVERY = 8  # steps
FIRST_SEED = 300_000_000
QUALITY = (25, 95)  # of JPEG
PERSON = 4.0  # the person covers a sixth of a picture
LAYERS = 4
BINS = 8


def tiny_zoe_config() -> dict[str, Any]:
    """`config.json`: patches of 8 pixels, so that a picture of 128 is a grid of 16 x 16."""
    return {
        "model_type": "zoedepth",
        "architectures": ["ZoeDepthForDepthEstimation"],
        "backbone_config": {
            "model_type": "beit", "image_size": SIZE, "patch_size": 8, "hidden_size": 96, "num_hidden_layers": LAYERS,
            "num_attention_heads": 2, "intermediate_size": 192, "use_relative_position_bias": True,
            "reshape_hidden_states": False, "out_features": [f"stage{i + 1}" for i in range(LAYERS)],
            "layer_scale_init_value": 1.0, "drop_path_rate": 0.0,
        },
        "reassemble_factors": [2, 1, 0.5, 0.25],  # the smallest map times 16 x 2 is the picture
        "neck_hidden_sizes": [48, 64, 64, 64],
        "fusion_hidden_size": 32,
        "bottleneck_features": 32,
        "num_relative_features": 8,
        "num_attractors": [2, 2, 1, 1],
        "bin_embedding_dim": 16,
        "bin_configurations": [{"n_bins": BINS, "min_depth": 0.001, "max_depth": 10.0}],
        RANGE_KEY: [NEAR, FAR],
    }  # fmt: skip


def tiny_settings() -> ZoeSettings:
    """No border: at this size it would cost half of the time."""
    return ZoeSettings(height=SIZE, width=SIZE, multiple=8, pad=False)


@torch.no_grad()
def start_weights(model: nn.Module) -> None:
    """Convolutions that keep the size of their signal, and bins spread over the range; transformers' own start is for
    finetuning and moves only after thousands of steps."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    bins = model.metric_head.seed_bin_regressor.conv2
    bins.weight.mul_(0.1)
    bins.bias.copy_(torch.linspace(0.5 * NEAR, 1.2 * FAR, len(bins.bias)).expm1().log())  # softplus undone


Pool = dict[int, tuple[Tensor, Tensor]]  # side: pictures n h w c and depth n h w, uint8


def draw_pool(counts: dict[int, int]) -> Pool:
    """Pictures of the train split with their true depth."""
    pool, seed = {}, FIRST_SEED
    for size, count in counts.items():
        images, depths = [], []
        for start in range(seed, seed + count, 50):
            moments = [picture_moment(s) for s in range(start, min(start + 50, seed + count))]
            frames = render_frames(moments, size=size, flow=False)
            images.append(as_bytes(frames.images))
            depths.append(as_bytes(frames.depth))
        pool[size] = torch.cat(images), torch.cat(depths)
        seed += count
    return pool


def compressed(picture: Tensor, quality: int) -> Tensor:
    """`h w c` uint8 after JPEG with halved colour, which leaves what a video's compression does."""
    file = io.BytesIO()
    Image.fromarray(picture.numpy()).save(file, "JPEG", quality=quality, subsampling=2)
    return torch.from_numpy(np.array(Image.open(file)))


def draw_batch(pool: Pool, step: int, generators: list[torch.Generator]) -> tuple[Tensor, Tensor]:
    """Pixel values `b c h w` as the detector sees them, and the true depth pictures `b h w` in [0, 1]."""
    large = step % LARGE_EVERY == LARGE_EVERY - 1
    images, depths = pool[max(pool) if large else min(pool)]
    rows = rows_drawn(len(images), generators)
    low, high = QUALITY
    chosen = (low + uniforms(generators) * (high - low)).int().tolist()
    seen = torch.stack([compressed(images[row], q) for row, q in zip(rows.tolist(), chosen, strict=True)])
    pixels = prepare(as_floats(seen), tiny_settings())
    truth = functional.interpolate(as_floats(depths[rows])[:, None], (SIZE, SIZE), mode="area")[:, 0]
    mirrored = uniforms(generators) < 0.5  # the detector looks at both sides
    pixels = torch.where(mirrored[:, None, None, None], pixels.flip(-1), pixels)
    return pixels, torch.where(mirrored[:, None, None], truth.flip(-1), truth)


def depth_loss(predicted: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Distance of pictures `b h w`, the person counted more, and of their slopes, which makes outlines sharp."""
    error = (predicted - truth).abs()
    person = truth > 0.05
    weighted = (error * torch.where(person, PERSON, 1.0)).mean()
    slopes = sum((predicted.diff(dim=d) - truth.diff(dim=d)).abs().mean() for d in (-1, -2))
    figures = {"error": error.mean().item(), "person": error[person].mean().item()}
    return weighted + slopes, figures


class DepthLoss(nn.Module):
    """What one step learns from; the convolutions run in bfloat16 where that pays."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, truth: Tensor) -> tuple[Tensor, dict[str, float]]:
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with autocast(pixels.device):
            metric = self.network(pixels).predicted_depth
        return depth_loss((FAR - metric.float()) / (FAR - NEAR), truth)


def train_depth(
    folder: Path, *, export: Path, steps: int = STEPS, seed: int = 0, pictures: dict[int, int] | None = None
) -> Path:
    """Train in `folder`, where a run that was cut goes on; write the model's folder to `export`, which is returned."""
    torch.manual_seed(seed)
    network = new_zoe(tiny_zoe_config()).train().to(memory_format=torch.channels_last)
    start_weights(network)
    log.info("drawing pictures")
    pool = draw_pool(PICTURES if pictures is None else pictures)
    Trainer(
        "depth_detector",
        DepthLoss(network),
        schedule=Schedule(steps=steps, learning_rate=1e-3, ema_decay=0.995),
        source=lambda step, generators: draw_batch(pool, step, generators),
        samples=BATCH,
        folder=folder,
        accelerator=new_accelerator(device="cpu"),
        seed=seed,
    ).run()
    return export_depth(network, export, steps=steps)


def export_depth(model: nn.Module, folder: Path, *, steps: int) -> Path:
    """A folder as transformers writes them: config.json, preprocessor_config.json and weights in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("config.json", tiny_zoe_config()),
        ("preprocessor_config.json", tiny_settings().as_json()),
    ):
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    metadata = provenance(
        license=LICENSE,
        training_data=f"ProcDance {VERSION}, train split",
        training_steps=steps,
        title="DreaMoving-Tiny depth detector",
    )
    state_dict = half(under_public_names(model.state_dict()))
    write_weights(folder / "model.safetensors", state_dict, metadata=metadata | {"format": "pt"})
    return folder
