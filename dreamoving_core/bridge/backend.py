"""ComfyUI's layers and attention, as the networks want them."""

import comfy.ops
import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

from ..models.backend import Backend


def host_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """ComfyUI's attention of choice, kept off low-precision kernels (SageAttention flickers on short sequences)."""
    return optimized_attention(q, k, v, heads, low_precision_attention=False)


def host_backend(
    *, weight_dtype: torch.dtype, compute_dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Backend:
    """Layers that cast from `weight_dtype` to `compute_dtype` at use, created on `device`."""
    operations = comfy.ops.pick_operations(weight_dtype, compute_dtype)
    return Backend(operations=operations, attention=host_attention, device=device, dtype=weight_dtype)
