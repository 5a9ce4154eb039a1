"""How the loss of the denoising stages is drawn: numbers, no networks."""

from dataclasses import dataclass
from typing import Literal

from einops import rearrange
from torch import Tensor

CONDITIONS = ("text", "face", "cloth", "identity", "control", "all")  # that a clip may lose


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How the loss is drawn. What no paper is named for is our own choice. [ours]"""

    noise_levels: int = 2  # k: one pass of the hint encoder serves all of them
    person_weight: float = 3.0  # a cell that the person fills counts 1 + this
    drop_text: float = 0.1  # [AD] 0.1; [IPA] 0.05
    drop_face: float = 0.1
    drop_cloth: float = 0.1
    drop_identity: float = 0.0  # the face recogniser's supplement alone
    drop_control: float = 0.1
    drop_all: float = 0.0  # text, face and cloth together [IPA]
    shared_noise: float = 0.0  # probability that all frames of a clip start from one noise; [AD] 0
    own_noise: float = 0.0  # of such noise: the share of each frame's own in its variance, arXiv 2305.10474
    timestep_power: float = 0.7  # below 1: more draws at high noise, where layout and colours are decided
    weighting: Literal["uniform", "min_snr"] = "uniform"  # of the loss over noise levels
    snr_gamma: float = 5.0  # of min_snr, arXiv 2303.09556
    change_weight: float = 0.0  # on the part of a clip's error that changes from frame to frame


def change(difference: Tensor, *, frames: int) -> Tensor:
    """What of a clip's errors is not the same in all frames: `(n f) c h w` to the same. A motion block can mend just
    that; the rest, which is larger, is the base model's. [ours]"""
    clips = rearrange(difference, "(n f) c h w -> n f c h w", f=frames)
    return rearrange(clips - clips.mean(dim=1, keepdim=True), "n f c h w -> (n f) c h w")
