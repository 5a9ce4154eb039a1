"""A weight file judged in two steps: by names and shapes before a number is read, by the numbers after.

So a foreign file of twenty gigabytes is refused at once, and nothing damaged gets as far as a network.
"""

import os
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from ..errors import WeightsError
from .io import WeightsFile, read_weights


class Weights(Protocol):
    """What a reader (`read_motion`, ...) makes of a file."""

    @property
    def state_dict(self) -> Mapping[str, Tensor]: ...


Found = TypeVar("Found", bound=Weights)


def read_judged(path: str | os.PathLike, judge: Callable[[WeightsFile], Found]) -> Found:
    """What `judge` makes of the file's tensors.

    Raises WeightsError as `read_weights` and `judge` do, and for numbers that no network can use.
    """
    judge(read_weights(path, values=False))
    file = read_weights(path)
    weights = judge(file)
    refuse_numbers(file.name, weights.state_dict)
    return weights


def refuse_numbers(name: str, state_dict: Mapping[str, Tensor]) -> None:
    """Raise WeightsError for whole numbers, NaN and infinity where weights should be."""
    for key, tensor in state_dict.items():
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise WeightsError(
                f"'{name}' holds '{key}' as {kind}, expected are floating point numbers: it was quantised or converted "
                "for another program. Look for the fp16 or fp32 file."
            )
        if not is_finite(tensor):
            raise WeightsError(
                f"'{name}' holds NaN or infinity in '{key}': it was damaged, or its training or conversion failed. "
                "Download it again, or choose another version."
            )


def is_finite(tensor: Tensor) -> bool:
    """Whether every number is one. By smallest and largest: one pass without a copy, where `isfinite` makes several."""
    if tensor.numel() == 0 or tensor.is_meta:
        return True
    if tensor.element_size() == 1:  # float8 has no minimum
        tensor = tensor.to(torch.float16)
    smallest, largest = torch.aminmax(tensor)
    return bool(torch.isfinite(smallest) & torch.isfinite(largest))
