"""Poses, found, tracked, cleaned and fitted to somebody else's body: for this pack's chain and for others'."""

from dataclasses import dataclass
from typing import Any

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
    images: Output  # the clip's own frames
    dance: Output  # its poses, before they were fitted


def pose_preparation(g: Steps, kit: Kit) -> None:
    found = prepare_poses(g, kit, kit.footage(g, "person"))
    with g.step("Watch", width=440) as column:
        column.node("PreviewImage", {"images": found.overlay}, title="Does it fit?")
        column.node("PreviewAny", {"source": found.warnings}, title="What does not fit")
        given = {"images": found.poses, "frame_rate": found.rate, "audio": found.audio}
        column.node("DreaMovingVideoCombine", given | {"filename_prefix": "DreaMoving/poses", "quality": 95})


def prepare_poses(g: Steps, kit: Kit, footage: Footage, *, resample: bool = True, **drawing: Any) -> Prepared:
    """The clip's dance on the body of the person in the picture.

    Without `resample` there is one pose per frame of the clip. `drawing` are settings of Draw Pose.
    """
    with g.step("Find the poses") as column:
        dance = kit.poses(column, footage.video, title="Pose Extract: the dance")
        person = kit.poses(column, footage.person, title="Pose Extract: your picture")
        parts = column.node("GetVideoComponents", {"video": footage.video})
    with g.step("One person, calm") as column:
        tracked = column.node("DreaMovingTrackPerson", {"keypoints": dance}).out("keypoints")
        cleaned = column.node("DreaMovingCleanPose", {"keypoints": tracked}).out()
    with g.step("Fit to your picture") as column:
        both = {"keypoints": cleaned, "reference": person, "image": footage.person}
        fitted = column.node("DreaMovingFitPose", both)
    with g.step("Draw") as column:
        keypoints, rate = fitted.out("keypoints"), parts.out("fps")
        if resample:
            slower = {"keypoints": keypoints, "frame_rate": rate, "new_rate": kit.rate}
            resampled = column.node("DreaMovingResamplePose", slower)
            keypoints, rate = resampled.out("keypoints"), resampled.out("frame_rate")
        size = {"width": kit.width, "height": kit.height}
        drawn = column.node("DreaMovingDrawPose", {"keypoints": keypoints} | size | drawing)
    return Prepared(
        poses=drawn.out(), keypoints=keypoints, rate=rate, audio=parts.out("audio"), overlay=fitted.out("overlay"),
        warnings=fitted.out("warnings"), images=parts.out("images"), dance=cleaned,
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
    "*WanSCAILToVideo*, or load the saved video there, as the graphs *17 Wan-Animate* and *18 SCAIL* do. `new_rate` is then "
    "the frame rate of their result: 30 in Wan-Animate's own tools, 16 in SCAIL's.",
    recipe="* 8 frames per second: [AnimateDiff](https://github.com/guoyww/AnimateDiff). Smoothing over 9 frames and gaps up to 8 "
    "are the nodes' own defaults.",
)
