"""Driving clips and pose maps."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.output import temporary_video
from ..dreamoving_core.preprocess.draw_pose import draw_pose
from ..dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from ..dreamoving_core.procdance.clip import ClipSpec
from ..dreamoving_core.procdance.palette import STYLES
from ..dreamoving_core.procdance.sample import driven_clip

PoseKeypoint = io.Custom("POSE_KEYPOINT")
STICKS = {"as trained": "auto", "grow with the picture": "grow", "xinsir (SDXL)": "xinsir"}


class DreaMovingSampleClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingSampleClip",
            display_name="Sample Clip",
            category="DreaMoving/preprocess",
            description="Draws a dance, so that a graph can be tried without any file: a driving clip with poses and depth, "
            "pictures of the face and the clothes of somebody else, a prompt, and what should come out.",
            search_aliases=["example video", "test clip", "procedural dance"],
            inputs=[
                io.Int.Input(
                    "seed",
                    default=7,
                    min=0,
                    max=0xFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Who dances, in which clothes, where, and which dance.",
                ),
                io.Int.Input("frames", default=32, min=1, max=1024, tooltip="How many frames."),
                io.Int.Input(
                    "size",
                    default=128,
                    min=64,
                    max=1024,
                    step=8,
                    tooltip="Width and height in pixels. DreaMoving-Tiny was trained on 128.",
                ),
                io.Combo.Input(
                    "shot",
                    options=["whole", "half", "face"],
                    default="whole",
                    tooltip="The whole body, from the waist up, or a close-up of the face.",
                ),
                io.Combo.Input(
                    "style",
                    options=list(STYLES),
                    default=STYLES[0],
                    tooltip="How it is drawn: soft, without outlines, or outlined, pastel with dark lines. "
                    "DreaMoving-Tiny draws both: give Load DreaMoving-Tiny the same style.",
                ),
                io.Combo.Input(
                    "split",
                    options=["held_out", "train"],
                    default="held_out",
                    advanced=True,
                    tooltip="held_out: people, clothes, scenes and dances that DreaMoving-Tiny has never seen. "
                    "train: like those it was trained on.",
                ),
                io.Int.Input(
                    "dance_seed",
                    default=-1,
                    min=-1,
                    max=0xFFFFFFFF,
                    advanced=True,
                    tooltip="Another dance for the same person. -1: the dance of the seed.",
                ),
            ],
            outputs=[
                io.Image.Output("driving", tooltip="The driving clip: somebody else dances."),
                PoseKeypoint.Output("keypoints", tooltip="The poses of the driving clip, for Draw Pose."),
                io.Image.Output("depth", tooltip="Its depth, near is bright, for a depth ControlNet."),
                io.Image.Output("face", tooltip="The face of the person who shall dance."),
                io.Image.Output("cloth", tooltip="The clothes that the person shall wear."),
                io.String.Output("caption", tooltip="A prompt for the scene."),
                io.Float.Output("frame_rate", tooltip="Frames per second."),
                io.Image.Output("truth", tooltip="What a perfect model would make of all this."),
                io.Video.Output(
                    "video",
                    tooltip="The driving clip as an mp4 file, as a camera would give it, for Pose Extract.",
                ),
            ],
        )

    @classmethod
    def execute(cls, seed, frames, size, shot, style, split="held_out", dance_seed=-1) -> io.NodeOutput:
        spec = ClipSpec(
            seed=seed,
            split=split,
            num_frames=frames,
            size=size,
            shot=shot,
            style=STYLES.index(style),
            dance_seed=None if dance_seed < 0 else dance_seed,
        )
        clip = driven_clip(spec)
        truth = clip.truth
        keypoints = encode_pose_keypoint(truth.keypoints, width=size, height=size)
        depth = truth.depth[..., None].repeat(1, 1, 1, 3)
        references = truth.face_reference[None], truth.cloth_reference[None]
        video = temporary_video(clip.driving, frame_rate=spec.fps, prefix="dreamoving_driving")
        return io.NodeOutput(
            clip.driving, keypoints, depth, *references, truth.caption, spec.fps, truth.images, video
        )


class DreaMovingDrawPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingDrawPose",
            display_name="Draw Pose",
            category="DreaMoving/preprocess",
            description="Draws poses as OpenPose ControlNets were trained on, at the size that will be sampled.",
            search_aliases=["openpose", "dwpose", "render pose", "pose map"],
            inputs=[
                PoseKeypoint.Input("keypoints", tooltip="Poses from Sample Clip, SDPose or a DWPose node."),
                io.Int.Input("width", default=512, min=16, max=16384, step=8, tooltip="In pixels: as wide as the video."),
                io.Int.Input("height", default=512, min=16, max=16384, step=8, tooltip="In pixels: as high as the video."),
                io.Boolean.Input("body", default=True, tooltip="Draw the body."),
                io.Boolean.Input("hands", default=True, tooltip="Draw the hands."),
                io.Boolean.Input("face", default=True, tooltip="Draw the face."),
                io.Float.Input(
                    "stick_width",
                    default=0.0,
                    min=0.0,
                    max=64.0,
                    step=0.5,
                    advanced=True,
                    tooltip="Half the width of a limb in pixels. 0: as the ControlNets know it, thinner below 512 pixels.",
                ),
                io.Boolean.Input(
                    "swap_hands",
                    default=False,
                    advanced=True,
                    tooltip="Exchange left and right hand: ComfyUI's SDPose names them the other way round.",
                ),
                io.Boolean.Input(
                    "feet",
                    default=False,
                    optional=True,  # as is all that came later: graphs in API format lack it
                    tooltip="Draw toes and heels as dots, as ComfyUI's SDPose does. SD1.5's ControlNet has not seen any.",
                ),
                io.Combo.Input(
                    "sticks",
                    options=list(STICKS),
                    default="as trained",
                    optional=True,
                    advanced=True,
                    tooltip="For large pictures, while stick_width is 0. as trained: 4 pixels from 512 on. grow with the picture: "
                    "in proportion. xinsir (SDXL): that ControlNet's broad limbs.",
                ),
            ],
            outputs=[io.Image.Output("poses", tooltip="Pose maps for Apply ControlNet, one per frame.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, keypoints, width, height, body=True, hands=True, face=True, stick_width=0.0, swap_hands=False,
        feet=False, sticks="as trained",
    ) -> io.NodeOutput:  # fmt: skip
        poses = draw_pose(
            keypoints,
            width=width,
            height=height,
            body=body,
            hands=hands,
            face=face,
            feet=feet,
            stick_width=stick_width or STICKS[sticks],
            swap_hands=swap_hands,
        )
        return io.NodeOutput(poses)


NODES = [DreaMovingSampleClip, DreaMovingDrawPose]
