"""Content Guiders, and IP-Adapters for SD1.5 as one branch of a Content Guider or as both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import WeightsError
from ..models.backend import Backend
from ..models.content_guider import (
    BRANCHES,
    FORMAT,
    ContentGuider,
    ContentGuiderConfig,
    config_from_state_dict,
    metadata_from_config,
)
from .formats import expect, read_config, refuse_unfit
from .io import WeightsFile
from .keymaps import BASE_MODEL, StateDict, from_ip_adapter

SD15_SITES = 16  # cross-attentions of SD1.5's U-Net
SD15_CONTEXT = 768

BranchChoice = Literal["face", "cloth", "both"]


@dataclass(frozen=True, kw_only=True)
class ContentGuiderWeights:
    """A Content Guider ready to be built: `ContentGuider(config).load_state_dict(state_dict)` fits strictly."""

    name: str
    config: ContentGuiderConfig
    state_dict: StateDict
    metadata: Mapping[str, str]
    version: str
    left_out: tuple[str, ...] = ()


def read_content_guider(file: WeightsFile, *, branch: BranchChoice = "both") -> ContentGuiderWeights:
    """Check and rename; `branch` is where an IP-Adapter's tensors go and means nothing for a Content Guider.

    Raises WeightsError for other kinds of files and for missing, extra or misshapen tensors.
    """
    kinds = ("content_guider", "ip_adapter")
    found = expect(file.name, file.shapes, kinds=kinds, wanted="a Content Guider or an IP-Adapter for SD1.5")
    read_config(file.name, file.metadata, expected=FORMAT)
    state_dict = file.state_dict
    if found.kind == "ip_adapter":
        state_dict = {
            key: tensor
            for name in (BRANCHES if branch == "both" else (branch,))
            for key, tensor in from_ip_adapter(file.state_dict, branch=name).items()
        }
    own = {key: tensor for key, tensor in state_dict.items() if key.split(".")[0] in BRANCHES}
    beside = [key for key in state_dict if key not in own and not key.startswith("lora.")]
    left_out = (
        *beside,
        *(key for key in file.state_dict if key.startswith(BASE_MODEL) and key not in beside),
    )
    try:
        config = config_from_state_dict(own, file.metadata)
    except WeightsError as error:
        raise WeightsError(f"'{file.name}': {error}") from error
    refuse_misfit(file.name, config, own)
    refuse_lora(file.name, state_dict)
    version = found.title.removeprefix("a ").removeprefix("an ")
    return ContentGuiderWeights(
        name=file.name,
        config=config,
        state_dict=own,
        metadata=file.metadata,
        version=version,
        left_out=left_out,
    )


def refuse_misfit(name: str, config: ContentGuiderConfig, state_dict: StateDict) -> None:
    """Raise WeightsError unless the tensors are those of `config`, no more and no less."""
    numbers = [n for n, _ in config.sites]
    contexts = {branch.encoder.context_dim for branch in config.branches().values()}
    wanted = SD15_SITES if SD15_CONTEXT in contexts else len(numbers)
    if numbers != list(range(1, 2 * wanted, 2)):
        raise WeightsError(
            f"'{name}' does not fit: it has keys and values for {len(numbers)} cross-attentions "
            f"(numbers {', '.join(map(str, numbers))}), expected {wanted} with the odd numbers 1 to {2 * wanted - 1}. "
            "Download it again, or choose another version."
        )
    blank = ContentGuider(config, Backend(device=torch.device("meta")))
    refuse_unfit(name, shapes(blank.state_dict()), shapes(state_dict))


def refuse_lora(name: str, state_dict: StateDict) -> None:
    """Raise WeightsError for a LoRA inside: without it the picture would be another one."""
    found = [key for key in state_dict if key.startswith("lora.")]
    if found:
        raise WeightsError(
            f"'{name}' holds a LoRA ({len(found)} tensors, as FaceID files do), which this version of DreaMoving does "
            "not apply. Choose an IP-Adapter without one (ip-adapter, plus, plus-face)."
        )


def content_guider_metadata(
    config: ContentGuiderConfig, *, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The metadata of our own file; its tensors are the network's state dict as it is. `extra`: licence, parents."""
    return {**(extra or {}), **metadata_from_config(config)}


def shapes(state_dict: StateDict) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state_dict.items()}
