"""Small files in ComfyUI's formats, untrained, for what DreaMoving-Tiny has no weights of: they show that a graph runs, and
nothing else."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..dreamoving_core.catalogue.stories import SCAIL, WAN_ANIMATE
from ..dreamoving_core.tiny import files
from ..tools.stories.tiny_kit import STAND_INS
from .wan_stand_ins import StandIn, random_scail, random_wan_animate, random_wan_lora, random_wan_vae

RANK = 4


def write_stand_ins(models: Path) -> None:
    """The files that `workflows/tiny/` asks for, into ComfyUI's `models`."""
    made = (
        ("loras", "LoraLoader", StandIn(weights=random_lora())),
        ("frame_interpolation", "FrameInterpolationModelLoader", StandIn(weights=random_rife())),
        ("upscale_models", "UpscaleModelLoader", StandIn(weights=plain_upscaler())),
        ("diffusion_models", WAN_ANIMATE.name, random_wan_animate()),
        ("diffusion_models", SCAIL.name, random_scail()),
        ("loras", "LoraLoaderModelOnly", random_wan_lora()),
        ("vae", "VAELoader", random_wan_vae()),
    )
    for folder, stands_for, stand_in in made:
        (models / folder).mkdir(parents=True, exist_ok=True)
        save_file(stand_in.weights, models / folder / STAND_INS[stands_for], stand_in.metadata or None)


def random_lora() -> dict[str, Tensor]:
    """A LoRA on every query of Tiny's U-Net, weak enough to leave a picture."""
    random = torch.Generator().manual_seed(0)
    lora = {}
    with safe_open(files.FOLDER / files.UNET, "pt") as unet:
        for name in (name for name in unet.keys() if name.endswith("to_q.weight")):  # noqa: SIM118 (not a mapping)
            rows, columns = unet.get_slice(name).get_shape()
            layer = f"diffusion_model.{name.removesuffix('.weight')}"
            lora[f"{layer}.lora_down.weight"] = torch.randn(RANK, columns, generator=random) / columns**0.5
            lora[f"{layer}.lora_up.weight"] = 0.1 * torch.randn(rows, RANK, generator=random)
    return lora


def random_rife() -> dict[str, Tensor]:
    """RIFE, narrow. Its last layers are nearly 0, so that frames in between are mixtures of their neighbours."""
    from comfy_extras.frame_interpolation_models.ifnet import IFNet

    return random_weights(IFNet(head_ch=4, channels=(8, 8, 8, 8, 8)), scale=0.02)


def plain_upscaler() -> dict[str, Tensor]:
    """ESRGAN for 4 times, with one narrow block that adds nothing: every pixel becomes sixteen."""
    from spandrel.architectures.ESRGAN import ESRGAN

    weights = ESRGAN(num_filters=16, num_blocks=1, scale=4).state_dict()
    for name, value in weights.items():
        nn.init.zeros_(value)
        if name.endswith("weight") and ".sub." not in name:
            nn.init.dirac_(value)
    return weights


def random_weights(network: nn.Module, *, scale: float) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    return {
        name: scale * torch.randn(value.shape, generator=random) / max(value[0].numel(), 1) ** 0.5
        for name, value in network.state_dict().items()
    }
