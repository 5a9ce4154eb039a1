"""Whether one sees where a context window begins or ends. Frames count from 0; a change belongs to the frame it leads to."""

import math
from collections.abc import Sequence

from ..errors import InputError

NEIGHBOURS = 3  # [ours] changes on each side of a border that it is compared with: a dance is quick here and slow there
FLOOR = (
    0.25 / 255
)  # [ours] a quarter of an eight-bit level: less is rounding, and a still clip has a ratio of 1


def window_borders(num_frames: int, *, context_length: int, context_overlap: int) -> list[int]:
    """Frames whose change from the frame before crosses a border: there a window begins, or one has just ended.

    For windows that lie still (ComfyUI's `static_standard`, and `batched` where the frames divide evenly). None in a clip
    of one window. Raises InputError for windows that cannot be.
    """
    if context_length < 1 or not 0 <= context_overlap < context_length:
        raise InputError(
            f"Windows of {context_length} frames cannot share {context_overlap}. Set context_length and context_overlap to "
            "what the clip was sampled with, or context_length to 0 for a clip without windows."
        )
    last = num_frames - context_length
    if last <= 0:
        return []
    starts = [*range(0, last, context_length - context_overlap), last]
    ends = [start + context_length for start in starts]
    return sorted({frame for frame in (*starts, *ends) if 0 < frame < num_frames})


def seam_ratios(changes: Sequence[float], borders: Sequence[int]) -> list[float]:
    """Each change over the mean of its nearest neighbours that cross no border; NaN where there are none, and at frame 0.

    `changes[f]`: mean absolute difference of frame f from the one before, in shares of white; `changes[0]` is not used.
    """
    crossing = set(borders)
    ratios = [math.nan]
    for frame in range(1, len(changes)):
        before = [f for f in range(frame - 1, 0, -1) if f not in crossing][:NEIGHBOURS]
        after = [f for f in range(frame + 1, len(changes)) if f not in crossing][:NEIGHBOURS]
        usual = [changes[f] for f in (*before, *after)]
        ratio = (changes[frame] + FLOOR) / (sum(usual) / len(usual) + FLOOR) if usual else math.nan
        ratios.append(ratio)
    return ratios
