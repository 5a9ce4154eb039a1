"""The LoRA inside FaceID files, as ordinary weight patches of ComfyUI.

It was trained together with the image tokens: it changes q, k, v and out of every self- and cross-attention. Names are
`<n>.to_q_lora.up.weight`; n is the place among diffusers' attentions (down, up, middle), even for self-attention.
"""

from collections.abc import Mapping

import comfy.lora
import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ..models.content_guider import ContentGuiderConfig

ATTACHED = "dreamoving_content_loras"
UNET = "diffusion_model"


def lora_branches(config: ContentGuiderConfig) -> set[str]:
    """The branches that the LoRA was trained with: those that read identities, or all where none does."""
    branches = config.branches()
    return {name for name, branch in branches.items() if branch.needs_identity} or set(branches)


def attention_weights(unet: nn.Module) -> dict[str, str]:
    """`<n>.to_q` and so on to the name of the weight in a MODEL."""
    groups = ((unet.input_blocks, "input_blocks"), (unet.output_blocks, "output_blocks"))
    blocks = [(f"{name}.{i}", block) for group, name in groups for i, block in enumerate(group)]
    blocks.append(("middle_block", unet.middle_block))
    places = [
        f"{UNET}.{name}.{place}.transformer_blocks.{i}.{attention}"
        for name, block in blocks
        for place, layer in block.named_children()
        if isinstance(layer, SpatialTransformer)
        for i in range(len(layer.transformer_blocks))
        for attention in ("attn1", "attn2")
    ]
    parts = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
    return {
        f"{n}.{part}": f"{place}.{layer}.weight"
        for n, place in enumerate(places)
        for part, layer in parts.items()
    }


def add_content_lora(model: ModelPatcher, lora: Mapping[str, Tensor], *, strength: float) -> None:
    """Patch `model`'s weights; the same LoRA is never added twice, so that two people may share one FaceID file."""
    attached = model.get_attachment(ATTACHED) or ()
    if strength == 0 or any(same_tensors(lora, other) for other in attached):
        return
    patches = comfy.lora.load_lora(dict(lora), attention_weights(model.model.diffusion_model))
    model.add_patches(patches, strength)
    model.set_attachments(ATTACHED, (*attached, lora))


def same_tensors(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    """Whether two LoRAs are one, however often the file was loaded."""
    return left is right or (
        left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)
    )
