"""What an IP-Adapter's tensors cannot tell: FaceID-Plus v1 from v2, plus from plus-face.

The order of evidence: what the user chose, our own metadata, a known SHA-256, and then an assumption that is stated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..errors import WeightsError

VariantChoice = Literal["auto", "plus", "plus-face", "FaceID-Plus", "FaceID-Plus v2"]
VARIANTS: tuple[VariantChoice, ...] = ("auto", "plus", "plus-face", "FaceID-Plus", "FaceID-Plus v2")

# Which variants share their tensors, by kind of token encoder.
TWINS: dict[str, tuple[VariantChoice, VariantChoice]] = {
    "clip_resampler": ("plus", "plus-face"),
    "id_clip_perceiver": ("FaceID-Plus", "FaceID-Plus v2"),
}

# SHA-256 of h94's files as SwarmUI checks its downloads: src/BuiltinExtensions/ComfyUIBackend/WorkflowGeneratorSteps.cs
KNOWN: dict[str, VariantChoice] = {
    "a1c250be40455cc61a43da1201ec3f1edaea71214865fb47f57927e06cbe4996": "plus",
    "1c9edc21af6f737dc1d6e0e734190e976cfacf802d6b024b77aa3be922f7569b": "plus-face",
    "252fb53e0d018489d9e7f9b9e2001a52ff700e491894011ada7cfb471e0fadf2": "FaceID-Plus",
    "26d0d86a1d60d6cc811d3b8862178b461e1eeb651e6fe2b72ba17aa95411e313": "FaceID-Plus v2",
}

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
