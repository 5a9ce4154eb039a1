"""Where bfloat16 saves time, and autocast there."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["no", "bf16", "auto"]


def bf16_pays(device: torch.device) -> bool:
    """Whether this device has matrix units for bfloat16: a CPU without AMX takes a fifth longer than in float32. [ours]"""
    if device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot tell
        return bool(capabilities.get("amx_bf16", False))
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def autocast(device: torch.device, precision: Precision = "auto") -> AbstractContextManager:
    """Forward passes in this precision over float32 weights; "auto" is bfloat16 where that pays, else float32."""
    if precision == "no" or (precision == "auto" and not bf16_pays(device)):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
