"""Randomness of training: one generator per sample, seeded by (seed, stage, step, sample), and nothing else.

So a run that is cut and resumed computes what the uninterrupted run would have computed, and it does not matter how the
samples of a step are shared between processes and accumulated passes. Numbers are drawn on the CPU, on every machine
the same.
"""

import hashlib

import torch
from torch import Tensor


def sample_generator(*, seed: int, stage: str, step: int, sample: int) -> torch.Generator:
    """The only source of randomness of one sample; `sample` counts through the whole step, over all processes."""
    digest = hashlib.sha256(f"{seed}/{stage}/{step}/{sample}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def rows_drawn(count: int, generators: list[torch.Generator]) -> Tensor:
    """A number below `count` for each sample: `b`."""
    return torch.cat([torch.randint(count, (1,), generator=generator) for generator in generators])


def uniforms(generators: list[torch.Generator], *shape: int) -> Tensor:
    """Numbers in [0, 1) for each sample: `b *shape`."""
    return torch.stack([torch.rand(shape, generator=generator) for generator in generators])


def normals(generators: list[torch.Generator], *shape: int) -> Tensor:
    """Standard normal numbers for each sample: `b *shape`."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
