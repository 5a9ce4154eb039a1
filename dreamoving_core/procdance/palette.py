"""Two drawing styles: 0 is soft and saturated without outlines, 1 is pastel cel shading with dark outlines."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .identity import RGB

STYLES = ("soft", "outlined")  # by number
MEDIA = ("illustration", "cartoon")  # what captions call them


def restyle(colour: Tensor, style: Tensor | int) -> Tensor:
    """RGB `... 3` as that style shows it."""
    pastel = 0.30 + 0.66 * colour
    style = torch.as_tensor(style)
    return torch.where((style == 1).reshape(*style.shape, *[1] * (colour.ndim - style.ndim)), pastel, colour)


class Palette:
    """Colours of one batch: `styles` holds one style per frame."""

    def __init__(self, styles: Sequence[int]):
        self.styles = torch.tensor(styles)

    def colours(self, values: Sequence[RGB]) -> Tensor:
        """One RGB per frame, `n 3`, as its style shows it."""
        return restyle(torch.tensor(values, dtype=torch.float32), self.styles)
