"""Other looks: a picture in a style, or a checkpoint and a LoRA of one (Figure 5 of the paper)."""

from functools import partial

from .chain import dance
from .dances import ANIMATEDIFF, FACE_HINT, IP_ADAPTER
from .story import Story

DRAWN = "1girl, dancing on a meadow, full body, anime, best quality"
UNWANTED = "worst quality, low quality, letterboxed"  # AnimateDiff's for these two files


STYLES = (
    Story(
        name="Stylised reference",
        words="a painting or a cartoon as style",
        build=partial(
            dance, name="Stylised reference", pictures=("face", "style"),
            said={"prompt": "a woman dancing, full body, best quality"}, guided={"alpha_f": 0.5, "alpha_c": 0.8},
        ),
        about="A painting, a drawing or a film still gives colours and brush; the face stays a person's (Figure 5).\n\n"
        f"{FACE_HINT}\n* **Your picture of the style**: the whole picture counts. Where it takes over, lower `alpha_c`.",
        recipe=f"{ANIMATEDIFF}\n{IP_ADAPTER} The style has 0.8 and the face 0.5 here [ours]: a style is all over the picture.",
    ),
    Story(
        name="Stylised checkpoint and LoRA",
        words="anime, cartoon",
        build=partial(
            dance, name="Stylised checkpoint and LoRA", pictures=("face",), lora=1.0,
            said={"prompt": DRAWN, "negative": UNWANTED}, guided={"alpha_f": 0.5},
        ),
        about="A base model that was trained on a style, and a LoRA on top (Figure 5). Take any SD1.5 files of this kind.\n\n"
        f"{FACE_HINT}\n* A photograph pulls the picture back to photographs: hence `alpha_f` 0.5.",
        recipe="* CounterfeitV3.0 with a LoRA at 1.0, 25 steps, cfg 8 and the negative prompt: [AnimateDiff]"
        "(https://github.com/guoyww/AnimateDiff)'s `v1-8-GhibliBackground.yaml` (version 2.5 of the checkpoint there).\n"
        "* alpha_f 0.5: diffusers' guide to IP-Adapter, where text and picture balance.",
    ),
)  # fmt: skip
