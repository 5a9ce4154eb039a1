"""One figure of `bench parity`: our result against an independent implementation's."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`run` builds both sides with the same random weights and returns the relative error."""

    name: str  # the figure's name
    against: str  # what the other side is and what was compared, in words
    run: Callable[[], float]


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """Largest difference over the reference's largest magnitude; shapes must agree."""
    if ours.shape != reference.shape:
        raise ValueError(
            f"Shapes differ: ours {tuple(ours.shape)}, the reference's {tuple(reference.shape)}."
        )
    difference = (ours.double() - reference.double()).abs().max()
    return float(difference / reference.double().abs().max())
