"""The kit of `workflows/tiny/`: DreaMoving-Tiny and a drawn dance, small enough to run anywhere in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...dreamoving_core.catalogue.graphs import Asked
from ...dreamoving_core.catalogue.stories import SCAIL, STYLE_LORA, WAN_ANIMATE
from ..graph import Node, Output
from ..layout import Column, Steps
from .kit import Footage, Kit, Models
from .tiny_demo import CFG, CFG_END, DRAWN, SIZE

CLIP_RATE = 12  # of Sample Clip
SEED = 7
FEW = 4  # steps: enough to see that a graph works
STAND_INS = {  # small random weights in core's formats, for what Tiny has none of: by loader, or by the file they stand for
    "LoraLoader": "tiny_random_lora.safetensors",
    "FrameInterpolationModelLoader": "tiny_random_rife.safetensors",
    "UpscaleModelLoader": "tiny_random_upscaler.safetensors",
    "VAELoader": "tiny_random_wan_vae.safetensors",
    "LoraLoaderModelOnly": "tiny_random_wan_lora.safetensors",
    WAN_ANIMATE.name: "tiny_random_wan_animate.safetensors",
    SCAIL.name: "tiny_random_scail.safetensors",
}


@dataclass(frozen=True, kw_only=True)
class TinyKit(Kit):
    tiny: bool = True
    width: int = SIZE
    height: int = SIZE
    seconds: float = 1.0
    rate: float = 8.0
    style: str = "soft"  # of Tiny and of the clip that it is shown
    window: tuple[int, int] = (8, 2)
    crop: dict[str, Any] = field(  # the whole canvas: Tiny knows its dancers at this distance
        default_factory=lambda: {"width": SIZE, "height": SIZE, "box_width": SIZE, "box_height": SIZE}
    )

    def models(self, steps: Steps, wanted: Sequence[Asked], *, lora: float = 1.0) -> Models:
        with steps.step("Models", width=380) as column:
            tiny = column.node("DreaMovingLoadTiny", {"style": self.style})
            model, clip = tiny.out("MODEL"), tiny.out("CLIP")
            for asked in wanted:
                if asked.folders[0] == "loras" and asked != STYLE_LORA:  # a style of its own comes with Tiny
                    both = {"model": model, "clip": clip, "strength_model": lora, "strength_clip": lora}
                    node = self.loader(column, "LoraLoader", "lora_name", asked, **both)
                    model, clip = node.out("MODEL"), node.out("CLIP")
        folders = {asked.folders[0] for asked in wanted}
        motion = tiny.out("motion_model") if "animatediff_models" in folders else None
        guider = tiny.out("content_guider")
        return Models(
            model=model, clip=clip, vae=tiny.out("VAE"), motion=motion, eyes=tiny.out("CLIP_VISION"),
            pose=tiny.out("control_pose"), depth=tiny.out("control_depth"), face=guider, cloth=guider,
        )  # fmt: skip

    def loader(
        self,
        column: Column,
        type_: str,
        widget: str,
        asked: Asked,
        *,
        title: str | None = None,
        **inputs: Any,
    ) -> Node:
        name = STAND_INS.get(asked.name) or STAND_INS[type_]
        known = ({"name": name, "url": "", "directory": asked.folders[0]},)
        return column.node(type_, {**inputs, widget: name}, title=title, models=known)

    def footage(self, steps: Steps, *pictures: str, seconds: float | None = None) -> Footage:
        length = min(seconds or self.seconds, 3.0)
        frames = round(length * CLIP_RATE)
        dancer = {"seed": SEED, "size": SIZE}
        with steps.step("Sample clip") as column:
            clip = column.node("DreaMovingSampleClip", {**dancer, "frames": frames, "style": self.style})
            silence = column.node("EmptyAudio", {"duration": frames / CLIP_RATE})
            parts = {"images": clip.out("driving"), "fps": clip.out("frame_rate"), "audio": silence.out()}
            video = column.node("CreateVideo", parts)
            trimmed = {"video": video.out(), "duration": length}
            video = column.node("Video Slice", trimmed, title="How much of it").out()
            found = {name: clip.out(name) for name in pictures if name in ("face", "cloth")}
            if "result" in pictures:  # what a perfect model would have made
                made = parts | {"images": clip.out("truth")}
                found["result"] = column.node("CreateVideo", made, title="A finished video").out()
            if "style" in pictures:
                styled = {**dancer, "frames": 1, "style": "outlined"}
                found["style"] = column.node("DreaMovingSampleClip", styled, title="A drawing").out("cloth")
            if "person" in pictures:
                person = column.node("DreaMovingSampleClip", {**dancer, "frames": 1}, title="Somebody else")
                found["person"] = person.out("truth")
        return Footage(video=video, prompt=clip.out("caption"), **found)

    def poses(self, column: Column, source: Output | None, *, title: str | None = None) -> Output:
        files = {"detector": DRAWN, "pose_model": DRAWN}
        return column.node("DreaMovingPoseExtract", {"video": source} | files, title=title).out()

    def depth(self, column: Column, source: Output | None) -> Output:
        return column.node("DreaMovingDepthExtract", {"frames": source, "model": DRAWN}).out()

    def sampling(self, **recipe: Any) -> dict[str, Any]:
        return recipe | {
            "steps": min(recipe["steps"], FEW), "cfg": min(recipe["cfg"], CFG), "cfg_end_percent": CFG_END,
            "noise": "independent", "seed": SEED,
        }  # fmt: skip
