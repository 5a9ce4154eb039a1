"""The steps that most stories share: poses from the clip, prompts with their ControlNets, guidance, sampling, saving."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...dreamoving_core.catalogue.stories import STORIES
from ..graph import NEGATIVE, POSITIVE, Output
from ..layout import Steps
from .kit import Footage, Kit, Models

PROMPT = "a woman dancing on a beach at sunset, full body, best quality, highly detailed"
UNWANTED = "bad quality, worse quality, low resolution, deformed, extra limbs"  # after diffusers' AnimateDiff examples


@dataclass(frozen=True, kw_only=True)
class Dance:
    """The driving clip, prepared: pose pictures of the result's size, and what the result takes over from the clip."""

    poses: Output
    images: Output | None  # the clip itself, cut as the poses are
    audio: Output
    rate: Output
    width: Output
    height: Output
    frames: Output


@dataclass(frozen=True, kw_only=True)
class Control:
    net: Output | None
    pictures: Output
    name: str
    strength: float = 1.0
    end_percent: float = 1.0


def prepare(g: Steps, kit: Kit, footage: Footage, *, images: bool = False) -> Dance:
    """Poses found in the clip, cleaned, cut to the result's shape, brought to its frame rate, and drawn.

    With `images` the clip's own frames are cut along, and all of them stay: nothing else can thin them out.
    """
    with g.step("Poses of the dance") as column:
        found = kit.poses(column, footage.video)
        cleaned = column.node("DreaMovingCleanPose", {"keypoints": found})
        parts = column.node("GetVideoComponents", {"video": footage.video})
        both = {"keypoints": cleaned.out()} | ({"images": parts.out("images")} if images else {})
        cut = column.node("DreaMovingCropPose", both | kit.crop, title="Crop Pose: the result's shape")
        keypoints, rate = cut.out("keypoints"), parts.out("fps")
        if not images:
            slower = {"keypoints": keypoints, "frame_rate": rate, "new_rate": kit.rate}
            resampled = column.node("DreaMovingResamplePose", slower)
            keypoints, rate = resampled.out("keypoints"), resampled.out("frame_rate")
        size = {"width": kit.width, "height": kit.height}
        drawn = column.node("DreaMovingDrawPose", {"keypoints": keypoints} | size)
        counted = column.node("GetImageSize", {"image": drawn.out()}, title="Size and number of frames")
    return Dance(
        poses=drawn.out(), images=cut.out("images") if images else None, audio=parts.out("audio"), rate=rate,
        width=counted.out("width"), height=counted.out("height"), frames=counted.out("batch_size"),
    )  # fmt: skip


def condition(
    g: Steps, kit: Kit, models: Models, footage: Footage, controls: Sequence[Control], *,
    prompt: str = PROMPT, negative: str = UNWANTED,
) -> tuple[Output, Output]:  # fmt: skip
    """Positive and negative conditioning, with the ControlNets one after another."""
    said = prompt if isinstance(footage.prompt, str) or not prompt else footage.prompt
    with g.step("Prompt and control" if controls else "Prompt", width=380) as column:
        wanted = {"clip": models.clip, "text": said}
        positive = column.node("CLIPTextEncode", wanted, title="Prompt", colour=POSITIVE).out()
        unwanted = {"clip": models.clip, "text": "" if kit.tiny else negative}
        unsaid = column.node("CLIPTextEncode", unwanted, title="Negative prompt", colour=NEGATIVE).out()
        for control in controls:
            given = {
                "positive": positive,
                "negative": unsaid,
                "control_net": control.net,
                "image": control.pictures,
            }
            given |= {"strength": control.strength, "end_percent": control.end_percent}
            node = column.node("ControlNetApplyAdvanced", given, title=f"Apply ControlNet: {control.name}")
            positive, unsaid = node.out("positive"), node.out("negative")
    return positive, unsaid


def guide(
    g: Steps, models: Models, footage: Footage, *, alpha_f: float = 0.6, alpha_c: float = 0.6,
    motion: dict[str, Any] | None = None, windows: dict[str, Any] | None = None,
) -> Output:  # fmt: skip
    """The model with motion, and with the face and clothes that there are pictures of."""
    model = models.model
    names = [name for name in ("face", "clothes") if getattr(footage, {"clothes": "cloth"}.get(name, name))]
    with g.step(", ".join(["Motion", *names])) as column:
        moving = {"model": model, "motion_model": models.motion}
        model = column.node("DreaMovingApplyMotion", moving | (motion or {})).out()
        if footage.face:
            eyes = {"content_guider": models.face, "clip_vision": models.eyes, "image": footage.face}
            if models.recogniser:
                eyes["face_recogniser"] = models.recogniser
            tokens = column.node("DreaMovingEncodeFace", eyes).out("tokens")
            guided = {
                "model": model,
                "content_guider": models.face,
                "face_tokens": tokens,
                "alpha_f": alpha_f,
            }
            title = "Apply Content Guider: face"
            model = column.node("DreaMovingApplyContentGuider", guided, title=title).out()
        if picture := footage.cloth or footage.style:
            word = "clothes" if footage.cloth else "style"
            eyes = {"content_guider": models.cloth, "clip_vision": models.eyes, "image": picture}
            tokens = column.node("DreaMovingEncodeCloth", eyes, title=f"Encode Cloth: {word}").out("tokens")
            guided = {
                "model": model,
                "content_guider": models.cloth,
                "cloth_tokens": tokens,
                "alpha_c": alpha_c,
            }
            title = f"Apply Content Guider: {word}"
            model = column.node("DreaMovingApplyContentGuider", guided, title=title).out()
        if windows:
            model = column.node("DreaMovingContextWindows", {"model": model} | windows).out()
    return model


def sample(
    g: Steps, kit: Kit, models: Models, model: Output, said: tuple[Output, Output], dance: Dance,
    *, latent: Output | None = None, context: bool = False, **recipe: Any,
) -> Output:  # fmt: skip
    """The result's frames. With `context`, in windows: for clips of any length."""
    settings = {"seed": 7, "steps": 25, "cfg": 8.0, "sampler_name": "ddim", "scheduler": "ddim_uniform"}
    settings = kit.sampling(**{**settings, **recipe})
    if context:
        settings |= {"context_length": kit.window[0], "context_overlap": kit.window[1]}
    size = (
        {"latent": latent}
        if latent
        else {"frames": dance.frames, "width": dance.width, "height": dance.height}
    )
    with g.step("Sample") as column:
        given = {"model": model, "positive": said[0], "negative": said[1]} | size | settings
        latents = column.node("DreaMovingSampler", given)
        return column.node("VAEDecode", {"samples": latents.out(), "vae": models.vae}).out()


def save(g: Steps, story: str, frames: Output, *, rate: Output | float, **more: Any) -> None:
    """The file, with the driving clip's sound where there is any."""
    prefix = f"DreaMoving/{story.lower().replace(',', '').replace(' ', '_')}"
    told = rate if isinstance(rate, Output) else str(rate)
    with g.step("Watch", width=440) as column:
        column.node(
            "DreaMovingVideoCombine", {"images": frames, "frame_rate": told, "filename_prefix": prefix} | more
        )


def dance(
    g: Steps, kit: Kit, *, name: str, pictures: Sequence[str] = (), seconds: float | None = None, lora: float = 1.0,
    said: Mapping[str, Any] | None = None, guided: Mapping[str, Any] | None = None, recipe: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """The whole of a plain story: settings of `condition` in `said`, of `guide` in `guided`, of Sample Video in `recipe`."""
    models = kit.models(g, STORIES[name], lora=lora)
    footage = kit.footage(g, *pictures, seconds=seconds)
    clip = prepare(g, kit, footage)
    controls = [Control(net=models.pose, pictures=clip.poses, name="poses")]
    conditioning = condition(g, kit, models, footage, controls, **(said or {}))
    model = guide(g, models, footage, **(guided or {}))
    frames = sample(g, kit, models, model, conditioning, clip, **(recipe or {}))
    save(g, name, frames, rate=clip.rate, audio=clip.audio)
