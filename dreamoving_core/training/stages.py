"""The stages of training as data, and DreaMoving-Tiny's: what learns, on what, for how long.

Stage 0 makes what SD1.5 brings along (autoencoder, image encoder, base) and what AnimateDiff does (motion blocks for 16
frames); the others are the paper's. [DM §2.4] The base, the image control and the Content Guider learn together on
pictures: from nothing, a separate text-to-image stage would spend most of its time on what the control gives for
free. [ours] The paper's own numbers are in `stages_sd15.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from torch import nn

from ..errors import InputError
from .dances import CLOSE_UPS, SHOTS
from .objective import Objective
from .pose_noise import DROPOUT
from .schedule import Schedule

LOW_RANK = ".parametrizations.weight.0."  # in the names of a LoRA's parameters (lora.py)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage that learns to denoise latents."""

    name: str
    learns: tuple[str, ...]  # prefixes of parameter names in DreaMovingTrainee
    frames: int
    clips: int  # clips (pictures, if frames is 1) in one pass of one process
    controls: tuple[str, ...]  # kinds of control, taken in turn
    motion: bool  # whether the motion blocks are in place
    guidance: bool  # whether the Content Guider sees pictures of face and clothes
    schedule: Schedule
    objective: Objective
    init: Literal["as it is", "new motion", "control from motion"] = (
        "as it is"  # what happens before it starts
    )
    size: int = 128  # pixels
    stride: int = 1  # frames of the video per frame of the clip
    lengths: tuple[int, ...] = ()  # frames that the steps see of their clips, in turn; none: always all
    shots: tuple[str, ...] = SHOTS  # of ProcDance, in turn
    style: int = 0  # of ProcDance's drawing
    low_rank: int = 0  # above 0: a LoRA of this rank learns in the place of the U-Net's weights
    crop: Literal["center", "random"] = "center"
    betas: Literal["keep", "linear"] = "keep"  # noise schedule: the base model's, or AnimateDiff's
    checkpointing: bool = False
    pose_jitter: float = 0.0  # of pose points, RMS in shares of the picture's height: `pose_noise.py`
    pose_dropout: float = 0.0  # share of the frames in which a limb, a hand or the face is missing

    def length(self, step: int) -> int:
        """How many frames of each clip a step sees."""
        return self.lengths[step % len(self.lengths)] if self.lengths else self.frames

    def learners(self, trainee: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters that this stage changes, by name."""
        found = {name: p for name, p in trainee.named_parameters() if name.startswith(self.learns)}
        if self.low_rank:
            return {name: p for name, p in found.items() if LOW_RANK in name}
        return found if self.motion else {name: p for name, p in found.items() if ".motion." not in name}


Settings = Mapping[str, Any]
Data = TypeVar("Data", Stage, Schedule, Objective)


def changed(stage: Stage, settings: Settings) -> Stage:
    """The stage with other numbers, by the names of Stage, Schedule and Objective. InputError for unknown ones."""
    known = {f.name for kind in (Stage, Schedule, Objective) for f in fields(kind)}
    known -= {"name", "schedule", "objective"}
    if unknown := sorted(set(settings) - known):
        raise InputError(
            f"A stage has no setting {', '.join(unknown)}. There are: {', '.join(sorted(known))}."
        )
    schedule, objective = (with_settings(part, settings) for part in (stage.schedule, stage.objective))
    stage = replace(with_settings(stage, settings), schedule=schedule, objective=objective)
    if wrong := [length for length in stage.lengths if not 1 <= length <= stage.frames]:
        raise InputError(
            f"Stage {stage.name} has clips of {stage.frames} frames, so lengths must lie between 1 and that, got {wrong[0]}."
        )
    return stage


def with_settings(data: Data, settings: Settings) -> Data:
    """The same with those of the settings that it has."""
    own = {f.name for f in fields(data)}
    return replace(data, **{k: checked(k, v, getattr(data, k)) for k, v in settings.items() if k in own})


def checked(name: str, value: Any, before: Any) -> Any:
    """A setting in the type that it had. InputError for another."""
    if isinstance(before, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(before, float) and type(value) is int:
        return float(value)
    if type(value) is not type(before):
        raise InputError(f"The setting {name} is like {before!r}, got {value!r}.")
    return value


TINY_JITTER = 0.005  # Tiny's point detector has become better since pose_noise.py was measured [ours]
# Weights of what moves: the plain loss leaves backgrounds restless (docs/results.md). [ours]
MOVING = Objective(noise_levels=1, person_weight=1.0, change_weight=4.0)
BASE = Stage(
    name="base",
    learns=("base.", "text.", "guider.", "controls."),
    frames=1,
    clips=8,
    controls=("pose", "pose", "depth"),
    motion=False,
    guidance=True,
    schedule=Schedule(steps=8000, learning_rate=1.5e-3, precision="auto"),
    objective=Objective(noise_levels=2),
)
MOTION16 = Stage(  # stands in for AnimateDiff's motion module, from which the paper starts [DM §2.2]
    name="motion16",
    learns=("motion.",),
    frames=16,
    clips=1,
    controls=("none",),
    motion=True,
    guidance=False,
    init="new motion",
    schedule=Schedule(steps=3000, learning_rate=1e-3, ema_decay=0.995, precision="auto"),
    objective=MOVING,
)
LONG_FRAME = Stage(
    name="long_frame",
    learns=("motion.",),
    frames=64,  # from 16 [DM §2.4.2]
    clips=1,
    controls=("none",),  # no control, no image guidance [DM §2.4.2]
    motion=True,
    guidance=False,
    schedule=Schedule(steps=1000, learning_rate=5e-4, warmup=50, ema_decay=0.99, precision="auto"),
    objective=MOVING,
)
VIDEO_CONTROL = Stage(
    name="video_control",
    learns=("controls.",),
    frames=16,
    clips=1,
    controls=("pose", "depth"),
    motion=True,
    guidance=False,  # [DM §2.4.3]
    init="control from motion",
    pose_jitter=TINY_JITTER,
    pose_dropout=DROPOUT,
    schedule=Schedule(steps=2000, learning_rate=5e-4, warmup=50, ema_decay=0.99, precision="auto"),
    objective=replace(MOVING, drop_control=0.0),
)
EXPRESSION = Stage(
    name="expression",
    learns=("motion.",),  # only the U-Net's motion blocks [DM §2.4.4]
    frames=64,
    lengths=(64, 16, 16, 16),  # 16 alone would unlearn long clips, 64 alone costs four times as much [ours]
    shots=CLOSE_UPS,
    clips=2,
    controls=("pose", "pose", "depth"),
    motion=True,
    guidance=True,
    pose_jitter=TINY_JITTER,
    pose_dropout=DROPOUT,
    schedule=Schedule(steps=2000, learning_rate=1e-3, warmup=50, ema_decay=0.995, precision="auto"),
    # a quarter as guidance's negative side, which has nothing but the control
    objective=replace(MOVING, drop_control=0.0, drop_all=0.25),
)
CONTENT_GUIDER = Stage(  # on its own, as the paper has it: to compare what it is made of
    name="content_guider",
    learns=("guider.",),  # [DM §2.4.1]
    frames=1,
    clips=8,
    controls=("pose", "pose", "depth"),
    motion=False,
    guidance=True,
    schedule=Schedule(steps=1500, learning_rate=5e-4, ema_decay=0.995, precision="auto"),
    objective=Objective(noise_levels=2, drop_identity=0.1),
)
STYLE_LORA = Stage(  # another base model for the same Content Guider, which does not learn
    name="style_lora",
    learns=("base.",),
    low_rank=8,
    frames=1,
    style=1,
    clips=8,
    controls=("pose", "pose", "depth"),
    motion=False,
    guidance=True,  # references in the first style: without them, faces keep their colours (docs/results.md)
    schedule=Schedule(steps=2500, learning_rate=2e-3, ema_decay=0.995, precision="auto"),
    objective=Objective(noise_levels=2),
)
CHAIN = (BASE, MOTION16, LONG_FRAME, VIDEO_CONTROL, EXPRESSION)  # each starts from the one before
STAGES = {stage.name: stage for stage in (*CHAIN, CONTENT_GUIDER, STYLE_LORA)}
# each leaves all networks behind
HANDED_ON = (*(stage.name for stage in CHAIN), "image_styles", "content_guider")
OPTIONAL = ("face_recogniser", "content_guider")  # a whole run goes without them
AUTOENCODER = Schedule(steps=3600, learning_rate=1.5e-3, weight_decay=0.0)
DECODER = Schedule(steps=3000, learning_rate=1e-3, weight_decay=0.0)
IMAGE_ENCODER = Schedule(steps=1100, learning_rate=1e-3, ema_decay=0.99)
IMAGE_STYLES = Schedule(steps=800, learning_rate=5e-4, ema_decay=0.99)
FACE_RECOGNISER = Schedule(steps=1500, learning_rate=2e-3, ema_decay=0.99)
SCHEDULES = {
    "autoencoder": AUTOENCODER,
    "decoder": DECODER,
    "image_encoder": IMAGE_ENCODER,
    "face_recogniser": FACE_RECOGNISER,
    **{stage.name: stage.schedule for stage in CHAIN},
    "image_styles": IMAGE_STYLES,
    "content_guider": CONTENT_GUIDER.schedule,
    "style_lora": STYLE_LORA.schedule,
}  # in the order of training
SECONDS_PER_STEP = {
    "autoencoder": 0.55,
    "decoder": 0.40,
    "image_encoder": 0.27,
    "face_recogniser": 0.25,
    "base": 0.70,
    "motion16": 0.6,
    "long_frame": 2.4,
    "video_control": 1.0,
    "expression": 3.4,
    "image_styles": 0.5,
    "content_guider": 0.5,
    "style_lora": 0.6,
}  # of one core of a server CPU with bfloat16 matrix units (expression: without): docs/results.md; face_recogniser and
# long_frame are estimates
