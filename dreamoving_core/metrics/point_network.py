"""A small network that finds the points of a ProcDance dancer in a picture: the judge of poses and expressions.

It learns from true frames, a quarter of each batch as Tiny's autoencoder shows them with noise on the latents, as a
denoiser leaves them (`training/joint_regressor.py`), and shares nothing with the pose detector that drives the control,
so that a result is not judged by what made it. Letters: f frame, p point, c channel, h w.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError
from ..weights.io import read_weights

FOLDER = Path(__file__).parent / "weights"
SIZE = 128  # pixels; pictures of another size are resized
STRIDE = 4  # pixels of a cell of the heat maps
WIDTHS = (16, 24, 48, 80)  # [ours] channels at strides 2, 4, 8, 16: half a megabyte in half precision
BODY = tuple(range(17))  # of COCO-WholeBody: nose, eyes, ears, shoulders to ankles
BROWS, EYES, MOUTH = (tuple(range(23 + a, 23 + b)) for a, b in ((17, 27), (36, 48), (48, 68)))
POINTS = {"joints": BODY, "expression": (*BROWS, *EYES, *MOUTH)}  # what each regressor finds


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(block(width, width), conv(width, width), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.layers(x))


class PointNetwork(nn.Module):
    """`f c h w` in [0, 1] to the points' heat maps, `f p h/4 w/4` logits."""

    def __init__(self, num_points: int, widths: Sequence[int] = WIDTHS):
        super().__init__()
        fine, quarter, eighth, coarse = widths
        self.stem = block(3, fine, stride=2)
        self.quarter = nn.Sequential(block(fine, quarter, stride=2), Residual(quarter))
        self.eighth = nn.Sequential(block(quarter, eighth, stride=2), Residual(eighth))
        self.coarse = nn.Sequential(block(eighth, coarse, stride=2), Residual(coarse))
        self.to_eighth, self.to_quarter = conv(coarse, eighth, kernel=1), conv(eighth, quarter, kernel=1)
        self.merge_eighth, self.merge_quarter = block(eighth, eighth), block(quarter, quarter)
        self.heat = nn.Conv2d(quarter, num_points, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        quarter = self.quarter(self.stem(pictures * 4 - 2))
        eighth = self.eighth(quarter)
        coarse = self.coarse(eighth)
        eighth = self.merge_eighth(eighth + doubled(self.to_eighth(coarse)))
        return self.heat(self.merge_quarter(quarter + doubled(self.to_quarter(eighth))))


def conv(width_in: int, width: int, *, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width_in, width, kernel, stride=stride, padding=kernel // 2, bias=False)


def block(width_in: int, width: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv(width_in, width, stride=stride), nn.BatchNorm2d(width), nn.ReLU())


def doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def points_of(heat: Tensor) -> Tensor:
    """Where each heat map lies: logits `f p h w` to `f p 2` (x, y), shares of the picture; the mean of the softmax."""
    _frames, _points, height, width = heat.shape
    share = rearrange(heat.float(), "f p h w -> f p (h w)").softmax(-1)
    share = rearrange(share, "f p (h w) -> f p h w", h=height)
    x = (share.sum(2) * ((torch.arange(width, device=heat.device) + 0.5) / width)).sum(-1)
    y = (share.sum(3) * ((torch.arange(height, device=heat.device) + 0.5) / height)).sum(-1)
    return torch.stack([x, y], dim=-1)


def weights_file(kind: str) -> Path:
    """The shipped weights of the "joints" or the "expression" regressor."""
    return FOLDER / f"{kind}_regressor.safetensors"


@cache
def regressor(kind: str) -> PointNetwork:
    """A shipped regressor, ready to judge. InputError for an unknown kind, WeightsError for a missing file."""
    if kind not in POINTS:
        raise InputError(f"There is no regressor for {kind!r}. There are: {', '.join(POINTS)}.")
    network = PointNetwork(len(POINTS[kind]))
    network.load_state_dict({k: v.float() for k, v in read_weights(weights_file(kind)).state_dict.items()})
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def find_points(clip: Tensor, kind: str, *, network: nn.Module | None = None, chunk: int = 32) -> Tensor:
    """The points of every frame of a clip `f h w c` in [0, 1]: `f p 2`, pixels of that clip."""
    network = network or regressor(kind)
    height, width = clip.shape[1:3]
    found = []
    for frames in clip.split(chunk):
        pictures = rearrange(frames.float(), "f h w c -> f c h w")
        if (height, width) != (SIZE, SIZE):
            pictures = functional.interpolate(pictures, size=(SIZE, SIZE), mode="bilinear", antialias=True)
        found.append(points_of(network(pictures)))
    return torch.cat(found) * torch.tensor([width, height])
