"""What an IP-Adapter's tensors cannot tell: FaceID-Plus v1 from v2, plus from plus-face.

The order of evidence: what the user chose, our own metadata, a known SHA-256, and then an assumption that is stated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..catalogue.files import BY_SHA256
from ..errors import WeightsError

VariantChoice = Literal["auto", "plus", "plus-face", "FaceID-Plus", "FaceID-Plus v2"]
VARIANTS: tuple[VariantChoice, ...] = ("auto", "plus", "plus-face", "FaceID-Plus", "FaceID-Plus v2")

# Which variants share their tensors, by kind of token encoder.
TWINS: dict[str, tuple[VariantChoice, VariantChoice]] = {
    "clip_resampler": ("plus", "plus-face"),
    "id_clip_perceiver": ("FaceID-Plus", "FaceID-Plus v2"),
}

FILES: dict[str, VariantChoice] = {
    "ip-adapter-plus_sd15.safetensors": "plus",
    "ip-adapter-plus-face_sd15.safetensors": "plus-face",
    "ip-adapter-faceid-plus_sd15.bin": "FaceID-Plus",
    "ip-adapter-faceid-plusv2_sd15.bin": "FaceID-Plus v2",
}
# The catalogue has the digests with their sources; a file's own name is never looked at.
KNOWN = {digest: FILES[file.name] for digest, file in BY_SHA256.items() if file.name in FILES}

TITLES = {
    "clip_linear": "base or light",
    "clip_mlp": "full-face",
    "clip_resampler": "plus or plus-face",
    "dm_face": "plus-face with an identity",
    "id_mlp": "FaceID or portrait",
    "id_clip_perceiver": "FaceID-Plus",
}

ASSUMED = {
    "clip_resampler": "plus and plus-face have the same tensors and compute the same; plus-face wants a cropped face.",
    "id_clip_perceiver": "FaceID-Plus v1 and v2 have the same tensors: v2 is assumed. If the face is not the person's, "
    "set ip_adapter_variant to FaceID-Plus.",
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """`name` is "" where tensors say all there is to say or nothing decides; `note` is what was assumed."""

    name: str = ""
    note: str = ""

    @property
    def shortcut(self) -> bool:
        """Whether a FaceID-Plus file is read as v2."""
        return self.name != "FaceID-Plus"


def decide_variant(
    file: str, kind: str, *, choice: VariantChoice = "auto", sha256: Callable[[], str | None]
) -> Variant:
    """Which variant `file`, whose token encoder is of `kind`, is read as; `sha256` is asked only when it matters.

    Raises WeightsError for a choice that the tensors contradict.
    """
    twins = TWINS.get(kind, ())
    if choice != "auto":
        if choice not in twins:
            raise WeightsError(
                f"'{file}' cannot be {choice}: its tensors are those of {TITLES.get(kind, kind)}. "
                "Set ip_adapter_variant to auto."
            )
        return Variant(name=choice)
    if not twins:
        return Variant()
    known = KNOWN.get(sha256() or "")
    if known in twins:
        return Variant(name=known)
    return Variant(note=ASSUMED[kind])
