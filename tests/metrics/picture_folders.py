"""Clips as folders of numbered PNG pictures, for the metrics of any videos."""

import numpy as np
import torch
from PIL import Image


def write_pictures(folder, clip):
    """`f h w 3` in [0, 1], at eight bits."""
    folder.mkdir(parents=True)
    for number, frame in enumerate((clip * 255).round().byte().numpy()):
        Image.fromarray(np.ascontiguousarray(frame)).save(folder / f"{number:04}.png")


def pictures(folder, *, frames=3, size=16, seed=0, add=0):
    """A clip of noise in its folder, and what is in it."""
    clip = torch.randint(0, 200, (frames, size, size, 3), generator=torch.Generator().manual_seed(seed)) + add
    write_pictures(folder, clip / 255)
    return clip / 255
