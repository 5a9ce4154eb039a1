"""A LoRA of the U-Net: what learns is a change of low rank beside every weight. [LoRA, arXiv 2106.09685]

Written in the format that ComfyUI and others load (`lora_unet_*.lora_up.weight`), with 3 x 3 convolutions as LyCORIS
has them, so that a style can reach the lines as well as the words.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """The weight of a layer plus `lora_up @ lora_down`; zero at first."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rank = min(rank, weight.shape[0], weight[0].numel())
        self.lora_up = nn.Parameter(torch.zeros(weight.shape[0], rank))
        self.lora_down = nn.Parameter(torch.randn(rank, weight[0].numel()) / weight[0].numel() ** 0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.lora_up @ self.lora_down).reshape(weight.shape).to(weight)


class Lora(nn.Module):
    """A LowRank for every linear layer and convolution of a U-Net; they act on it as soon as this is made."""

    def __init__(self, unet: nn.Module, *, rank: int) -> None:
        super().__init__()
        self.shapes: dict[str, torch.Size] = {}
        for name, layer in list(unet.named_modules()):
            if isinstance(layer, nn.Linear | nn.Conv2d):
                low_rank, key = LowRank(layer.weight, rank), name.replace(".", "_")
                self.add_module(key, low_rank)
                self.shapes[key] = layer.weight.shape
                parametrize.register_parametrization(layer, "weight", low_rank)

    def file(self) -> dict[str, Tensor]:
        """The file's tensors. Alpha is the rank, so that strength 1 is what was trained."""
        tensors = {}
        for key, shape in self.shapes.items():
            low_rank = self.get_submodule(key)
            up, down = low_rank.lora_up.detach(), low_rank.lora_down.detach()
            ones = [1] * (len(shape) - 2)
            tensors[f"lora_unet_{key}.lora_up.weight"] = up.reshape(*up.shape, *ones).contiguous()
            tensors[f"lora_unet_{key}.lora_down.weight"] = down.reshape(-1, *shape[1:]).contiguous()
            tensors[f"lora_unet_{key}.alpha"] = torch.tensor(float(up.shape[1]))
        return tensors
