"""A small random image encoder of ComfyUI's own class, and random pictures."""

import torch
from small_host import randomise


def vision(*, width=48, projection=40):
    from comfy.clip_vision import ClipVisionModel

    model = ClipVisionModel(
        {
            "model_type": "clip_vision_model",
            "hidden_act": "gelu",
            "num_channels": 3,
            "image_size": 32,
            "patch_size": 8,
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "projection_dim": projection,
        }
    )
    model.load_sd(randomise(model.get_sd()))
    return model


def pictures(count=1, height=32, width=32, channels=3, seed=0):
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(seed))
