"""Cuts batches out of a set of dances. Letters: n clip of the set, b clip of the batch, f frame."""

import torch
from torch import Tensor

from ..bridge.trainable import token_ids
from .captions import FULL_SHARE, wordings
from .dances import DanceSet
from .draws import rows_drawn, uniforms
from .stages import Stage
from .trainee import Batch

EMPTY = ""  # the caption of a dropped prompt; row 0 of every batch's captions


class Batches:
    """Draws what one pass of a stage sees: the inputs of `DreaMovingTrainee`."""

    def __init__(
        self,
        dances: DanceSet,
        stage: Stage,
        *,
        latents: Tensor,
        features: dict[str, Tensor],
        identities: Tensor | None = None,
    ) -> None:
        self.dances, self.stage, self.latents, self.features = dances, stage, latents, features
        self.identities = identities
        self.caption = dances.caption.cpu()
        self.wordings = [wordings(caption) for caption in dances.captions]
        self.token_ids = token_ids([EMPTY, *(words for group in self.wordings for words in group)])

    def __call__(self, step: int, generators: list[torch.Generator]) -> tuple[Batch, list[torch.Generator]]:
        """One clip per generator. Kinds of control take turns with the steps."""
        rows = rows_drawn(len(self.dances), generators)
        kind = self.stage.controls[step % len(self.stage.controls)]
        unique, place = torch.unique(self.draw_wordings(rows, generators), return_inverse=True)
        batch = Batch(
            latents=self.latents[rows],
            control=None if kind == "none" else getattr(self.dances, kind)[rows].expand(-1, -1, 3, -1, -1),
            control_kind=kind,
            person=self.dances.person[rows],
            face=self.features["face"][rows].float() if self.stage.guidance else None,
            cloth=self.features["cloth"][rows].float() if self.stage.guidance else None,
            identity=None if self.identities is None else self.identities[rows],
            token_ids=self.token_ids[torch.cat([torch.zeros(1, dtype=torch.long), unique + 1])],
            caption=place + 1,
        )
        return batch, generators

    def draw_wordings(self, rows: Tensor, generators: list[torch.Generator]) -> Tensor:
        """Index into `token_ids`, less the empty one, of one wording of each row's caption."""
        count = len(self.wordings[0])
        other = 1 + rows_drawn(count - 1, generators)
        keep = uniforms(generators) < FULL_SHARE
        return self.caption[rows] * count + torch.where(keep, 0, other)
