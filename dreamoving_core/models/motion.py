"""AnimateDiff's motion blocks: self-attention over time, one pixel position at a time.

`MotionModule` is one block, `MotionModel` the set of them for a U-Net or a ControlNet. Frames are folded into the
batch, video outermost: `(b f) c h w`. Module names are AnimateDiff's, because its files carry them.
"""

import re
from collections.abc import Mapping
from typing import Literal

from einops import rearrange
from torch import Tensor, nn

from ..errors import WeightsError
from .backend import Backend
from .temporal import MotionConfig, Positions, TemporalTransformer


class MotionModule(nn.Module):
    """One motion block. `backend.factory()` decides where and in which dtype its weights are made."""

    def __init__(self, channels: int, config: MotionConfig, backend: Backend | None = None):
        super().__init__()
        self.channels = channels
        self.temporal_transformer = TemporalTransformer(channels, config, backend or Backend())

    def forward(
        self,
        hidden: Tensor,
        *,
        num_frames: int,
        scale: float | Tensor = 1.0,
        effect: float | Tensor = 1.0,
        span: int | None = None,
    ) -> Tensor:
        """`(b f) c h w` to the same. `scale` multiplies the keys; `effect` 0 leaves `hidden` alone, 1 is the full block.

        Both may be a value per frame, `f`. `span`: the positions that a longer clip is squeezed into; None follows the
        formula, however long the clip.
        """
        if isinstance(effect, Tensor):
            videos = hidden.shape[0] // num_frames
            effect = rearrange(effect.to(hidden).repeat(videos), "bf -> bf 1 1 1")
        elif effect == 0.0:
            return hidden
        if isinstance(scale, Tensor):
            scale = rearrange(scale.to(hidden), "f -> 1 f 1")
        change = self.temporal_transformer(hidden, num_frames=num_frames, scale=scale, span=span)
        if isinstance(effect, Tensor) or effect != 1.0:
            change = change * effect
        return hidden + change


class MotionLevel(nn.Module):
    """The motion blocks of one resolution."""

    def __init__(self, widths: tuple[int, ...], config: MotionConfig, backend: Backend):
        super().__init__()
        self.motion_modules = nn.ModuleList([MotionModule(width, config, backend) for width in widths])


class MotionModel(nn.Module):
    """All motion blocks of one network; the keys of its state dict are those of AnimateDiff's files."""

    def __init__(self, config: MotionConfig, backend: Backend | None = None):
        super().__init__()
        backend = backend or Backend()
        self.config = config
        self.down_blocks = nn.ModuleList([MotionLevel(widths, config, backend) for widths in config.down])
        self.mid_block = None if config.mid is None else MotionLevel((config.mid,), config, backend)
        self.up_blocks = nn.ModuleList([MotionLevel(widths, config, backend) for widths in config.up])

    def down_modules(self) -> list[MotionModule]:
        return [module for level in self.down_blocks for module in level.motion_modules]

    def up_modules(self) -> list[MotionModule]:
        return [module for level in self.up_blocks for module in level.motion_modules]

    def down(self, slot: int) -> MotionModule:
        """The block after the U-Net's `slot`-th pair of residual block and attention on the way down, from 0."""
        return self.down_modules()[slot]

    def mid(self) -> MotionModule | None:
        return None if self.mid_block is None else self.mid_block.motion_modules[0]

    def up(self, slot: int) -> MotionModule:
        """The same on the way up, the deepest first."""
        return self.up_modules()[slot]

    def transformers(self) -> list[TemporalTransformer]:
        return [module for module in self.modules() if isinstance(module, TemporalTransformer)]

    def max_frames(self) -> int | None:
        """Frames that stored positions allow at once; None where the formula serves any number."""
        tables = [module for module in self.modules() if isinstance(module, Positions)]
        return min((table.pe.shape[1] for table in tables if table.stored), default=None)

    def set_checkpointing(self, enabled: bool) -> None:
        """Recompute the blocks in backward instead of keeping their values. Exact, see docs/architecture.md."""
        for transformer in self.transformers():
            transformer.checkpointing = enabled


KEY = re.compile(
    r"(down|mid|up)_blocks?\.(?:(\d+)\.)?motion_modules\.(\d+)\.temporal_transformer\.norm\.weight"
)


def config_from_state_dict(
    state_dict: Mapping[str, Tensor], *, num_heads: int = 8, norm_mode: Literal["frame", "clip"] = "frame"
) -> MotionConfig:
    """Read the layout from AnimateDiff's keys; heads and `norm_mode` leave no trace in them."""
    found = {"down": {}, "mid": {}, "up": {}}
    for key, tensor in state_dict.items():
        if match := KEY.fullmatch(key):
            part, level, module = match.groups()
            found[part].setdefault(int(level or 0), {})[int(module)] = tensor.shape[0]
    if not any(found.values()):
        raise WeightsError(
            "Expected a motion model with keys such as 'down_blocks.0.motion_modules.0.temporal_transformer.norm.weight', "
            f"found {len(state_dict)} keys without any of that kind. Choose an AnimateDiff motion model."
        )

    def widths(part: str) -> tuple[tuple[int, ...], ...]:
        levels = found[part]
        return tuple(tuple(levels[i][j] for j in sorted(levels[i])) for i in sorted(levels))

    mid = widths("mid")
    rows = [tensor.shape[1] for key, tensor in state_dict.items() if key.endswith("pos_encoder.pe")]
    return MotionConfig(
        down=widths("down"),
        mid=mid[0][0] if mid else None,
        up=widths("up"),
        num_heads=num_heads,
        num_attentions=2 if any(".attention_blocks.1." in key for key in state_dict) else 1,
        norm_mode=norm_mode,
        positions=max([MotionConfig.positions, *rows]),
    )
