"""How good a finished video is: five numbers, a plot, the worst frames."""

from ...dreamoving_core.catalogue.stories import STORIES
from ..layout import Steps
from .kit import Kit
from .story import Story

NAME = "Evaluation"


def evaluation(g: Steps, kit: Kit) -> None:
    models = kit.models(g, STORIES[NAME])
    footage = kit.footage(g, "result", "face")
    with g.step("Your video") as column:
        parts = column.node("GetVideoComponents", {"video": footage.result})
        size = column.node("GetImageSize", {"image": parts.out("images")})
        title = "Pose Extract: your video"
        danced = kit.poses(column, parts.out("images"), title=title)
    with g.step("What it should dance") as column:
        dance = column.node("GetVideoComponents", {"video": footage.video})
        title = "Pose Extract: the dance"
        found = kit.poses(column, footage.video, title=title)
        cleaned = column.node("DreaMovingCleanPose", {"keypoints": found}).out()
        slower = {"keypoints": cleaned, "frame_rate": dance.out("fps"), "new_rate": parts.out("fps")}
        title = "Resample Pose: your video's frame rate"
        wanted = column.node("DreaMovingResamplePose", slower, title=title).out("keypoints")
    with g.step("Scorecard", width=520) as column:
        given = {"images": parts.out("images"), "reference": footage.face}
        given |= {"keypoints": wanted, "result_keypoints": danced, "fit_poses": True}
        given |= {"context_length": kit.window[0], "context_overlap": kit.window[1]}
        judge = {"face_recogniser": models.recogniser} if models.recogniser else {"clip_vision": models.eyes}
        card = column.node("DreaMovingScorecard", given | judge)
    with g.step("Watch", width=440) as column:
        column.node("PreviewImage", {"images": card.out("worst_frames")}, title="The worst frames")
        shape = {"width": size.out("width"), "height": size.out("height")}
        drawn = column.node("DreaMovingDrawPose", {"keypoints": danced} | shape).out()
        both = {"image1": parts.out("images"), "image2": drawn, "blend_factor": 1.0, "blend_mode": "screen"}
        seen = column.node("ImageBlend", both, title="The poses that were found").out()
        saved = {"images": seen, "frame_rate": parts.out("fps"), "audio": parts.out("audio")}
        column.node("DreaMovingVideoCombine", saved | {"filename_prefix": "DreaMoving/evaluation"})


EVALUATION = Story(
    name=NAME,
    words="score a finished video",
    build=evaluation,
    about="Five numbers for a finished video, drawn over its frames, and the frames where it is worst.\n\n"
    "* **Your finished video**, **Your dance**: what was made, and the clip that drove it, cut to the same seconds.\n"
    "* **Your picture of the face**: the person who should dance. Faces are compared by `insightface` and its models "
    "`buffalo_l`, for research only. Without them, delete Load Face Recogniser and connect Load CLIP Vision to `clip_vision`: "
    "whole pictures are compared then.\n"
    "* **context_length**, **context_overlap**: as in Sample Video, where the video was made in windows.\n"
    "* **fit_poses** is on, so that crop and size of the dancer don't count. Switch it off to connect the poses that went "
    "into Draw Pose.\n"
    "* The numbers compare videos of one dance: another dance has another flicker. Scorecard's help says what each means.",
    recipe="* All definitions are this pack's own; `docs/papers.md` names each with its reason. A change of colour of Delta E 2 is "
    "just seen.\n"
    "* Many videos at once, as a page that can be passed on: `python run.py bench real`.",
)
