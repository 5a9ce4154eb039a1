"""What the Content Guider's attention must know of the call it stands in: whose chunk, which frames, which sigma.

ComfyUI's batch is (chunk f): one chunk of f frames per conditioning, any number of them in any order.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError

STEP = "dreamoving_content_step"
CALL = "dreamoving_content_call"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One denoising step: the role ("positive" or "negative") of each conditioning by its uuid, and sigma."""

    roles: dict[Hashable, str]
    sigma: float


@dataclass(kw_only=True, eq=False)
class ModelCall:
    """One call of the U-Net: the role of each chunk, which frames of the whole clip a chunk holds, and sigma.

    Not frozen: torch.compile takes a frozen dataclass apart and bakes its numbers into the graph.
    """

    roles: tuple[str, ...]
    sigma: float
    total_frames: int
    frames: Tensor | None  # f indices into the whole clip, on the model's device; None: all of them in order
    made: dict = field(default_factory=dict)  # what the attentions of this call share
    prepared: dict | None = None  # for a compiled U-Net: what each patch adds, as tensors alone
    # every replacement patch of the call's cross-attentions, by its key
    slots: dict = field(default_factory=dict)

    def take(self, rows: Tensor) -> Tensor:
        """The rows (one per frame of the whole clip) that this call's frames want."""
        return rows if self.frames is None else rows[self.frames]


class RunCache:
    """Tensors of one sampling run, made once per key; emptied when the run ends. Threads of several devices share it."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Any] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` returned the first time."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return self._made[key]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._made.clear()


def model_call(batch: int, device: torch.device, transformer_options: dict) -> ModelCall:
    """The call that `transformer_options` describes, for `batch` pictures in all."""
    chunks = transformer_options.get("cond_or_uncond") or [0]
    step: Step | None = transformer_options.get(STEP)
    known = step.roles if step else {}
    uuids = transformer_options.get("uuids") or [None] * len(chunks)
    # A conditioning that was never in a list of the guider's is judged by its place, as ComfyUI numbers them.
    roles = tuple(
        known.get(uuid, "positive" if chunk == 0 else "negative")
        for uuid, chunk in zip(uuids, chunks, strict=True)
    )
    frames, total = _frames(batch // len(chunks), transformer_options)
    index = None if frames is None else torch.tensor(frames, device=device)
    return ModelCall(roles=roles, sigma=_sigma(step, transformer_options), total_frames=total, frames=index)


def _sigma(step: Step | None, transformer_options: dict) -> float:
    if step is not None:
        return step.sigma
    sigmas = transformer_options.get("sigmas")
    return 0.0 if sigmas is None else float(sigmas.flatten()[0])


def _frames(num_frames: int, transformer_options: dict) -> tuple[list[int] | None, int]:
    """Which frames of the whole clip a chunk holds, and how many the clip has.

    Under ComfyUI's context windows, its anchor frame first if there is one, or those of AnimateDiff-Evolved.
    """
    window = transformer_options.get("context_window")
    evolved = transformer_options.get("ad_params") or {}
    if window is not None and window.dim == 0:
        frames, total = list(window.index_list), window.total_frames
        anchor = getattr(window, "causal_anchor_index", None)
        if anchor is not None and anchor >= 0:
            frames = [anchor, *frames]
    elif evolved.get("sub_idxs") is not None:
        frames, total = list(evolved["sub_idxs"]), evolved["full_length"]
    else:
        return None, num_frames
    if len(frames) != num_frames:
        raise InputError(
            f"A context window names {len(frames)} frames, but the model was given {num_frames}. "
            "Use one kind of context windows at a time."
        )
    return frames, total
