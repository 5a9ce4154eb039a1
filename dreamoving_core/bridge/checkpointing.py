"""Activation checkpointing of ComfyUI's U-Net: its layers keep their inputs and compute the rest again in backward.

The layers of each container are lent to wrappers for one forward, as motion blocks are (`insertion.py`), and every
wrapper holds its own layer: backward needs neither the wrappers in place nor the insertion open. ComfyUI's own
checkpoint flags are of the reentrant kind, which gives wrong gradients silently here (docs/architecture.md).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, TimestepBlock
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .clip_norms import ClipNorm
from .insertion import Host, unet_of


def norms_as_now(layer: ResBlock) -> Callable[[], AbstractContextManager]:
    """Contexts in which the block has the norms of this moment: AnimateDiff v1's are put back before backward comes."""
    sequences = [(sequence, sequence._modules) for sequence in (layer.in_layers, layer.out_layers)]
    wrappers = [
        child for _, children in sequences for child in children.values() if isinstance(child, ClipNorm)
    ]
    norms = [(wrapper, wrapper.norm) for wrapper in wrappers]

    @contextmanager
    def again() -> Iterator[None]:
        before = [(sequence, sequence._modules) for sequence, _ in sequences]
        lent = [(wrapper, wrapper.norm) for wrapper in wrappers]
        try:
            put(sequences, norms)
            yield
        finally:
            put(before, lent)

    return again


def put(sequences: list, norms: list) -> None:
    """Give sequences these children, and wrappers these norms."""
    for sequence, children in sequences:
        sequence._modules = children
    for wrapper, norm in norms:
        wrapper.norm = norm


class RecomputedResidual(TimestepBlock):
    """A residual block that is computed again in backward."""

    def __init__(self, layer: ResBlock) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        again = norms_as_now(self.layer)
        return checkpoint(
            self.layer,
            hidden,
            embedding,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), again()),
        )


class RecomputedAttention(SpatialTransformer):
    """A spatial transformer that is computed again in backward. It is one by class alone: ComfyUI asks for that."""

    def __init__(self, layer: SpatialTransformer) -> None:
        nn.Module.__init__(self)
        self.layer = layer

    def forward(
        self, hidden: Tensor, context: Tensor | None = None, transformer_options: dict | None = None
    ) -> Tensor:
        # ComfyUI writes the number of the present block into the options: backward must find this block's
        known = dict(transformer_options or {})

        def run(hidden: Tensor, context: Tensor | None) -> Tensor:
            return self.layer(hidden, context, dict(known))

        return checkpoint(run, hidden, context, use_reentrant=False, preserve_rng_state=False)


def recomputed(layer: nn.Module) -> nn.Module:
    """The layer's wrapper; the layer itself where it is none of the two large kinds."""
    if isinstance(layer, ResBlock):
        return RecomputedResidual(layer)
    return RecomputedAttention(layer) if type(layer) is SpatialTransformer else layer


@contextmanager
def open_checkpoints(host: Host) -> Iterator[None]:
    """While open, the U-Net's layers keep their inputs only. Open it inside an insertion, which looks for layers by class."""
    unet = unet_of(host)
    lent: list[tuple[nn.Module, dict]] = []
    try:
        for container in (*unet.input_blocks, unet.middle_block, *unet.output_blocks):
            lent.append((container, container._modules))
            container._modules = {name: recomputed(layer) for name, layer in container._modules.items()}
        yield
    finally:
        for container, children in lent:
            container._modules = children
