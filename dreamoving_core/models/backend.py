"""What the host lends to the networks: layer classes, an attention kernel, a device and a dtype.

The networks stay plain PyTorch; inside ComfyUI the layers are `comfy.ops` classes, so that casting and
offloading remain ComfyUI's (`bridge/backend.py` builds that one).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn


def scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention over `b n (heads d)`; returns `b n (heads d)`."""
    q, k, v = (rearrange(x, "b n (heads d) -> b heads n d", heads=heads) for x in (q, k, v))
    out = nn.functional.scaled_dot_product_attention(q, k, v)
    return rearrange(out, "b heads n d -> b n (heads d)")


@dataclass(frozen=True, kw_only=True)
class Backend:
    """`operations` offers Linear, Conv2d, GroupNorm and LayerNorm with torch's signatures plus device and dtype."""

    operations: Any = nn
    attention: Callable[[Tensor, Tensor, Tensor, int], Tensor] = scaled_dot_product_attention
    device: torch.device | None = None
    dtype: torch.dtype | None = None

    def factory(self) -> dict:
        """Keyword arguments that every layer constructor takes."""
        return {"device": self.device, "dtype": self.dtype}
