"""The kit of `workflows/`: public models at full size, and the artist's own video and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...dreamoving_core.catalogue.graphs import Asked
from ...dreamoving_core.catalogue.stories import ARCFACE, CLOTH, DEPTH, PEOPLE, POINTS, POSE, ZOE
from ..graph import Node, Output
from ..layout import Column, Steps
from .kit import Footage, Kit, Models, known_file

YOURS = ("#432", "#653")  # core's brown: what an artist must choose
PICTURES = {"face": "face.png", "cloth": "clothes.png", "style": "style.png", "person": "person.png"}
TITLES = {
    "face": "Your picture of the face",
    "cloth": "Your picture of the clothes",
    "style": "Your picture of the style",
    "person": "Your picture of the person",
}


@dataclass(frozen=True, kw_only=True)
class FullKit(Kit):
    tiny: bool = False
    width: int = 512
    height: int = 768
    seconds: float = 2.0
    rate: float = 8.0  # [AD] 16 frames at 8 frames per second
    window: tuple[int, int] = (16, 4)

    def __post_init__(self) -> None:
        self.crop.update(width=self.width, height=self.height)

    def models(self, steps: Steps, wanted: Sequence[Asked], *, lora: float = 1.0) -> Models:
        found: dict[str, Output] = {}
        with steps.step("Models", width=380) as column:
            for asked in wanted:
                found |= self._load(column, asked, found, lora=lora)
        return Models(**found)

    def _load(
        self, column: Column, asked: Asked, found: dict[str, Output], *, lora: float
    ) -> dict[str, Output]:
        """What the loader of one file gives; a LoRA takes the place of the model and the CLIP that it changes."""
        folder = asked.folders[0]
        if folder == "checkpoints":
            node = self.loader(column, "CheckpointLoaderSimple", "ckpt_name", asked)
            return {"model": node.out("MODEL"), "clip": node.out("CLIP"), "vae": node.out("VAE")}
        if folder == "loras":
            both = {"model": found["model"], "clip": found["clip"]}
            strength = {"strength_model": lora, "strength_clip": lora}
            node = self.loader(column, "LoraLoader", "lora_name", asked, **both, **strength)
            return {"model": node.out("MODEL"), "clip": node.out("CLIP")}
        if folder == "animatediff_models":
            return {"motion": self.loader(column, "DreaMovingLoadMotionModel", "motion_model", asked).out()}
        if folder == "controlnet":
            role = {POSE.name: "pose", DEPTH.name: "depth"}[asked.name]
            title = f"Load Video ControlNet: {role}"
            node = self.loader(column, "DreaMovingLoadVideoControlNet", "control_net", asked, title=title)
            return {role: node.out()}
        if folder == "clip_vision":
            return {"eyes": self.loader(column, "CLIPVisionLoader", "clip_name", asked).out()}
        if folder == "ipadapter":
            role = "cloth" if asked.name == CLOTH.name else "face"
            node = self.loader(
                column, "DreaMovingLoadContentGuider", "content_guider", asked, ip_adapter_as=role,
                title=f"Load Content Guider: {role}",
            )  # fmt: skip
            return {role: node.out()}
        if folder in ("dwpose", "zoedepth"):
            return {}  # chosen where they are used
        if asked is ARCFACE:  # a folder is chosen, not a file
            return {"recogniser": column.node("DreaMovingLoadFaceRecogniser", {"pack": "buffalo_l"}).out()}
        raise ValueError(f"no loader for {asked.name} in {folder}")

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
        return column.node(type_, {**inputs, widget: asked.name}, title=title, models=(known_file(asked),))

    def footage(self, steps: Steps, *pictures: str, seconds: float | None = None) -> Footage:
        with steps.step("Your files") as column:
            dance = column.node("LoadVideo", {"file": "dance.mp4"}, title="Your dance", colour=YOURS)
            trimmed = {"video": dance.out(), "duration": seconds or self.seconds}
            video = column.node("Video Slice", trimmed, title="How much of it").out()
            found: dict[str, Any] = {
                name: column.node("LoadImage", {"image": PICTURES[name]}, title=TITLES[name], colour=YOURS).out("IMAGE")
                for name in pictures if name != "result"
            }  # fmt: skip
            if "result" in pictures:
                finished = {"file": "finished.mp4"}
                found["result"] = column.node(
                    "LoadVideo", finished, title="Your finished video", colour=YOURS
                ).out()
        return Footage(video=video, **found)

    def poses(self, column: Column, source: Output | None, *, title: str | None = None) -> Output:
        files = {"detector": PEOPLE.name, "pose_model": POINTS.name}
        known = (known_file(PEOPLE), known_file(POINTS))
        return column.node(
            "DreaMovingPoseExtract", {"video": source} | files, title=title, models=known
        ).out()

    def depth(self, column: Column, source: Output | None) -> Output:
        return self.loader(column, "DreaMovingDepthExtract", "model", ZOE, frames=source).out()

    def sampling(self, **recipe: Any) -> dict[str, Any]:
        return recipe
