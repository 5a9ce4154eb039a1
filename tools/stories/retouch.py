"""Videos that are there already: another look, a better face."""

from ...dreamoving_core.catalogue.stories import STORIES
from ..graph import Output
from ..layout import Steps
from .chain import Control, Dance, condition, guide, prepare, sample, save
from .dances import ANIMATEDIFF, FACE_HINT, IP_ADAPTER
from .kit import Footage, Kit, Models
from .story import Story

LARGER = 1.5  # times, before the face is painted again


def video_to_video(g: Steps, kit: Kit) -> None:
    name = "Video to video"
    models = kit.models(g, STORIES[name])
    footage = kit.footage(g, "face")
    clip = prepare(g, kit, footage, images=True)
    controls = [Control(net=models.pose, pictures=clip.poses, name="poses")]
    said = condition(g, kit, models, footage, controls)
    model = guide(g, models, footage)
    with g.step("Start from the clip") as column:
        latents = column.node("VAEEncode", {"pixels": clip.images, "vae": models.vae}).out()
    changed = {"latent": latents, "context": True, "cfg": 7.5, "denoise": 0.5}
    frames = sample(g, kit, models, model, said, clip, **changed)
    save(g, name, frames, rate=clip.rate, audio=clip.audio)


def face_pass(g: Steps, kit: Kit) -> None:
    name = "Face pass"
    models = kit.models(g, STORIES[name])
    footage = kit.footage(g, "face", seconds=0.5 if kit.tiny else None)
    result, clip = paint_face(g, kit, models, footage)
    save(g, name, result, rate=clip.rate, audio=clip.audio)


def paint_face(g: Steps, kit: Kit, models: Models, footage: Footage) -> tuple[Output, Dance]:
    """Frames enlarged, a soft mask around the face from its own key points, and only that painted again."""
    with g.step("Frames and poses") as column:
        parts = column.node("GetVideoComponents", {"video": footage.video})
        larger = {"image": parts.out("images"), "upscale_method": "bicubic", "scale_by": LARGER}
        frames = column.node("ImageScaleBy", larger, title="Enlarge").out()
        size = column.node("GetImageSize", {"image": frames}, title="Size and number of frames")
        shape = {"width": size.out("width"), "height": size.out("height")}
        found = kit.poses(column, footage.video)
        cleaned = column.node("DreaMovingCleanPose", {"keypoints": found}).out()
        poses = column.node("DreaMovingDrawPose", {"keypoints": cleaned} | shape).out()
    with g.step("Where the face is") as column:
        alone = {"keypoints": cleaned, "body": False, "hands": False} | shape
        dots = column.node("DreaMovingDrawPose", alone, title="Draw Pose: the face alone").out()
        mask = column.node("ImageToMask", {"image": dots, "channel": "red"}).out()
        grown = {"mask": mask, "expand": 6 if kit.tiny else 20}
        mask = column.node("GrowMask", grown, title="Grow Mask: from dots to a face").out()
        white = column.node("MaskToImage", {"mask": mask}).out()
        blurred = {"image": white, "blur_radius": 3 if kit.tiny else 12, "sigma": 2.0 if kit.tiny else 6.0}
        soft = column.node("ImageBlur", blurred, title="Soft edge").out()
        edge = column.node("ImageToMask", {"image": soft, "channel": "red"}).out()
    clip = Dance(
        poses=poses, images=frames, audio=parts.out("audio"), rate=parts.out("fps"),
        width=size.out("width"), height=size.out("height"), frames=size.out("batch_size"),
    )  # fmt: skip
    controls = [Control(net=models.pose, pictures=poses, name="poses")]
    said = condition(g, kit, models, footage, controls, prompt="face of a woman, detailed skin, best quality")
    model = guide(g, models, footage, alpha_f=0.8)
    with g.step("Paint the face alone") as column:
        latents = column.node("VAEEncode", {"pixels": frames, "vae": models.vae}).out()
        masked = column.node("SetLatentNoiseMask", {"samples": latents, "mask": mask}).out()
    painted = sample(g, kit, models, model, said, clip, latent=masked, context=True, denoise=0.35)
    with g.step("Put it back") as column:
        both = {"destination": frames, "source": painted, "mask": edge}
        result = column.node("ImageCompositeMasked", both).out()
    return result, clip


RETOUCH = (
    Story(
        name="Video to video",
        words="another look for your clip",
        build=video_to_video,
        about=f"Your clip stays and is painted over: colours and composition from it, face and look from you.\n\n{FACE_HINT}\n"
        "* **Sample Video**, `denoise`: 0.3 retouches, 0.5 restyles, 0.7 keeps little but the poses.\n"
        "* Every frame of the clip is used, 16 at a time.",
        recipe="* 25 steps, cfg 7.5, denoise 0.5: diffusers' example of AnimateDiff's [video-to-video pipeline]"
        "(https://huggingface.co/docs/diffusers/api/pipelines/animatediff) (`strength` there).\n"
        f"* DDIM and 16 frames: {ANIMATEDIFF.split(': ', 1)[1]}\n{IP_ADAPTER}",
    ),
    Story(
        name="Face pass",
        words="small faces made whole",
        build=face_pass,
        about="For a finished video whose face is small and broken: frames are enlarged, the face is painted again with "
        f"your picture, the rest stays as it is.\n\n* **Your dance** is the finished video here.\n{FACE_HINT}\n"
        "* **Grow Mask**: until the white covers the face and a little hair. **denoise**: 0.25 mends, 0.5 exchanges.\n"
        "* Nothing happens in frames in which no face is found.",
        recipe="* denoise 0.35 and alpha_f 0.8 [ours]: little enough that the head stays where it is, and nothing but the face is "
        f"painted. No published recipe is behind these two.\n{ANIMATEDIFF}",
    ),
)
