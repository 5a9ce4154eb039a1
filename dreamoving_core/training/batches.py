"""Cuts batches out of a set of dances. Letters: n clip of the set, b clip of the batch, f frame."""

import torch
from einops import rearrange
from torch import Tensor

from ..bridge.trainable import token_ids
from .batch import Batch
from .captions import FULL_SHARE, wordings
from .dances import DanceSet, as_bytes
from .draws import rows_drawn, uniforms
from .pose_noise import drawn, noisy
from .stages import Stage

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
        poses: Tensor | None = None,
    ) -> None:
        """`poses` `n f 136 3` are for a stage whose poses tremble; without them the set's own pictures are shown."""
        self.dances, self.stage, self.latents, self.features = dances, stage, latents, features
        self.identities, self.poses = identities, poses
        self.caption = dances.caption.cpu()
        self.wordings = [wordings(caption) for caption in dances.captions]
        self.token_ids = token_ids([EMPTY, *(words for group in self.wordings for words in group)])

    def __call__(self, step: int, generators: list[torch.Generator]) -> tuple[Batch, list[torch.Generator]]:
        """One clip per generator. Kinds of control take turns with the steps."""
        rows = rows_drawn(len(self.dances), generators)
        clip, frame = rearrange(rows, "b -> b 1"), self.frames(step, generators)
        kind = self.stage.controls[step % len(self.stage.controls)]
        unique, place = torch.unique(self.draw_wordings(rows, generators), return_inverse=True)
        batch = Batch(
            latents=self.latents[clip, frame],
            control=self.control(kind, clip, frame, generators),
            control_kind=kind,
            person=self.dances.person[clip, frame],
            face=self.features["face"][rows].float() if self.stage.guidance else None,
            cloth=self.features["cloth"][rows].float() if self.stage.guidance else None,
            identity=None if self.identities is None else self.identities[rows],
            token_ids=self.token_ids[torch.cat([torch.zeros(1, dtype=torch.long), unique + 1])],
            caption=place + 1,
        )
        return batch, generators

    def frames(self, step: int, generators: list[torch.Generator]) -> Tensor:
        """Which frames of its clip each sees, `b f`: a run of the step's length from anywhere."""
        length = self.stage.length(step)
        later = self.latents.shape[1] - length
        first = rows_drawn(later + 1, generators) if later else torch.zeros(len(generators), dtype=torch.long)
        return rearrange(first, "b -> b 1") + torch.arange(length)

    def control(
        self, kind: str, clip: Tensor, frame: Tensor, generators: list[torch.Generator]
    ) -> Tensor | None:
        """`b f 3 h w` uint8 of these clips `b 1` and frames `b f`, drawn anew with jitter and drop-outs where the stage wants them."""
        if kind == "none":
            return None
        if kind != "pose" or self.poses is None:
            return getattr(self.dances, kind)[clip, frame].expand(-1, -1, 3, -1, -1)
        height, width = self.dances.images.shape[-2:]
        noise = {"jitter": self.stage.pose_jitter, "dropout": self.stage.pose_dropout}
        pictures = []
        for points, generator in zip(self.poses[clip, frame], generators, strict=True):
            points = noisy(rearrange(points, "f j d -> f 1 j d"), height=height, generator=generator, **noise)
            pictures.append(
                as_bytes(rearrange(drawn(points, width=width, height=height), "f h w c -> f c h w"))
            )
        return torch.stack(pictures).to(self.dances.images.device)

    def draw_wordings(self, rows: Tensor, generators: list[torch.Generator]) -> Tensor:
        """Index into `token_ids`, less the empty one, of one wording of each row's caption."""
        count = len(self.wordings[0])
        other = 1 + rows_drawn(count - 1, generators)
        keep = uniforms(generators) < FULL_SHARE
        return self.caption[rows] * count + torch.where(keep, 0, other)
