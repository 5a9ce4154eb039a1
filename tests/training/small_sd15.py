"""A small SD1.5 in the place of its files, because ComfyUI knows SD1.5 by its full size alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType

import pytest
import torch
from dreamoving.dreamoving_core.bridge import trainable_sd15
from dreamoving.dreamoving_core.bridge.tiny import SmallSD15Epsilon
from dreamoving.dreamoving_core.bridge.tiny_files import load_tiny
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from small_host import small_config, unet_state_dict


def small_base(_path):
    """U-Net, text encoder and VAE as `load_base` gives them."""
    config = SmallSD15Epsilon(small_config().unet_config())
    config.set_inference_dtype(torch.float32, None)
    base = config.get_model({}, "", device=torch.device("cpu"))
    base.diffusion_model.load_state_dict(unet_state_dict(small_config()))
    tiny = load_tiny()
    return base, tiny.clip, tiny.vae


@contextmanager
def small_files(*modules: ModuleType) -> Iterator[None]:
    """`load_base` and `load_vision` of these modules read no file."""
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "load_base", small_base)
            patch.setattr(module, "load_vision", lambda _path: load_tiny().clip_vision)
        smaller = partial(EncoderConfig, dim=64, depth=1, heads=2, dim_head=32)
        patch.setattr(trainable_sd15, "EncoderConfig", smaller)
        yield
