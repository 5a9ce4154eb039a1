"""A dance from text, from a face, from clothes, from pictures alone: the paper's Figures 2 to 4."""

from dataclasses import replace
from functools import partial

from ...dreamoving_core.catalogue.stories import STORIES
from ..layout import Steps
from .chain import Control, condition, dance, guide, prepare, sample, save
from .kit import Kit
from .story import Story

ANIMATEDIFF = (
    "* 25 DDIM steps, cfg 8, 16 frames at 8 per second: [AnimateDiff](https://github.com/guoyww/AnimateDiff)'s own "
    "demos (`configs/prompts/v1`). The negative prompt is after diffusers' AnimateDiff examples.\n"
    "* 512 x 768: the usual size of SD1.5 for a standing person. Motion v3 was trained at 256 pixels and is run at 512."
)
IP_ADAPTER = (
    "* alpha 0.6: diffusers' guide to [IP-Adapter](https://huggingface.co/docs/diffusers/using-diffusers/ip_adapter) "
    "says that 0.5 balances text and picture and uses 0.6 in its examples; 1 lets the picture decide alone."
)
FACE_HINT = "* **Your picture of the face**: one sharp face, from the front, with some room around."
CLOTH_HINT = (
    "* **Your picture of the clothes**: the outfit, on a person or alone, nothing else in the picture."
)


def image_only(g: Steps, kit: Kit) -> None:
    name = "Image only"
    models = kit.models(g, STORIES[name])
    footage = kit.footage(g, "person")
    clip = prepare(g, kit, footage)
    with g.step("Face and clothes") as column:
        pose = kit.poses(column, footage.person, title="Pose Extract: the picture")
        both = {"image": footage.person, "keypoints": pose}
        face = column.node("DreaMovingCropFace", both).out("crops")
        cloth = column.node("DreaMovingCutCloth", both).out("cloth")
    footage = replace(footage, face=face, cloth=cloth)
    controls = [Control(net=models.pose, pictures=clip.poses, name="poses")]
    said = condition(g, kit, models, footage, controls, prompt="")
    model = guide(g, models, footage, alpha_f=1.0, alpha_c=1.0)
    frames = sample(g, kit, models, model, said, clip)
    save(g, name, frames, rate=clip.rate, audio=clip.audio)


def plain(name: str, *pictures: str, about: str, words: str, recipe: str) -> Story:
    build = partial(dance, name=name, pictures=pictures)
    return Story(name=name, words=words, build=build, about=about, recipe=recipe)


DANCES = (
    plain(
        "Text only",
        words="pose to dance, no pictures",
        about="The prompt says who dances and where; the poses of your clip say how (Figure 2 of the paper).",
        recipe=ANIMATEDIFF,
    ),
    plain(
        "Text and face",
        "face",
        words="your face dances",
        about=f"A face from a picture, all else from the prompt (Figure 3).\n\n{FACE_HINT}\n"
        "* **alpha_f**: how much the face counts. Below 0.4 it is only alike, above 0.9 the prompt loses.",
        recipe=f"{ANIMATEDIFF}\n{IP_ADAPTER}",
    ),
    plain(
        "Face and clothes",
        "face", "cloth",
        words="who dances in what",
        about=f"A face and an outfit from two pictures, the place from the prompt (Figure 4).\n\n{FACE_HINT}\n{CLOTH_HINT}\n"
        "* **alpha_f**, **alpha_c**: raise the one that is lost, lower the one that takes over.",
        recipe=f"{ANIMATEDIFF}\n{IP_ADAPTER}",
    ),
    plain(
        "Face by identity",
        "face",
        words="FaceID, insightface",
        about=f"Who it is, and not how the picture looks: pose, light and hair of the picture matter less.\n\n{FACE_HINT}\n"
        "* Needs the package `insightface` and its models `buffalo_l`, for research only. *Text and face* does without.",
        recipe=f"{ANIMATEDIFF}\n{IP_ADAPTER}\n* The LoRA inside the FaceID file acts at 1.0, as its authors run it.",
    ),
    Story(
        name="Image only",
        words="one photograph, no prompt",
        build=image_only,
        about="No text: one picture of a whole person gives face and clothes, and the place is left to the model.\n\n"
        "* **Your picture of the person**: standing, from the front, face and feet in the picture.\n"
        "* **Crop Face** and **Cut Cloth** show what they found; their help says what to do when it is not right.",
        recipe=f"{ANIMATEDIFF}\n* alpha 1: by diffusers' guide to IP-Adapter the picture alone decides at 1.",
    ),
)  # fmt: skip
