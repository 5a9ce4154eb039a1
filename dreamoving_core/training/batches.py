"""Cuts batches out of a set of dances. Letters: n clip of the set, b clip of the batch, f frame."""

import torch
from torch import Tensor

from ..bridge.trainable import token_ids
from .captions import FULL_SHARE, wordings
from .dances import DanceSet
from .stages import Stage
from .trainee import Batch

EMPTY = ""  # the caption of a dropped prompt; row 0 of every batch's captions


class Batches:
    """Draws what one step of a stage sees."""

    def __init__(
        self, dances: DanceSet, stage: Stage, *, latents: Tensor, features: dict[str, Tensor]
    ) -> None:
        self.dances, self.stage, self.latents, self.features = dances, stage, latents, features
        self.wordings = [wordings(caption) for caption in dances.captions]
        self.token_ids = token_ids([EMPTY, *(words for group in self.wordings for words in group)])

    def draw(self, step: int, generator: torch.Generator) -> Batch:
        """The batch of `step`; kinds of control take turns."""
        rows = torch.randint(len(self.dances), (self.stage.clips,), generator=generator)
        kind = self.stage.controls[step % len(self.stage.controls)]
        pictures = self.dances.pose if kind == "none" else getattr(self.dances, kind)
        control = pictures[rows]
        unique, place = torch.unique(self.draw_wordings(rows, generator), return_inverse=True)
        return Batch(
            latents=self.latents[rows],
            control=control.expand(-1, -1, 3, -1, -1),
            control_kind=kind,
            person=self.dances.person[rows],
            face=self.features["face"][rows].float(),
            cloth=self.features["cloth"][rows].float(),
            token_ids=self.token_ids[torch.cat([torch.zeros(1, dtype=torch.long), unique + 1])],
            caption=place + 1,
        )

    def draw_wordings(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Index into `token_ids`, less the empty one, of one wording of each row's caption."""
        count = len(self.wordings[0])
        other = torch.randint(1, count, rows.shape, generator=generator)
        keep = torch.rand(rows.shape, generator=generator) < FULL_SHARE
        return self.dances.caption[rows] * count + torch.where(keep, 0, other)
