"""Stage 0, the image encoder: a small ViT and the Content Guider's token encoders learn to see attributes.

It stands in for CLIP: each picture's tokens must tell the true colours and kinds of what they show, read out by a
linear probe that is thrown away afterwards. The tokens that the cross-attention later reads so carry meaning from
its first step; without this, colours did not transfer in the same number of steps. [ours]
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..models.content_guider import ContentGuider
from .autograd import saving_copies
from .dances import DanceSet, as_floats
from .draws import rows_drawn
from .trainer import Source

MEAN = (0.48145466, 0.4578275, 0.40821073)  # [CLIP] normalisation, ComfyUI's clip_preprocess uses the same
STD = (0.26862954, 0.26130258, 0.27577711)


# Per branch: pictures n c h w (uint8), two colours n 6 in [0, 1], class numbers n k
References = dict[str, tuple[Tensor, Tensor, Tensor]]
# Per branch: the same people n c h w (uint8) in the first style, in another
StylePairs = dict[str, tuple[Tensor, Tensor]]


def references_of(dances: DanceSet, rows: Tensor) -> References:
    """Both references of some dancers with their truth."""
    kinds = {"face": dances.kinds[:, :2], "cloth": dances.kinds[:, 2:]}
    colours = {"face": dances.colours[:, :6], "cloth": dances.colours[:, 6:]}
    return {b: (getattr(dances, b)[rows], colours[b][rows], kinds[b][rows]) for b in ("face", "cloth")}


def reference_source(dances: DanceSet) -> Source:
    """References of a dancer for each generator, with their truth."""

    def source(_step: int, generators: list[torch.Generator]) -> tuple[References]:
        return (references_of(dances, rows_drawn(len(dances), generators)),)

    return source


def pair_source(dances: DanceSet, others: dict[str, Tensor]) -> Source:
    """References of a dancer for each generator as the set has them and as `others` does: the first so many dancers, by
    branch."""
    count = min(len(pictures) for pictures in others.values())

    def source(_step: int, generators: list[torch.Generator]) -> tuple[StylePairs]:
        rows = rows_drawn(count, generators)
        return ({branch: (getattr(dances, branch)[rows], others[branch][rows]) for branch in others},)

    return source


def normalise(pictures: Tensor) -> Tensor:
    """`n c h w` uint8 to what CLIP's vision model takes."""
    mean, std = (torch.tensor(values, device=pictures.device).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    return (as_floats(pictures) - mean) / std


def penultimate(vision: nn.Module, pictures: Tensor) -> Tensor:
    """Hidden states `n m d` before the last layer, as core's CLIPVisionEncode gives them."""
    with saving_copies():
        return vision(pixel_values=normalise(pictures), intermediate_output=-2)[1]


@torch.no_grad()
def features_of(dances: DanceSet, vision: nn.Module, *, device: torch.device) -> dict[str, Tensor]:
    """What the frozen image encoder sees in both references: `n m d` each, half precision, on the device."""
    vision, seen = vision.to(device), {}
    for branch in ("face", "cloth"):
        pictures = getattr(dances, branch)
        seen[branch] = torch.cat([penultimate(vision, some.to(device)).half() for some in pictures.split(64)])
    return seen


class AttributeLoss(nn.Module):
    """Probes on the tokens of both branches: two colours by regression, kinds by classification."""

    def __init__(
        self, vision: nn.Module, guider: ContentGuider, *, kinds: dict[str, tuple[int, ...]]
    ) -> None:
        """`kinds` gives the number of classes of each categorical attribute per branch."""
        super().__init__()
        self.vision, self.guider, self.kinds = vision, guider, kinds
        config = guider.config.face.encoder
        width = config.tokens * config.context_dim
        self.probes = nn.ModuleDict(
            {branch: nn.Linear(width, 6 + sum(classes)) for branch, classes in kinds.items()}
        )
        for name, parameter in self.named_parameters():
            # keys and values wait for the base, the supplement for a face recogniser
            parameter.requires_grad_("ip_adapter" not in name and "id_proj" not in name)

    def branch_loss(
        self, branch: str, pictures: Tensor, colours: Tensor, classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        tokens = self.guider.encode(branch, penultimate(self.vision, pictures))
        predicted = self.probes[branch](tokens.flatten(1))
        colour_loss = functional.mse_loss(predicted[:, :6], colours)
        logits = predicted[:, 6:].split(self.kinds[branch], dim=1)
        kind_loss = sum(functional.cross_entropy(x, classes[:, i]) for i, x in enumerate(logits))
        return colour_loss, kind_loss

    def forward(self, references: References) -> tuple[Tensor, dict[str, Tensor]]:
        losses, figures = [], {}
        device = next(self.vision.parameters()).device
        for branch, truths in references.items():
            pictures, colours, classes = (truth.to(device) for truth in truths)
            colour_loss, kind_loss = self.branch_loss(branch, pictures, colours, classes)
            losses.append(10 * colour_loss + 0.1 * kind_loss)
            figures |= {
                f"{branch}_colour": colour_loss.detach().sqrt(),
                f"{branch}_kind": kind_loss.detach(),
            }
        return torch.stack(losses).sum(), figures


class StyleLoss(nn.Module):
    """How far the tokens of a person drawn in another style are from those that the Content Guider was trained on: the
    first style's, by the image encoder as it was. Only the image encoder learns. [ours]"""

    def __init__(self, vision: nn.Module, guider: ContentGuider) -> None:
        super().__init__()
        self.vision, self.guider = vision, guider
        self.before = copy.deepcopy(vision).requires_grad_(False)
        guider.requires_grad_(False)

    def forward(self, pairs: StylePairs) -> tuple[Tensor, dict[str, Tensor]]:
        losses, figures = [], {}
        device = next(self.vision.parameters()).device
        for branch, pictures in pairs.items():
            known, other = (some.to(device) for some in pictures)
            with torch.no_grad():
                wanted = self.guider.encode(branch, penultimate(self.before, known))
                spread = (wanted - wanted.mean(dim=0)).square().mean()
            for name, shown in (("known", known), ("other", other)):
                tokens = self.guider.encode(branch, penultimate(self.vision, shown))
                losses.append((tokens - wanted).square().mean() / spread)
                figures[f"{branch}_{name}"] = losses[-1].detach()
        return torch.stack(losses).sum(), figures
