"""`python run.py train joints`: the two regressors that judge poses and expressions in the quality benchmark.

They learn from ProcDance's train split, a quarter of each batch as the autoencoder shows it (with noise on the latents,
as a denoiser leaves it), the rest as drawn. Cut runs go on where they stopped: all randomness of step n comes from n.
"""

import argparse
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..bridge.tiny_files import load_tiny
from ..metrics.point_network import FOLDER, POINTS, SIZE, STRIDE, PointNetwork, points_of
from ..procdance.render import Moment, render_frames, sample_moment
from ..procdance.seeds import VERSION
from ..weights.formats import provenance
from ..weights.io import write_weights

log = logging.getLogger(__name__)

SHOT = {"joints": "whole", "expression": "face"}
FIRST_SEED = {
    "joints": 300_000_000,
    "expression": 400_000_000,
}  # of the train split; no training stage uses these
LICENSE = "GPL-3.0-or-later"


@dataclass(frozen=True, kw_only=True)
class RegressorSchedule:
    """How long a regressor learns. A quarter of the pictures are in the second drawing style. [ours]"""

    steps: int = 800
    batch: int = 24
    drawn: int = 2400
    autoencoded: int = 240
    learning_rate: float = 4e-3
    ema_decay: float = 0.98
    checkpoint_every: int = 25


def training_moment(kind: str, index: int) -> Moment:
    """One dancer of the train split at a random time."""
    return sample_moment(FIRST_SEED[kind] + index, "train", shot=SHOT[kind], style=int(index % 4 == 3))


def draw_pictures(kind: str, count: int, *, chunk: int = 64) -> tuple[Tensor, Tensor]:
    """Pictures `n c h w` (uint8) and their points `n p 3` (x, y in shares of the picture, visible)."""
    pictures, points = [], []
    for start in range(0, count, chunk):
        moments = [training_moment(kind, i) for i in range(start, min(start + chunk, count))]
        frames = render_frames(moments, size=SIZE, flow=False)
        pictures.append(rearrange((frames.images * 255).round().byte(), "f h w c -> f c h w"))
        points.append(frames.keypoints[:, POINTS[kind]] / torch.tensor([SIZE, SIZE, 1.0]))
    return torch.cat(pictures), torch.cat(points)


@torch.inference_mode()
def autoencoded(pictures: Tensor, *, seed: int, chunk: int = 16) -> Tensor:
    """`n c h w` (uint8) as Tiny's autoencoder gives them back, with up to 0.3 of noise on the latents."""
    vae, generator = load_tiny().vae, torch.Generator().manual_seed(seed)
    shown = []
    for some in pictures.split(chunk):
        latents = vae.encode(rearrange(some, "f c h w -> f h w c").float() / 255)
        amount = 0.3 * torch.rand(len(some), 1, 1, 1, generator=generator)
        decoded = vae.decode(latents + amount * torch.randn(latents.shape, generator=generator))
        shown.append(rearrange((decoded.clamp(0, 1) * 255).round().byte(), "f h w c -> f c h w"))
    return torch.cat(shown)


def training_pictures(kind: str, schedule: RegressorSchedule, folder: Path) -> tuple[Tensor, Tensor]:
    """The pool that batches are drawn from; made once and kept in `folder`."""
    path = folder / f"{kind}_pictures.pt"
    if not path.exists():
        log.info("drawing %d pictures for %s", schedule.drawn, kind)
        pictures, points = draw_pictures(kind, schedule.drawn)
        shown = autoencoded(pictures[: schedule.autoencoded], seed=FIRST_SEED[kind])
        pool = {"pictures": torch.cat([pictures, shown]), "points": torch.cat([points, points[: len(shown)]])}
        save_whole(pool, path)
    pool = torch.load(path, weights_only=True)
    return pool["pictures"], pool["points"]


def batch_of(
    pool: tuple[Tensor, Tensor], schedule: RegressorSchedule, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pictures `n c h w` in [0, 1] and points `n p 3`: a quarter autoencoded, all moved, other colours, softened, noisy."""
    pictures, points = pool
    some = schedule.batch // 4
    drawn = torch.randint(schedule.drawn, (schedule.batch - some,), generator=generator)
    shown = torch.randint(schedule.drawn, len(pictures), (some,), generator=generator)
    chosen = torch.cat([drawn, shown])
    images, points = pictures[chosen].float() / 255, points[chosen].clone()
    return augmented(images, points, generator)


def augmented(images: Tensor, points: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift and zoom (points follow), gain per colour, a blur for a third of the pictures, a little noise."""
    count = len(images)
    zoom = 1 + 0.16 * (torch.rand(count, generator=generator) - 0.5)
    shift = 0.16 * (torch.rand(count, 2, generator=generator) - 0.5)
    turn = torch.zeros(count, 2, 3)
    turn[:, 0, 0], turn[:, 1, 1], turn[:, :, 2] = zoom, zoom, shift * 2
    grid = functional.affine_grid(turn, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    points[..., :2] = (points[..., :2] - 0.5 - shift[:, None]) / zoom[:, None, None] + 0.5
    inside = ((points[..., :2] >= 0) & (points[..., :2] < 1)).all(-1)
    points[..., 2] *= inside
    gain = 1 + 0.2 * (torch.rand(count, 3, 1, 1, generator=generator) - 0.5)
    soft = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    blurred = (torch.rand(count, 1, 1, 1, generator=generator) < 1 / 3).float()
    images = (images + blurred * (soft - images)) * gain
    return images + 0.02 * torch.randn(images.shape, generator=generator), points


def regressor_loss(heat: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the heat maps to a spot of one cell, plus 10 times the distance; and the mean distance alone.

    `heat` n p h w (logits), `points` n p 3; points that are not visible do not count. Distances: shares of the picture.
    """
    visible = points[..., 2]
    cells = SIZE // STRIDE
    places = (torch.arange(cells) + 0.5) / cells
    near = [(-(((places - points[..., i, None]) * cells) ** 2) / 2).softmax(-1) for i in (0, 1)]
    target = rearrange(near[1][..., :, None] * near[0][..., None, :], "n p h w -> n p (h w)")
    log_share = rearrange(heat, "n p h w -> n p (h w)").log_softmax(-1)
    entropy = -(target * log_share).sum(-1)
    distance = (points_of(heat) - points[..., :2]).norm(dim=-1)
    total = visible.sum().clamp(min=1)
    mean = (distance * visible).sum() / total
    return (entropy * visible).sum() / total + 10 * mean, mean.detach()


class RegressorRun:
    """One regressor's training: network, averages, optimiser; in `folder` while it lasts."""

    def __init__(self, kind: str, folder: Path, schedule: RegressorSchedule | None = None) -> None:
        self.kind, self.folder, self.schedule = kind, folder, schedule or RegressorSchedule()
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(FIRST_SEED[kind])
        count = len(POINTS[kind])
        self.network = PointNetwork(count).to(memory_format=torch.channels_last)
        self.average = PointNetwork(count)
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=1e-2)
        self.step, self.checkpoint = 0, folder / f"{kind}.pt"
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, weights_only=True)
            self.network.load_state_dict(saved["network"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step = saved["step"]

    def save(self) -> None:
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        save_whole({**parts, "step": self.step}, self.checkpoint)

    def advance(self, pool: tuple[Tensor, Tensor]) -> float:
        """One step; returns the mean distance in the batch."""
        schedule = self.schedule
        rise = min(1.0, (self.step + 1) / 50)
        fall = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * self.step / schedule.steps)).item())
        for group in self.optimizer.param_groups:
            group["lr"] = schedule.learning_rate * rise * (0.02 + 0.98 * fall)
        generator = torch.Generator().manual_seed(FIRST_SEED[self.kind] + self.step)
        images, points = batch_of(pool, schedule, generator)
        heat = self.network(images.contiguous(memory_format=torch.channels_last))
        loss, distance = regressor_loss(heat, points)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.follow()
        self.step += 1
        return float(distance)

    @torch.no_grad()
    def follow(self) -> None:
        """The average takes a step towards the network; counts are copied."""
        decay = min(self.schedule.ema_decay, (self.step + 1) / (self.step + 10))
        for own, new in zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            own.lerp_(new, 1 - decay) if own.is_floating_point() else own.copy_(new)

    def run(self) -> None:
        """To the end of the schedule, from wherever it stands."""
        pool, start, first = (
            training_pictures(self.kind, self.schedule, self.folder),
            time.monotonic(),
            self.step,
        )
        self.network.train()
        while self.step < self.schedule.steps:
            distance = self.advance(pool)
            if self.step % 25 == 0:
                each = (time.monotonic() - start) / (self.step - first)
                left = each * (self.schedule.steps - self.step)
                log.info("%s %d: %.2f pixels, %.0f s left", self.kind, self.step, distance * SIZE, left)
            if self.step % self.schedule.checkpoint_every == 0:
                self.save()

    def export(self, folder: Path) -> Path:
        """Write the average in half precision."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.kind}_regressor.safetensors"
        state = {k: v.half() if v.is_floating_point() else v for k, v in self.average.state_dict().items()}
        metadata = provenance(
            license=LICENSE,
            training_data=f"ProcDance {VERSION}, train split",
            training_steps=self.step,
            title=f"ProcDance {self.kind} regressor",
        )
        write_weights(path, state, metadata=metadata)
        return path


def save_whole(value: dict, path: Path) -> None:
    """Write the file whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(value, part)
    os.replace(part, path)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py train joints", description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=list(POINTS), help="only this one (default: both)")
    parser.add_argument(
        "--folder", type=Path, default=Path(".checkpoints/joints"), help="where checkpoints are kept"
    )
    parser.add_argument("--export", type=Path, default=FOLDER, help="where the finished files go")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    torch.set_num_threads(1)
    for kind in [args.kind] if args.kind else list(POINTS):
        run = RegressorRun(kind, args.folder)
        run.run()
        log.info("wrote %s", run.export(args.export))
    return 0
