"""What training needs because ComfyUI's networks were written for inference."""

from contextlib import AbstractContextManager

import torch


def saving_copies() -> AbstractContextManager:
    """While open, autograd saves copies: CLIP's layers in ComfyUI add in place to what it would have saved."""
    return torch.autograd.graph.saved_tensors_hooks(lambda saved: saved.clone(), lambda saved: saved)
