"""Longer and faster: depth beside the poses, context windows, few steps."""

from functools import partial

from ...dreamoving_core.catalogue.stories import STORIES
from ..layout import Steps
from .chain import Control, condition, dance, guide, prepare, sample, save
from .dances import ANIMATEDIFF, CLOTH_HINT, FACE_HINT, IP_ADAPTER
from .kit import Kit
from .story import Story

PICTURES = f"{FACE_HINT}\n{CLOTH_HINT}"


def long_video(g: Steps, kit: Kit) -> None:
    length, overlap = kit.window if kit.tiny else (32, 8)
    windows = {"context_length": length, "context_overlap": overlap, "schedule": "standard_uniform"}
    guided = {"motion": {"scale": 1.28}, "windows": windows}
    dance(
        g,
        kit,
        name="Long video",
        pictures=("face", "cloth"),
        seconds=2.0 if kit.tiny else 10.0,
        guided=guided,
    )


def pose_and_depth(g: Steps, kit: Kit) -> None:
    name = "Pose and depth"
    models = kit.models(g, STORIES[name])
    footage = kit.footage(g, "face", "cloth")
    clip = prepare(g, kit, footage, images=True)
    with g.step("Depth of the dance") as column:
        depth = kit.depth(column, clip.images)
        column.node("PreviewImage", {"images": depth}, title="Depth: near is bright")
    controls = [
        Control(net=models.pose, pictures=clip.poses, name="poses"),
        Control(net=models.depth, pictures=depth, name="depth", strength=0.5, end_percent=0.7),
    ]
    said = condition(g, kit, models, footage, controls)
    model = guide(g, models, footage)
    frames = sample(g, kit, models, model, said, clip, context=True)
    save(g, name, frames, rate=clip.rate, audio=clip.audio)


SPEEDS = (
    Story(
        name="Pose and depth",
        words="two ControlNets",
        build=pose_and_depth,
        about=f"Depth beside the poses: limbs in front of the body stay in front, and the room keeps its shape.\n\n{PICTURES}\n"
        "* **Apply ControlNet: depth**: lower `strength` when the clothes or the body of your clip show through.\n"
        "* Every frame of the clip is used, 16 at a time: depth cannot be thinned out as poses can.",
        recipe=f"{ANIMATEDIFF}\n{IP_ADAPTER}\n* Depth at 0.5 for the first 70 % of the steps [ours]: it also knows the other "
        "dancer's outline, which the last steps should not see. Windows of 16 with 4 shared: the defaults of "
        "[AnimateDiff-Evolved](https://github.com/Kosinkadink/ComfyUI-AnimateDiff-Evolved)'s context options.",
    ),
    Story(
        name="Long video",
        words="context windows, 80 frames and more",
        build=long_video,
        about=f"Ten seconds, denoised 32 frames at a time in windows that overlap.\n\n{PICTURES}\n"
        "* **How much of it**, `duration`: as long as you like; memory grows by the finished frames alone.\n"
        "* **Set Context Windows**: more `context_overlap` hides seams and takes longer; `freenoise` steadies the look.",
        recipe="* Motion scale 1.28: [LongAnimateDiff](https://huggingface.co/Lightricks/LongAnimateDiff)'s advice for its "
        "64-frame file, which was trained on 16 to 64 frames; windows of 32 lie within that and halve the memory [ours].\n"
        f"{ANIMATEDIFF}\n{IP_ADAPTER}",
    ),
    Story(
        name="Few steps",
        words="LCM, 6 steps",
        build=partial(
            dance, name="Few steps", pictures=("face", "cloth"), lora=0.8,
            recipe={"steps": 6, "cfg": 2.0, "sampler_name": "lcm", "scheduler": "sgm_uniform"},
        ),
        about=f"Six steps instead of twenty-five.\n\n{PICTURES}\n* cfg 1 is twice as fast again and ignores the negative prompt.",
        recipe="* 6 LCM steps, cfg 2, its LoRA at 0.8, linear noise schedule: the authors' own example "
        "([AnimateLCM](https://github.com/G-U-N/AnimateLCM)); Apply Motion sets the schedule by itself. 4 to 8 steps and cfg 1 to "
        "2 work as well.\n"
        "* `sgm_uniform` [ours]: of core's schedulers the one nearest to LCM's own steps (999, 833, 666, 500, 333, 167 instead of "
        f"999, 839, 679, 499, 339, 179).\n{IP_ADAPTER}",
    ),
    Story(
        name="Few steps, Lightning",
        words="4 steps",
        build=partial(
            dance, name="Few steps, Lightning", pictures=("face", "cloth"), lora=1.0,
            recipe={"steps": 4, "cfg": 1.0, "sampler_name": "euler", "scheduler": "sgm_uniform"},
        ),
        about=f"Four steps. The negative prompt has no effect at cfg 1.\n\n{PICTURES}",
        recipe="* 4 Euler steps, `sgm_uniform`, cfg 1: the authors' own workflow for ComfyUI "
        "([AnimateDiff-Lightning](https://huggingface.co/ByteDance/AnimateDiff-Lightning), "
        "`comfyui/animatediff_lightning_workflow.json`). The file for 4 steps wants 4, and they advise stylised base models.\n"
        f"{IP_ADAPTER}",
    ),
)  # fmt: skip
