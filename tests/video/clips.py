"""Small synthetic clips and sounds for the tests of `video/`."""

import math

import torch


def moving_bar(num_frames: int, *, height: int = 64, width: int = 80, channels: int = 3):
    """`f h w c`: a bright bar that moves 4 pixels a frame over a gradient."""
    y = torch.linspace(0.1, 0.7, height)[:, None].expand(height, width)
    frames = torch.stack([y, y.flip(0), torch.full_like(y, 0.4)], dim=-1).repeat(num_frames, 1, 1, 1)
    for i in range(num_frames):
        left = 4 * i % (width - 8)
        frames[i, :, left : left + 8] = torch.tensor([0.9, 0.9, 0.1])
    if channels == 1:
        return frames.mean(dim=-1, keepdim=True)
    return torch.cat([frames, torch.ones(*frames.shape[:3], channels - 3)], dim=-1)


def tone(seconds: float, *, sample_rate: int = 44100, channels: int = 2, hertz: float = 440.0):
    """A ComfyUI AUDIO of a sine at half amplitude."""
    time = torch.arange(round(seconds * sample_rate)) / sample_rate
    wave = 0.5 * torch.sin(2 * math.pi * hertz * time)
    return {"waveform": wave.expand(1, channels, -1), "sample_rate": sample_rate}
