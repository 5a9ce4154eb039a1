"""Tiny's two detectors as torch modules: where people are, and their 133 points. Letters: n picture, j joint, c channel.

They take and give what YOLOX's and DWPose's files do (`preprocess/dwpose_boxes.py`, `preprocess/dwpose_simcc.py`); the
widths are ours, for two CPU cores and drawn dancers. [ours]
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_POINTS = 133
POSE_SIZE = (96, 96)  # width, height of the crop; DWPose: 288 x 384. Square: dancers spread their arms
BINS = 2  # [DWPose] per pixel of the crop
SIGMA = 4.0  # bins; width of a point's target, two pixels of the crop
PERSON_SIZE = 160  # of the square picture that the detector sees; YOLOX: 640
TINIEST = 1e-9  # keeps the logarithm of an empty column finite
STRIDES = (8, 16, 32)  # [YOLOX]
CLASSES = 80  # [YOLOX] of COCO; person is the first


class ConvBlock(nn.Module):
    """Convolution, norm and ReLU; the norm goes into the convolution's weights when the network is written."""

    def __init__(self, width_in: int, width: int, *, kernel: int = 3, stride: int = 1, relu: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return functional.relu(x) if self.relu else x


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = ConvBlock(width, width), ConvBlock(width, width, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class Pyramid(nn.Module):
    """Features at the strides from 4 on, from the finest to the coarsest, each told what the coarser ones know."""

    def __init__(self, *, stem: int, widths: tuple[int, ...], blocks: tuple[int, ...], out: int):
        super().__init__()
        self.stem = ConvBlock(3, stem, stride=2)
        before = (stem, *widths[:-1])
        self.downs = nn.ModuleList(ConvBlock(a, b, stride=2) for a, b in zip(before, widths, strict=True))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )
        self.laterals = nn.ModuleList(ConvBlock(width, out, kernel=1, relu=False) for width in widths)
        self.merges = nn.ModuleList(Residual(out) for _ in widths[:-1])

    def forward(self, x: Tensor) -> list[Tensor]:
        x, found = self.stem(x), []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(down(x))
            found.append(x)
        last = len(found) - 1
        merged = [functional.relu(self.laterals[last](found[last]))]
        for i in reversed(range(last)):
            coarser = functional.interpolate(merged[0], scale_factor=2.0, mode="nearest")
            merged.insert(0, self.merges[i](functional.relu(self.laterals[i](found[i]) + coarser)))
        return merged


class PointNetwork(nn.Module):
    """A crop `n 3 h w`, normalised, to the logits of each point's column and row: `n 133 2w`, `n 133 2h`."""

    def __init__(self, size: tuple[int, int] = POSE_SIZE):
        super().__init__()
        self.pyramid = Pyramid(stem=16, widths=(24, 48, 80, 112), blocks=(1, 1, 1, 1), out=32)
        self.heat = nn.Conv2d(32, NUM_POINTS, 1)
        self.columns, self.rows = (nn.Parameter(spread(length // 4, length * BINS)) for length in size)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        heat = self.heat(self.pyramid(crops)[0]).float()
        # both marginals of one softmax over the map; an exponential of the whole map is taken once
        share = (heat - heat.amax(dim=(2, 3), keepdim=True)).exp()
        columns, rows = ((share.sum(dim=axis) + TINIEST).log() for axis in (2, 3))
        with torch.autocast(crops.device.type, enabled=False):
            return columns @ self.columns, rows @ self.rows


class PersonNetwork(nn.Module):
    """A picture `n 3 s s`, BGR 0..255, to `n m 5`: x, y, width and height as YOLOX codes them, and a score's logit."""

    def __init__(self) -> None:
        super().__init__()
        self.pyramid = Pyramid(stem=16, widths=(24, 40, 56, 80), blocks=(1, 1, 1, 1), out=40)
        self.heads = nn.ModuleList(nn.Conv2d(40, 5, 1) for _ in STRIDES)
        for head in self.heads:
            nn.init.constant_(head.bias[4:], -3.0)  # most cells hold nobody

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.pyramid(pictures / 128 - 1)[1:]
        cells = [head(x).float().flatten(2) for head, x in zip(self.heads, features, strict=True)]
        return torch.cat(cells, dim=2).transpose(1, 2)


def spread(cells: int, bins: int) -> Tensor:
    """From values at the middles of `cells` to `bins`, by cubic interpolation; where learning starts."""
    place = (torch.arange(bins) + 0.5) * cells / bins - 0.5
    weights = torch.zeros(cells, bins)
    for offset in range(-1, 3):
        cell = place.floor() + offset
        distance = (place - cell).abs()
        near = 1.5 * distance**3 - 2.5 * distance**2 + 1
        far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
        weight = torch.where(distance < 1, near, far)
        weights[cell.clamp(0, cells - 1).long(), torch.arange(bins)] += weight
    return weights


def peak() -> float:
    """The height of a target's peak: a sure point's score is about 1."""
    return 1 / (SIGMA * math.sqrt(2 * math.pi))
