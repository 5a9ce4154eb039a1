"""Trains Tiny's person and point detectors from nothing, on drawn dancers; each can be cut and resumes.

[ours] throughout: the losses are SimCC's (arXiv 2107.03332, smoothed one-hot targets per axis) and YOLOX's kind of cells.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from .detector_batches import Crops, Scenes, draw_crops, draw_scenes
from .detector_networks import BINS, SIGMA, STRIDES, PersonNetwork, PointNetwork
from .detector_pictures import DrawnDancers, load_or_draw
from .draws import sample_generator
from .precision import autocast
from .schedule import Schedule
from .trainer import Trainer, new_accelerator, save_atomically

log = logging.getLogger(__name__)

CLIPS = 2400  # of four frames each, at each size; with 400 the points were learned by heart [ours]
FIRST_SEED = 300_000_000
SCHEDULES = {
    "person": Schedule(steps=2400, learning_rate=2e-3, warmup=30, ema_decay=0.98, checkpoint_every=50),
    "points": Schedule(steps=8000, learning_rate=3e-3, warmup=60, ema_decay=0.98, checkpoint_every=100),
}
SECONDS_PER_STEP = {"person": 0.25, "points": 0.25}  # one core of the machine that trained the files
BATCH = {"person": 24, "points": 24}
FIGURE = 4  # crops of a batch that the logged error is measured on
PEOPLE = 3  # at most in one picture
NORM_BATCHES = 40  # that the norms are measured on at the end


class PointLoss(nn.Module):
    """Cross-entropy against a narrow bell at the point; where nothing is to be seen, against "could be anywhere"."""

    def __init__(self, network: PointNetwork):
        super().__init__()
        self.network = network

    def forward(self, crops: Crops) -> tuple[Tensor, dict[str, Tensor]]:
        with autocast(crops.pictures.device):
            answers = self.network(crops.pictures)
        visible, losses, found = crops.points[..., 2], [], []
        for axis, logits in enumerate(answers):
            target = bells(crops.points[..., axis] * BINS, visible, bins=logits.shape[-1])
            losses.append(-(target * logits.log_softmax(dim=-1)).sum(dim=-1))
            found.append(logits[:FIGURE].detach().argmax(dim=-1) / BINS)
        loss = (torch.stack(losses).sum(0) * (0.3 + 0.7 * visible)).mean()
        error = (torch.stack(found, dim=-1) - crops.points[:FIGURE, :, :2]).norm(dim=-1) * visible[:FIGURE]
        return loss, {"pixels_off": error.sum() / visible[:FIGURE].sum().clamp(min=1)}


def bells(places: Tensor, visible: Tensor, *, bins: int) -> Tensor:
    """Targets `n j bins` that sum to 1."""
    distance = torch.arange(bins) - places[..., None]
    bell = torch.exp(-0.5 * (distance / SIGMA) ** 2)
    bell = bell / bell.sum(dim=-1, keepdim=True).clamp(min=1e-6)
    return torch.where(visible[..., None] > 0, bell, torch.full_like(bell, 1 / bins))


class PersonLoss(nn.Module):
    """Cells near the middle of a person give its box; all others say that nobody is there."""

    def __init__(self, network: PersonNetwork):
        super().__init__()
        self.network = network

    def forward(self, scenes: Scenes) -> tuple[Tensor, dict[str, Tensor]]:
        with autocast(scenes.pictures.device):
            answers = self.network(scenes.pictures)
        targets, positive, counts = cell_targets(scenes.boxes, size=scenes.pictures.shape[-1])
        scores = functional.binary_cross_entropy_with_logits(
            answers[..., 4], positive.float(), reduction="none"
        )
        number = positive.sum().clamp(min=1)
        score_loss = (scores * counts).sum() / number
        box_loss = (functional.smooth_l1_loss(answers[positive][:, :4], targets[positive], beta=0.1)) * 4
        return score_loss + 2 * box_loss, {
            "score": float(score_loss.detach()),
            "box": float(box_loss.detach()),
        }


def cell_targets(boxes: Tensor, *, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """What each cell should answer: `n m 4`, whether it is a person's `n m`, and whether it counts at all `n m`.

    The grid is chosen by the person's larger side; cells around those in the middle are left to themselves.
    """
    targets, positives, counts = [], [], []
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    larger = torch.maximum(width, height)
    for stride in STRIDES:
        low, high = (
            (0 if stride == STRIDES[0] else 4.5 * stride),
            (1e9 if stride == STRIDES[-1] else 11 * stride),
        )
        steps = torch.arange(size // stride)
        cells = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)
        offset = (centre[:, None] - (cells[None, :, None] + 0.5) * stride).abs()  # n m p 2
        reach = torch.stack([width, height], dim=-1)[:, None] * 0.15
        ours = ((larger > low) & (larger <= high))[:, None]
        inside = (offset <= reach.clamp(min=0.51 * stride)).all(dim=-1) & ours
        around = (offset <= (2 * reach).clamp(min=stride)).all(dim=-1) & ours
        nearest = torch.where(inside, offset.sum(dim=-1), torch.inf).argmin(dim=-1)
        xy = centre.gather(1, nearest[..., None].expand(-1, -1, 2)) / stride - cells
        wh = torch.stack([width, height], dim=-1).gather(1, nearest[..., None].expand(-1, -1, 2))
        targets.append(torch.cat([xy, (wh.clamp(min=1) / stride).log()], dim=-1))
        positive = inside.any(dim=-1)
        positives.append(positive)
        counts.append(positive | ~around.any(dim=-1))
    return torch.cat(targets, dim=1), torch.cat(positives, dim=1), torch.cat(counts, dim=1).float()


class DetectorRun:
    """A folder with the drawn dancers and what was learned so far."""

    def __init__(self, folder: Path, *, seed: int = 0):
        self.folder, self.seed = folder, seed
        folder.mkdir(parents=True, exist_ok=True)

    def result(self, stage: str) -> Path:
        return self.folder / f"{stage}.done.pt"

    def pool(self) -> list[DrawnDancers]:
        return load_or_draw(self.folder, first_seed=FIRST_SEED, clips=CLIPS)

    def network(self, stage: str) -> nn.Module:
        """As it was when learning began, or as the finished stage left it."""
        torch.manual_seed(self.seed)
        network = PointNetwork() if stage == "points" else PersonNetwork()
        if self.result(stage).exists():
            network.load_state_dict(torch.load(self.result(stage), weights_only=True))
        return network

    def train(self, stage: str) -> None:
        """One stage to its end."""
        pool, network = self.pool(), self.network(stage)
        network.to(memory_format=torch.channels_last)
        loss = PointLoss(network) if stage == "points" else PersonLoss(network)

        def source(_step: int, generators: list[torch.Generator]) -> tuple[Crops | Scenes]:
            return (draw_batch(stage, pool, generators),)

        Trainer(
            stage,
            loss,
            schedule=SCHEDULES[stage],
            source=source,
            samples=BATCH[stage],
            folder=self.folder,
            accelerator=new_accelerator(device="cpu"),
            seed=self.seed,
        ).run()
        measure_norms(
            network, lambda generators: draw_batch(stage, pool, generators).pictures, size=BATCH[stage]
        )
        save_atomically(network.state_dict(), self.result(stage))


def draw_batch(stage: str, pool: list[DrawnDancers], generators: list[torch.Generator]) -> Crops | Scenes:
    if stage == "points":
        return draw_crops(pool, generators)
    return draw_scenes(pool, generators, people=PEOPLE)


@torch.no_grad()
def measure_norms(
    network: nn.Module, pictures_of: Callable[[list[torch.Generator]], Tensor], *, size: int
) -> None:
    """Means and variances of the averaged weights: those gathered while learning belong to other weights."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    network.train()
    for step in range(NORM_BATCHES):
        known = {"seed": 0, "stage": "norms", "step": step}
        network(pictures_of([sample_generator(**known, sample=i) for i in range(size)]))
    network.eval()
