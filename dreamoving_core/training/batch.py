"""What one pass of training sees: a batch, and its conditions encoded. Letters: b clip, f frame, k noise levels per frame."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one pass sees. What is None is not there: no control, no guidance by pictures, no weight on the person."""

    latents: Tensor  # b f c h w
    control: Tensor | None = None  # b f c h w, uint8 control pictures of one kind
    control_kind: str = "none"  # "pose", "depth" or "none"
    person: Tensor | None = None  # b f h w, uint8, share of the person in each latent cell
    face: Tensor | None = None  # b n d, image encoder's features of the face reference
    cloth: Tensor | None = None  # b n d
    face_known: Tensor | None = None  # b booleans; None: every clip has one
    cloth_known: Tensor | None = None
    identity: Tensor | None = None  # b d, the face recogniser's unit vector, zeros without a face
    face_blank: Tensor | None = None  # 1 n d, what a dropped face shows; None: a dropped face adds nothing
    cloth_blank: Tensor | None = None
    token_ids: Tensor | None = None  # u n, the unique captions of the batch, the empty one first
    text: Tensor | None = None  # u n d instead: the same, encoded by a text encoder that does not learn
    caption: Tensor  # b, index into token_ids or text

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "control_kind"}
        return replace(self, **{name: t.to(device) for name, t in tensors.items() if t is not None})


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """A batch's conditions, encoded once for all noise levels: `(k b f) ...` where they are tensors."""

    frames: int
    context: Tensor  # text tokens
    options: dict[str, Any]  # ComfyUI's transformer_options
    control_kind: str = "none"
    hint: Tensor | None = None  # features of the control pictures
    gate: Tensor | None = None  # 0 for clips that dropped the control
