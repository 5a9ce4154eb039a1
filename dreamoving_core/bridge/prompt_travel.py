"""Prompts that change over the frames: a CONDITIONING with one row of text tokens per frame. Axes: `f n d`.

ComfyUI computes a conditioning whose rows are as many as the frames row by frame, and cuts it with its context windows;
so the sampler, ControlNets and the Content Guider need to know nothing of it.
"""

import math
from collections.abc import Sequence
from typing import Any

import comfy.sd
import torch
from einops import repeat
from torch import Tensor

from ..errors import InputError
from .keyframes import Between, blend, parse_prompts

FRAMES = "dreamoving_travel_frames"  # in the dict of a conditioning: how many frames it was made for
PER_CLIP = {
    "pooled_output",
    "hooks",
    "clip_start_percent",
    "clip_end_percent",
    "start_percent",
    "end_percent",
}

Conditioning = list[list[Any]]  # [[tokens, {...}], ...]


def travel(
    clip: comfy.sd.CLIP,
    text: str,
    *,
    num_frames: int,
    between: Between = "linear",
    before: str = "",
    after: str = "",
) -> Conditioning:
    """The prompts of `text` over `num_frames` frames; `before` and `after` stand around each of them.

    Between two keyframes the text tokens are mixed linearly, as prompt schedulers do. Where every frame has the same
    prompt, the result is CLIP Text Encode's. Raises InputError for text that cannot be read.
    """
    if clip is None:
        raise InputError(
            "Prompt travel needs a text encoder, got none: the checkpoint may bring none. Connect a CLIP."
        )
    said = parse_prompts(text)
    prompts = [", ".join(part for part in (before.strip(), prompt, after.strip()) if part) for prompt in said.values()]  # fmt: skip
    used = {prompt: None for i, j, _ in blend(list(said), num_frames) for prompt in (prompts[i], prompts[j])}
    encoded = {prompt: clip.encode_from_tokens_scheduled(clip.tokenize(prompt)) for prompt in used}
    if len(encoded) == 1:
        return next(iter(encoded.values()))
    blends = [
        (prompts[i], prompts[j], weight) for i, j, weight in blend(list(said), num_frames, between=between)
    ]
    counts = {len(parts) for parts in encoded.values()}
    if len(counts) > 1:
        raise InputError(
            f"The text encoder's hooks give some prompts {min(counts)} time ranges and others {max(counts)}. "
            "Remove the hooks before Prompt Travel."
        )
    return [
        mixed({prompt: parts[n] for prompt, parts in encoded.items()}, blends) for n in range(min(counts))
    ]


def mixed(encoded: dict[str, list], blends: Sequence[tuple[str, str, float]]) -> list:
    """One entry of a CONDITIONING from that of every prompt."""
    strange = sorted({key for _, extra in encoded.values() for key in extra} - PER_CLIP)
    if strange:
        raise InputError(
            f"Prompt travel mixes the tokens of Stable Diffusion's text encoders; this one gives {', '.join(strange)} "
            "as well. Use the CLIP of an SD1.5 checkpoint."
        )
    tokens = same_length({prompt: tokens for prompt, (tokens, _) in encoded.items()})
    extra = dict(next(iter(encoded.values()))[1])
    pooled = {prompt: entry[1].get("pooled_output") for prompt, entry in encoded.items()}
    if all(isinstance(value, Tensor) for value in pooled.values()):
        extra["pooled_output"] = over_frames(pooled, blends)
    return [over_frames(tokens, blends), {**extra, FRAMES: len(blends)}]


def over_frames(values: dict[str, Tensor], blends: Sequence[tuple[str, str, float]]) -> Tensor:
    """`f ...` from one `1 ...` per prompt; a frame of one prompt alone has its numbers, exactly."""
    like = next(iter(values.values()))
    rows = torch.empty((len(blends), *like.shape[1:]), dtype=like.dtype, device=like.device)
    for row, (left, right, weight) in zip(rows, blends, strict=True):
        row.copy_(torch.lerp(values[left][0], values[right][0], weight) if weight else values[left][0])
    return rows


def same_length(tokens: dict[str, Tensor]) -> dict[str, Tensor]:
    """Repeats shorter prompts: attention sees the same tokens twice as it sees them once, so nothing changes. [ours]"""
    longest = math.lcm(*(value.shape[1] for value in tokens.values()))
    return {
        prompt: repeat(value, "b n d -> b (times n) d", times=longest // value.shape[1])
        for prompt, value in tokens.items()
    }


def refuse_unfit_travel(conds: dict[str, list[dict]], num_frames: int) -> None:
    """Raise InputError when a travel in `conds` (a guider's) is of another number of frames; core would repeat it."""
    for cond in (cond for group in conds.values() for cond in group or []):
        if cond.get(FRAMES, num_frames) != num_frames:
            raise InputError(
                f"Prompt Travel was made for {cond[FRAMES]} frames, but the clip has {num_frames}. "
                f"Set frames in Prompt Travel to {num_frames}."
            )


def check_travel(executor, noise: Tensor, *args, **kwargs) -> Tensor:
    """OUTER_SAMPLE wrapper: `refuse_unfit_travel` before the first step."""
    refuse_unfit_travel(executor.class_obj.conds, noise.shape[0])
    return executor(noise, *args, **kwargs)
