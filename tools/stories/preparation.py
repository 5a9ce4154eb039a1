"""Poses, found, tracked, cleaned and fitted to somebody else's body: for this pack's chain and for others'."""

from dataclasses import dataclass

from ..graph import Output
from ..layout import Steps
from .kit import Footage, Kit
from .story import Story

NAME = "Pose preparation"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    poses: Output
    keypoints: Output
    rate: Output
    audio: Output
    overlay: Output
    warnings: Output


def pose_preparation(g: Steps, kit: Kit) -> None:
    found = prepare_poses(g, kit, kit.footage(g, "person"))
    with g.step("Watch", width=440) as column:
        column.node("PreviewImage", {"images": found.overlay}, title="Does it fit?")
        column.node("PreviewAny", {"source": found.warnings}, title="What does not fit")
        given = {"images": found.poses, "frame_rate": found.rate, "audio": found.audio}
        column.node("DreaMovingVideoCombine", given | {"filename_prefix": "DreaMoving/poses", "quality": 95})


def prepare_poses(g: Steps, kit: Kit, footage: Footage) -> Prepared:
    """The clip's dance on the body of the person in the picture."""
    with g.step("Find the poses") as column:
        told = footage.told
        dance = kit.poses(column, footage.video, told.get("keypoints"), title="Pose Extract: the dance")
        person = kit.poses(column, footage.person, told.get("person"), title="Pose Extract: your picture")
        parts = column.node("GetVideoComponents", {"video": footage.video})
    with g.step("One person, calm") as column:
        tracked = column.node("DreaMovingTrackPerson", {"keypoints": dance}).out("keypoints")
        cleaned = column.node("DreaMovingCleanPose", {"keypoints": tracked}).out()
    with g.step("Fit to your picture") as column:
        both = {"keypoints": cleaned, "reference": person, "image": footage.person}
        fitted = column.node("DreaMovingFitPose", both)
    with g.step("Draw") as column:
        slower = {"keypoints": fitted.out("keypoints"), "frame_rate": parts.out("fps"), "new_rate": kit.rate}
        resampled = column.node("DreaMovingResamplePose", slower)
        size = {"width": kit.width, "height": kit.height}
        drawn = column.node("DreaMovingDrawPose", {"keypoints": resampled.out("keypoints")} | size)
    return Prepared(
        poses=drawn.out(), keypoints=resampled.out("keypoints"), rate=resampled.out("frame_rate"),
        audio=parts.out("audio"), overlay=fitted.out("overlay"), warnings=fitted.out("warnings"),
    )  # fmt: skip


PREPARATION = Story(
    name=NAME,
    words="fit to your picture, also for Wan-Animate",
    build=pose_preparation,
    about="The dance of a clip on the body of your picture, as a video of poses.\n\n"
    "* **Your picture of the person**: the one who shall dance, standing.\n"
    "* **Fit to Reference** shows the pose over your picture; red dots are joints that leave it.\n"
    "* **Width and height** of Draw Pose: in the proportions of your picture.\n"
    "* **In this pack**: connect Draw Pose to Apply ControlNet, as in the other graphs.\n"
    "* **In ComfyUI's Wan-Animate and SCAIL graphs**: connect Draw Pose to `pose_video` of *WanAnimateToVideo* or "
    "*WanSCAILToVideo*, or load the saved video there. Set `new_rate` to 16, their frame rate, and a number of frames of "
    "4 n + 1 by the length of the clip.",
    recipe="* 8 frames per second: [AnimateDiff](https://github.com/guoyww/AnimateDiff). Smoothing over 9 frames and gaps up to 8 "
    "are the nodes' own defaults.",
)
