"""The U-Net's own norms, worked over all frames of a clip: how AnimateDiff v1 was trained and is run by its authors.

They are the two norms of every residual block and the norm before the output; the norms of spatial attention and of
motion blocks stay within each frame [AD]. Nothing is changed for good: `put_clip_norms` lends dictionaries of children
for one call, as `insertion.py` does for the blocks. Hidden states are `(b f) c h w`.
"""

from collections.abc import Iterator

from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, UNetModel
from einops import rearrange
from torch import Tensor, nn

Lent = list[tuple[nn.Module, dict[str, nn.Module | None]]]  # containers, and the dictionaries that are theirs


class ClipNorm(nn.Module):
    """Runs the U-Net's norm on whole videos. Frame count and norm are set from outside, for torch.compile's guards."""

    def __init__(self):
        super().__init__()
        self.norm: nn.Module | None = None
        self.num_frames = 1

    def forward(self, hidden: Tensor) -> Tensor:
        clips = rearrange(hidden, "(b f) c h w -> b c f h w", f=self.num_frames)
        return rearrange(self.norm(clips), "b c f h w -> (b f) c h w")


def normed(unet: UNetModel) -> Iterator[nn.Sequential]:
    """The sequences that begin with one of those norms, in the order in which they run."""
    for container in [*unet.input_blocks, unet.middle_block, *unet.output_blocks]:
        for child in container if container is not None else ():
            if isinstance(child, ResBlock):
                yield child.in_layers
                yield child.out_layers
    yield unet.out


def put_clip_norms(
    unet: UNetModel, wrappers: tuple[ClipNorm, ...], lent: Lent, *, num_frames: int
) -> tuple[ClipNorm, ...]:
    """Wrap every such norm and note in `lent` what is to be put back. Returns the wrappers, for the next call."""
    sequences = list(normed(unet))
    wrappers += tuple(ClipNorm() for _ in sequences[len(wrappers) :])
    for sequence, wrapper in zip(sequences, wrappers, strict=False):
        own = sequence._modules
        name = next((name for name, child in own.items() if isinstance(child, nn.GroupNorm)), None)
        if name is not None:
            wrapper.norm, wrapper.num_frames = own[name], num_frames
            lent.append((sequence, own))
            sequence._modules = own | {name: wrapper}
    return wrappers
