"""00: two pictures and a driving clip become a dance, on the model that comes with the pack."""

from ..demo import DEMO_SEED
from ..graph import NEGATIVE, POSITIVE, Graph

NAME = "Tiny demo"  # in the catalogue's list of stories
DRAWN = "DreaMoving-Tiny (drawn dancers only)"  # detectors that come with the pack
FRAMES, SIZE = 32, 128  # what the tiny model was trained on
SMOOTHING = 7  # [ours] of 12 frames a second: 9 takes part of the dance with the trembling (docs/results.md)
# [ours] the best of those tried on held-out dances; without guidance, unseen light goes wrong more often (docs/results.md)
STEPS, CFG, CFG_END = 10, 1.5, 0.5

DEMO_NOTE = """## DreaMoving in one graph, no downloads

Press **Run**. A person from two pictures (face, clothes) dances as the driving clip does, in the scene of the prompt.

The model is **DreaMoving-Tiny**: it comes with the pack, was trained on drawn dancers, makes 128 x 128 pixels and runs on
any computer. It shows how the parts fit, not what full-size models look like.

* **Sample Clip**, `seed`: another person, other clothes, another scene and dance.
* **Pose Extract** reads the poses off the driving video with detectors that come with the pack; they know drawn dancers only.
* **Apply Content Guider**, `alpha_f` and `alpha_c`: how much the face and the clothes count; 0 leaves them to the prompt.
* **Apply ControlNet**, `strength`: how strictly the poses are followed.
* **Apply Motion**, `strength` 0: every frame on its own, and the picture boils.
* **Sample Video**, `cfg` 1.5 until `cfg_end_percent` 0.5: a little guidance while light and colours are decided, none after that, which saves a fifth of the time. At `cfg` 1 the negative prompt does nothing.
* **Sample Video**, `noise`: `shared` starts all frames from the same noise. That is calm too, but not what these motion blocks were trained for.
"""


def tiny_demo(g: Graph) -> None:
    """Two pictures and a driving clip become a dance: the whole chain on the model that comes with the pack."""
    g.note(DEMO_NOTE, pos=(-480, 40), size=(420, 400), title="Start here")

    tiny = g.node("DreaMovingLoadTiny", pos=(0, 80), width=320)
    clip = g.node(
        "DreaMovingSampleClip", {"seed": DEMO_SEED, "frames": FRAMES, "size": SIZE}, pos=(0, 400), width=320
    )
    g.group("Step 1 - Model and sample clip", tiny, clip)

    found = g.node(
        "DreaMovingPoseExtract",
        {"video": clip.out("video"), "detector": DRAWN, "pose_model": DRAWN, "people": 1, "detect_every": 1},
        pos=(400, 80),
        width=320,
    )
    clean = g.node(
        "DreaMovingCleanPose",
        {"keypoints": found.out("keypoints"), "smoothing": SMOOTHING},
        pos=(400, 440),
        width=320,
    )
    poses = g.node(
        "DreaMovingDrawPose",
        {"keypoints": clean.out("keypoints"), "width": SIZE, "height": SIZE},
        pos=(400, 740),
        width=320,
    )
    g.group("Step 2 - Poses off the video", found, clean, poses)

    said = {"clip": tiny.out("CLIP"), "text": clip.out("caption")}
    positive = g.node("CLIPTextEncode", said, pos=(780, 80), title="Prompt", colour=POSITIVE)
    unsaid = {"clip": tiny.out("CLIP"), "text": ""}
    negative = g.node("CLIPTextEncode", unsaid, pos=(780, 290), title="Negative prompt", colour=NEGATIVE)
    control = g.node(
        "ControlNetApplyAdvanced",
        {
            "positive": positive.out(),
            "negative": negative.out(),
            "control_net": tiny.out("control_pose"),
            "image": poses.out(),
        },
        pos=(780, 500),
        title="Apply ControlNet: poses",
    )
    g.group("Step 3 - Prompt and control", positive, negative, control)

    motion = g.node(
        "DreaMovingApplyMotion",
        {"model": tiny.out("MODEL"), "motion_model": tiny.out("motion_model")},
        pos=(1160, 80),
    )
    eyes = {"content_guider": tiny.out("content_guider"), "clip_vision": tiny.out("CLIP_VISION")}
    face = g.node("DreaMovingEncodeFace", {**eyes, "image": clip.out("face")}, pos=(1160, 380))
    cloth = g.node("DreaMovingEncodeCloth", {**eyes, "image": clip.out("cloth")}, pos=(1160, 590))
    guided = g.node(
        "DreaMovingApplyContentGuider",
        {
            "model": motion.out(),
            "content_guider": tiny.out("content_guider"),
            "face_tokens": face.out("tokens"),
            "cloth_tokens": cloth.out("tokens"),
        },
        pos=(1160, 800),
    )
    g.group("Step 4 - Motion, face and clothes", motion, face, cloth, guided)

    latents = g.node(
        "DreaMovingSampler",
        {
            "model": guided.out(),
            "positive": control.out("positive"),
            "negative": control.out("negative"),
            "frames": FRAMES,
            "width": SIZE,
            "height": SIZE,
            "seed": DEMO_SEED,
            "steps": STEPS,
            "cfg": CFG,
            "cfg_end_percent": CFG_END,
            "noise": "independent",
        },
        pos=(1540, 80),
        room=260,  # for the preview
    )
    frames = g.node("VAEDecode", {"samples": latents.out(), "vae": tiny.out("VAE")}, pos=(1540, 860))
    g.group("Step 5 - Sample", latents, frames)

    video = g.node(
        "DreaMovingVideoCombine",
        {"images": frames.out(), "side_by_side": poses.out(), "frame_rate": clip.out("frame_rate")},
        pos=(1920, 80),
        width=420,
        room=300,  # for the video
    )
    g.group("Step 6 - Watch", video)
