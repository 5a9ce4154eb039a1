"""Fitted poses for the two of ComfyUI's own Wan nodes that take a pose video: Wan-Animate and SCAIL."""

from dataclasses import dataclass, replace

from ...dreamoving_core.catalogue.graphs import Asked
from ...dreamoving_core.catalogue.stories import SCAIL, WAN_ANIMATE, WAN_EYES, WAN_FAST, WAN_TEXT, WAN_VAE
from ..graph import Output
from ..layout import Column, Steps
from .chain import condition, save
from .kit import Footage, Kit, Models
from .preparation import Prepared, prepare_poses
from .story import Story

STEPS, TINY_STEPS = 6, 2
FACE = 512  # pixels: the size that core brings faces to
PROMPT = "The character is dancing."
LONG_PROMPT = (
    "A person stands in front of the camera and dances with the whole body, raising and lowering the arms, turning the hips "
    "and stepping from side to side in a steady rhythm. The camera does not move and the background stays the same."
)


@dataclass(frozen=True, kw_only=True)
class Wan:
    model: Output
    clip: Output
    vae: Output
    eyes: Output | None  # Tiny's image encoder has another width than Wan's


def wan_animate(g: Steps, kit: Kit) -> None:
    kit = kit if kit.tiny else sized(kit, width=480, height=832)
    wan = wan_models(g, kit, WAN_ANIMATE, lora=1.0, shift=8.0)
    footage = at_the_results_size(g, kit, kit.footage(g, "person", seconds=1.0 if kit.tiny else 2.6))
    found = prepare_poses(g, kit, footage, resample=False, face=False)
    look_at(g, found)
    with g.step("Faces of the dance") as column:
        both = {"image": found.images, "keypoints": found.dance}
        cut = both | {"size": FACE, "margin": 0.1, "background": "black", "missing": "nearest"}
        faces = column.node("DreaMovingCropFace", cut).out("crops")
        column.node("PreviewImage", {"images": faces}, title="Faces: one per frame")
    said = condition(g, kit, Models(clip=wan.clip), footage, [], prompt=PROMPT)
    with g.step("Wan-Animate") as column:
        given = conditions(column, kit, wan, footage, found, said, most=77)
        # Core's face encoder takes minutes for a second of video without a graphics card, whatever its weights.
        given |= {} if kit.tiny else {"face_video": faces}
        asked = column.node("WanAnimateToVideo", given)
    with g.step("Sample") as column:
        made = sampled(column, kit, wan, asked.out("positive"), asked.out("negative"), asked.out("latent"))
        trimmed = {"samples": made, "trim_amount": asked.out("trim_latent")}
        latents = column.node("TrimVideoLatent", trimmed).out()
        frames = column.node("VAEDecode", {"samples": latents, "vae": wan.vae}).out()
    save(g, "Wan-Animate", frames, rate=found.rate, audio=found.audio)


def scail(g: Steps, kit: Kit) -> None:
    kit = kit if kit.tiny else sized(kit, width=512, height=896, rate=16.0)
    wan = wan_models(g, kit, SCAIL, lora=0.8, shift=5.0)
    footage = at_the_results_size(g, kit, kit.footage(g, "person", seconds=1.0 if kit.tiny else 5.1))
    found = prepare_poses(g, kit, footage)
    look_at(g, found)
    said = condition(g, kit, Models(clip=wan.clip), footage, [], prompt=LONG_PROMPT)
    with g.step("SCAIL") as column:
        asked = column.node("WanSCAILToVideo", conditions(column, kit, wan, footage, found, said, most=81))
    with g.step("Sample") as column:
        latents = sampled(column, kit, wan, asked.out("positive"), asked.out("negative"), asked.out("latent"))
        frames = column.node("VAEDecode", {"samples": latents, "vae": wan.vae}).out()
    save(g, "SCAIL", frames, rate=found.rate, audio=found.audio)


def sized(kit: Kit, *, width: int, height: int, rate: float | None = None) -> Kit:
    """The kit for a result of another size; its crop box is its own."""
    return replace(kit, width=width, height=height, rate=rate or kit.rate, crop=dict(kit.crop))


def wan_models(g: Steps, kit: Kit, network: Asked, *, lora: float, shift: float) -> Wan:
    """The loaders, as the first step. `lora` is the strength of the LoRA for few steps."""
    with g.step("Models", width=380) as column:
        model = kit.loader(column, "UNETLoader", "unet_name", network).out()
        weaker = {"model": model, "strength_model": lora}
        model = kit.loader(column, "LoraLoaderModelOnly", "lora_name", WAN_FAST, **weaker).out()
        model = column.node("ModelSamplingSD3", {"model": model, "shift": shift}).out()
        vae = kit.loader(column, "VAELoader", "vae_name", WAN_VAE).out()
        if kit.tiny:
            return Wan(model=model, vae=vae, clip=column.node("DreaMovingLoadTiny").out("CLIP"), eyes=None)
        clip = kit.loader(column, "CLIPLoader", "clip_name", WAN_TEXT, type="wan").out()
        eyes = kit.loader(column, "CLIPVisionLoader", "clip_name", WAN_EYES).out()
    return Wan(model=model, clip=clip, vae=vae, eyes=eyes)


def at_the_results_size(g: Steps, kit: Kit, footage: Footage) -> Footage:
    """The picture as core's nodes cut it, so that the poses are fitted to what they will see."""
    with g.step("Your picture at the result's size") as column:
        size = {"width": kit.width, "height": kit.height, "upscale_method": "area", "crop": "center"}
        cut = column.node("ImageScale", {"image": footage.person} | size, title="Cut to width and height")
    return replace(footage, person=cut.out())


def look_at(g: Steps, found: Prepared) -> None:
    with g.step("Look at the poses") as column:
        column.node("PreviewImage", {"images": found.overlay}, title="Does it fit?")
        column.node("PreviewAny", {"source": found.warnings}, title="What does not fit")
        shown = {"images": found.poses, "frame_rate": found.rate, "save_output": False}
        column.node("DreaMovingVideoCombine", shown, title="The poses, as the model gets them")


def conditions(
    column: Column, kit: Kit, wan: Wan, footage: Footage, found: Prepared, said: tuple[Output, Output], *, most: int
) -> dict[str, Output | int]:  # fmt: skip
    """What both nodes take: the picture, the poses, and 4 n + 1 frames, at most as many as the model was trained on."""
    counted = column.node("GetImageSize", {"image": found.poses}, title="Size and number of frames")
    most_of = {"expression": f"4 * ((min(a, {most}) - 1) // 4) + 1", "values.a": counted.out("batch_size")}
    length = column.node("ComfyMathExpression", most_of, title="Number of frames: 4 n + 1").out("INT")
    given: dict[str, Output | int] = {
        "positive": said[0],
        "negative": said[1],
        "vae": wan.vae,
        "length": length,
    }
    given |= {"width": kit.width, "height": kit.height, "pose_video": found.poses}
    assert footage.person is not None
    given["reference_image"] = footage.person
    if wan.eyes:
        seen = {"clip_vision": wan.eyes, "image": footage.person, "crop": "none"}
        given["clip_vision_output"] = column.node("CLIPVisionEncode", seen).out()
    return given


def sampled(column: Column, kit: Kit, wan: Wan, positive: Output, negative: Output, latent: Output) -> Output:
    """Latents by core's own sampler."""
    steps = TINY_STEPS if kit.tiny else STEPS
    given = {"model": wan.model, "positive": positive, "negative": negative, "latent_image": latent}
    given |= {"seed": 7, "steps": steps, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
    return column.node("KSampler", given).out()


PICTURE = (
    "* **Your picture of the person**: the one who shall dance, standing, all of the body in it. It is cut to the result's "
    "size first; for another shape change width and height there, in Draw Pose and in the Wan node alike.\n"
    "* **Does it fit?** shows the pose over your picture; red dots are joints that leave it.\n"
)
OF_CORE = "The model and its nodes are ComfyUI's own; the poses are this pack's: tracked, calmed and fitted to your picture"
WAN = (
    Story(
        name="Wan-Animate",
        words="fitted poses for WanAnimateToVideo",
        build=wan_animate,
        pictured="temp",
        about=f"{OF_CORE}, for which core has no node.\n\n{PICTURE}"
        "* **Frames**: all of the clip's, at its own rate, because the faces have to keep step with the poses; at most 77. For "
        "longer ones chain *WanAnimateToVideo* as ComfyUI's template *Wan2.2 Animate* does.\n"
        "* **Draw Pose**: body and hands. The face's expression comes from **Crop Face**, one square per frame; a turned head "
        "is cut where the nearest frame has its face.\n"
        "* **Another background or a replaced person** (`background_video`, `character_mask`): see ComfyUI's template; do not "
        "fit the poses then, for the person has to stay where the clip's was.\n"
        "* 14 billion parameters: people with 16 to 24 GB report that it runs out of memory. A smaller size, fewer frames and the "
        "fp8 file help. The negative prompt has no effect at cfg 1.",
        recipe="* 6 Euler steps (`simple`), cfg 1, shift 8, the LoRA for few steps at 1, at most 77 frames: ComfyUI's template "
        "[Wan2.2 Animate](https://docs.comfy.org/tutorials/video/wan/wan2-2-animate). Without the LoRA: 20 steps, cfg 1, shift 5, "
        "77 frames at 30 per second, the authors' own "
        "([Wan2.2](https://github.com/Wan-Video/Wan2.2), `wan/configs/wan_animate_14B.py`).\n"
        "* Poses as DWPose draws them, body and hands without the face: the same template. The authors advise to retarget poses "
        "to the picture when its proportions differ, and give a simple tool for it.\n"
        "* 480 x 832 is Wan's size for 480p, upright. Faces with a tenth of room around [ours].",
    ),
    Story(
        name="SCAIL",
        words="fitted poses for WanSCAILToVideo",
        build=scail,
        pictured="temp",
        about=f"{OF_CORE}.\n\n{PICTURE}"
        "* **What Draw Pose is and what it is not**: SCAIL was trained on poses drawn as cylinders in space "
        "([SCAIL-Pose](https://github.com/zai-org/SCAIL-Pose), by NLF), which show what is in front. Draw Pose draws flat lines as "
        "OpenPose does. The node takes both; with flat lines expect wrong limbs in turns and crossings. For the drawing that it "
        "was trained on use SCAIL-Pose, and this graph from `pose_video` on.\n"
        "* **SCAIL-2** in the same node takes the clip itself and coloured masks instead of poses: see ComfyUI's template "
        "*SCAIL-2 Character Replacement*.\n"
        "* **Prompt**: long and exact, what is seen and how it moves; the authors trained with such ones.\n"
        "* **Frames**: at most 81 at 16 per second, 4 n + 1 of them. 14 billion parameters, as Wan-Animate.",
        recipe="* 512 x 896, 16 frames per second, 81 frames: the authors' sampling settings of "
        "[SCAIL-Preview](https://github.com/zai-org/SCAIL) (`configs/sampling`, 512p for 5 seconds).\n"
        "* 6 Euler steps (`simple`), cfg 1, shift 5, the LoRA for few steps at 0.8: ComfyUI's template for "
        "[SCAIL-2](https://docs.comfy.org/tutorials/video/zai/scail2), which shares network and node; not tried by us at full size.",
    ),
)
