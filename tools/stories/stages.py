"""The blueprints of `subgraphs/`: whole stages as one node, made of the same steps as the stories."""

from collections.abc import Callable
from dataclasses import dataclass

from ...dreamoving_core.catalogue.stories import STORIES
from ..blueprint import Blueprint
from ..graph import Node
from .chain import PROMPT, Control, condition, guide, prepare, sample
from .finish import enlarge_and_smooth
from .kit import Footage, Kit
from .preparation import prepare_poses
from .retouch import paint_face

CATEGORY = "DreaMoving"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One blueprint: its name is the file's."""

    name: str
    about: str
    aliases: tuple[str, ...]
    build: Callable[[Blueprint, Kit], None]


def dance_from_reference(b: Blueprint, kit: Kit) -> None:
    footage = Footage(
        video=b.port("video", "VIDEO"),
        face=b.port("face", "IMAGE"),
        cloth=b.port("clothes", "IMAGE"),
    )
    models = kit.models(b.steps, STORIES["Face and clothes"])
    clip = prepare(b.steps, kit, footage)
    controls = [Control(net=models.pose, pictures=clip.poses, name="poses")]
    said = condition(b.steps, kit, models, footage, controls, prompt=PROMPT)
    model = guide(b.steps, models, footage)
    frames = sample(b.steps, kit, models, model, said, clip, context=True)
    b.expose(titled(b, "Prompt"), "text", "prompt")
    b.expose(titled(b, "Negative prompt"), "text", "negative prompt")
    b.expose(titled(b, "Apply Content Guider: face"), "alpha_f", "alpha_f")
    b.expose(titled(b, "Apply Content Guider: clothes"), "alpha_c", "alpha_c")
    for widget in ("seed", "steps", "cfg"):
        b.expose(typed(b, "DreaMovingSampler"), widget, widget)
    b.give("frames", frames)
    b.give("frame_rate", clip.rate)
    b.give("audio", clip.audio)
    b.give("poses", clip.poses)


def pose_preparation(b: Blueprint, kit: Kit) -> None:
    footage = Footage(
        video=b.port("video", "VIDEO"),
        person=b.port("picture", "IMAGE"),
    )
    found = prepare_poses(b.steps, kit, footage)
    b.expose(typed(b, "DreaMovingTrackPerson"), "who", "who")
    b.expose(typed(b, "DreaMovingCleanPose"), "smoothing", "smoothing")
    b.expose(typed(b, "DreaMovingFitPose"), "mode", "fit")
    b.expose(typed(b, "DreaMovingResamplePose"), "new_rate", "new_rate")
    for widget in ("width", "height"):
        b.expose(typed(b, "DreaMovingDrawPose"), widget, widget)
    b.give("poses", found.poses)
    b.give("keypoints", found.keypoints)
    b.give("frame_rate", found.rate)
    b.give("audio", found.audio)
    b.give("overlay", found.overlay)
    b.give("warnings", found.warnings)


def face_pass(b: Blueprint, kit: Kit) -> None:
    footage = Footage(video=b.port("video", "VIDEO"), face=b.port("face", "IMAGE"))
    models = kit.models(b.steps, STORIES["Face pass"])
    result, clip = paint_face(b.steps, kit, models, footage)
    b.expose(titled(b, "Prompt"), "text", "prompt")
    b.expose(titled(b, "Apply Content Guider: face"), "alpha_f", "alpha_f")
    b.expose(titled(b, "Enlarge"), "scale_by", "enlarge")
    for widget in ("denoise", "seed"):
        b.expose(typed(b, "DreaMovingSampler"), widget, widget)
    b.give("frames", result)
    b.give("frame_rate", clip.rate)
    b.give("audio", clip.audio)


def finish(b: Blueprint, kit: Kit) -> None:
    frames, rate, audio = enlarge_and_smooth(b.steps, kit, b.port("video", "VIDEO"))
    b.expose(typed(b, "PrimitiveInt"), "value", "times the frames")
    b.expose(typed(b, "UpscaleModelLoader"), "model_name", "upscaler")
    b.give("frames", frames)
    b.give("frame_rate", rate)
    b.give("audio", audio)


def titled(b: Blueprint, title: str) -> Node:
    (node,) = (node for node in b.graph.nodes if node.title == title)
    return node


def typed(b: Blueprint, type_: str) -> Node:
    return next(node for node in b.graph.nodes if node.type == type_)


STAGES = (
    Stage(
        name="Dance from a Reference (DreaMoving)",
        about="A video of somebody dancing, a face and an outfit become a new dance video. Loaders included.",
        aliases=("dance", "pose to video", "animate anyone", "animatediff", "character animation"),
        build=dance_from_reference,
    ),
    Stage(
        name="Pose Preparation (DreaMoving)",
        about="Finds the poses of a video, keeps one person, calms them and fits them to the body in a picture.",
        aliases=("openpose", "dwpose", "retarget", "wan animate pose", "scail pose"),
        build=pose_preparation,
    ),
    Stage(
        name="Face Pass (DreaMoving)",
        about="Enlarges a finished video and paints its face again, after your picture of the face.",
        aliases=("face detailer", "face fix", "face restore", "adetailer video"),
        build=face_pass,
    ),
    Stage(
        name="Finish (DreaMoving)",
        about="Makes a finished video larger and smoother, and keeps its sound.",
        aliases=("upscale video", "frame interpolation", "rife", "film", "smooth video"),
        build=finish,
    ),
)
