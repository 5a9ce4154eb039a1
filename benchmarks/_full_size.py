"""SD1.5 with everything of ours at full size, on a device that holds no data. Importing it imports nothing of ComfyUI."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ._live_tensors import names_of

META = torch.device("meta")
SD15_PARAMETERS = 859_520_964
VAE_CONFIG = {  # ComfyUI's own for SD1.x, comfy/sd.py
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}


class Networks:
    """Everything at full size, without data; only the Content Guider, whose results are read, has (arbitrary) numbers."""

    def __init__(self) -> None:
        import comfy.ops
        from comfy.ldm.models.autoencoder import AutoencoderKL

        from ..dreamoving_core.bridge.backend import host_attention, host_backend
        from ..dreamoving_core.bridge.insertion import InsertableMotion
        from ..dreamoving_core.bridge.video_control_model import VideoControlModel
        from ..dreamoving_core.models.backend import Backend
        from ..dreamoving_core.models.motion import MotionConfig

        half = torch.float16
        self.model = stock_model()
        self.unet_config = self.model.model.model_config.unet_config
        casting = Backend(operations=comfy.ops.manual_cast, attention=host_attention, device=META, dtype=half)
        self.motion_config = MotionConfig(mid=1280)
        self.motion = InsertableMotion(self.motion_config, casting).eval()
        plain = host_backend(weight_dtype=half, device=META)
        unet_config = {k: v for k, v in self.unet_config.items() if k != "dtype"}
        below = MotionConfig(mid=1280, up=())
        self.pose = VideoControlModel(unet_config, below, backend=plain).eval()
        self.depth = VideoControlModel(unet_config, below, backend=plain).eval()
        self.guider = content_guider(self.model.model.diffusion_model)
        self.vae = AutoencoderKL(ddconfig=VAE_CONFIG, embed_dim=4).to(META, torch.bfloat16).eval()
        self.roots = {
            "unet": self.model.model.diffusion_model,
            "motion": self.motion,
            "pose": self.pose,
            "depth": self.depth,
            "vae": self.vae,
        }
        self.names = names_of(**self.roots)

    def weights(self) -> Iterator[Tensor]:
        for root in self.roots.values():
            yield from root.parameters()
            yield from root.buffers()


def stock_model() -> Any:
    """SD1.5's MODEL on `meta`."""
    import comfy.model_patcher
    import comfy.supported_models

    from ..dreamoving_core.tiny.config import TinyConfig

    class Patcher(comfy.model_patcher.ModelPatcher):
        free_memory = 1 << 50

        def get_free_memory(self, device: torch.device) -> int:
            return self.free_memory

    layout = TinyConfig(
        model_channels=320,
        channel_mult=(1, 2, 4, 4),
        num_res_blocks=2,
        attention_levels=(True, True, True, False),
        context_dim=768,
        num_heads=8,
    )
    config = comfy.supported_models.SD15(layout.unet_config())
    config.set_inference_dtype(torch.float16, None)
    model = config.get_model({}, "", device=META).eval()
    found = sum(p.numel() for p in model.diffusion_model.parameters())
    if found != SD15_PARAMETERS:
        raise SystemExit(
            f"This U-Net has {found} parameters, SD1.5's has {SD15_PARAMETERS}: the benchmark is wrong."
        )
    return Patcher(model, load_device=META, offload_device=META)


def content_guider(unet: nn.Module) -> Any:
    import comfy.model_patcher

    from ..dreamoving_core.bridge.backend import host_backend
    from ..dreamoving_core.bridge.content_guider import LoadedContentGuider, numbered_widths
    from ..dreamoving_core.models.content_guider import BranchConfig, ContentGuider, ContentGuiderConfig

    config = ContentGuiderConfig(sites=numbered_widths(unet), face=BranchConfig(), cloth=BranchConfig())
    # as the loader makes it: keys and values are computed in float32, once per run
    backend = host_backend(weight_dtype=torch.float16, compute_dtype=torch.float32, device=META)
    network = ContentGuider(config, backend).to_empty(device="cpu")
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(network, load_device=cpu, offload_device=cpu)
    return LoadedContentGuider(patcher=patcher, config=config)
