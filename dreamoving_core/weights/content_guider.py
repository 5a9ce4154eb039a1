"""Content Guiders, and IP-Adapters for SD1.5 as one branch of a Content Guider or as both."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from .formats import expect, listed, read_config, refuse_unfit
from .io import WeightsFile
from .ip_adapter_variants import TITLES, VariantChoice, decide_variant
from .keymaps import BASE_MODEL, StateDict, from_ip_adapter, with_prefix, without_prefix

SD15_SITES = 16  # cross-attentions of SD1.5's U-Net
SD15_CONTEXT = 768

LORA = "lora."
OWN_KEYS = ("format", "format_version", "config")

BranchChoice = Literal["face", "cloth", "both"]


@dataclass(frozen=True, kw_only=True)
class ContentGuiderWeights:
    """A Content Guider ready to be built: `ContentGuider(config).load_state_dict(state_dict)` fits strictly.

    `lora` is what FaceID files change in the U-Net's own attentions, as `<n>.to_q_lora.up.weight`: n is IP-Adapter's
    number, even for self-attention, odd for cross-attention. `metadata` says all that was decided, so that the file need
    not be judged again.
    """

    name: str
    config: ContentGuiderConfig
    state_dict: StateDict
    metadata: Mapping[str, str]
    version: str
    left_out: tuple[str, ...] = ()
    lora: StateDict = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was assumed, for people

    def tensors(self) -> StateDict:
        """All tensors under the names of our own format."""
        return self.state_dict | with_prefix(self.lora, LORA)


def read_content_guider(
    file: WeightsFile, *, branch: BranchChoice = "both", variant: VariantChoice = "auto"
) -> ContentGuiderWeights:
    """Check and rename; `branch` is where an IP-Adapter's tensors go and means nothing for a Content Guider. `variant`
    says what its tensors cannot tell.

    Raises WeightsError for other kinds of files and for missing, extra or misshapen tensors.
    """
    kinds = ("content_guider", "ip_adapter")
    found = expect(file.name, file.shapes, kinds=kinds, wanted="a Content Guider or an IP-Adapter for SD1.5")
    stored = read_config(file.name, file.metadata, expected=FORMAT)
    state_dict = file.state_dict
    if found.kind == "ip_adapter":
        state_dict = {
            key: tensor
            for name in (BRANCHES if branch == "both" else (branch,))
            for key, tensor in from_ip_adapter(file.state_dict, branch=name).items()
        }
    own = {key: tensor for key, tensor in state_dict.items() if key.split(".")[0] in BRANCHES}
    lora = without_prefix(state_dict, LORA)
    beside = [key for key in state_dict if key not in own and not key.startswith(LORA)]
    left_out = (
        *beside,
        *(key for key in file.state_dict if key.startswith(BASE_MODEL) and key not in beside),
    )
    try:
        config = config_from_state_dict(own, file.metadata)
    except WeightsError as error:
        raise WeightsError(f"'{file.name}': {error}") from error
    notes: tuple[str, ...] = ()
    version = found.title.removeprefix("a ").removeprefix("an ")
    if not stored:
        config, version, notes = decided(file, config, variant=variant)
    refuse_misfit(file.name, config, own)
    if lora:
        refuse_misfit_lora(file.name, config, lora)
    extra = {key: value for key, value in file.metadata.items() if key not in OWN_KEYS}
    return ContentGuiderWeights(
        name=file.name,
        config=config,
        state_dict=own,
        metadata=content_guider_metadata(config, extra=extra),
        version=version,
        left_out=left_out,
        lora=lora,
        notes=notes,
    )


def decided(
    file: WeightsFile, config: ContentGuiderConfig, *, variant: VariantChoice
) -> tuple[ContentGuiderConfig, str, tuple[str, ...]]:
    """`config` with what its tensors cannot tell, what the file is, and what was assumed."""
    branches = config.branches()
    kind = next(iter(branches.values())).encoder.kind
    found = decide_variant(file.name, kind, choice=variant, sha256=file.sha256)
    if kind == "id_clip_perceiver":
        branches = {
            name: replace(b, encoder=replace(b.encoder, shortcut=found.shortcut))
            for name, b in branches.items()
        }
    notes = (found.note,) if found.note else ()
    return replace(config, **branches), f"IP-Adapter, {found.name or TITLES[kind]}", notes


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


def refuse_misfit_lora(name: str, config: ContentGuiderConfig, lora: StateDict) -> None:
    """Raise WeightsError unless `lora` has a pair for q, k, v and out of every attention, of fitting sizes."""
    context = next(iter(config.branches().values())).encoder.context_dim
    wanted = {}
    for n, width in config.sites:
        for number in (n - 1, n):
            for part in ("q", "k", "v", "out"):
                read = context if number == n and part in "kv" else width
                wanted[f"{number}.to_{part}_lora"] = (read, width)
    expected = {f"{pair}.{end}.weight" for pair in wanted for end in ("down", "up")}
    missing, unexpected = sorted(expected - lora.keys()), sorted(lora.keys() - expected)
    if missing or unexpected:
        raise WeightsError(
            f"'{name}' holds a LoRA that is not whole: {len(missing)} tensors missing{listed(missing)}, "
            f"{len(unexpected)} unexpected{listed(unexpected)}. Download it again."
        )
    for pair, (read, width) in wanted.items():
        down, up = (tuple(lora[f"{pair}.{end}.weight"].shape) for end in ("down", "up"))
        if down[1:] != (read,) or up != (width, down[0]):
            raise WeightsError(
                f"'{name}' holds a LoRA that does not fit SD1.5: {pair} is {list(down)} and {list(up)}, expected "
                f"[rank, {read}] and [{width}, rank]. Download it again, or choose the SD1.5 version."
            )


def content_guider_metadata(
    config: ContentGuiderConfig, *, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The metadata of our own file; its tensors are the network's state dict as it is. `extra`: licence, parents."""
    return {**(extra or {}), **metadata_from_config(config)}


def shapes(state_dict: StateDict) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in state_dict.items()}
