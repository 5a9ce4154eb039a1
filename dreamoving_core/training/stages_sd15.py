"""The paper's four stages for Stable Diffusion 1.5, with the section of each number. What it leaves open is [ours].

One process per GPU: `accelerate launch --num_processes 8` gives the Content Guider the paper's batch of 8 x 16.
"""

from dataclasses import replace

from .objective import Objective
from .pose_noise import DROPOUT, JITTER
from .schedule import Schedule
from .stages import Stage

BATCH = 8 * 16  # [DM §2.4.1] of the Content Guider, over all GPUs
CONTENT_GUIDER = Stage(
    name="content_guider",
    learns=("guider.",),  # [DM §2.4.1] "an independent module"
    frames=1,  # [DM §2.4.1] images
    clips=16,  # [DM §2.4.1] per GPU, 8 GPUs
    controls=("none",),
    motion=False,
    guidance=True,
    size=512,  # [DM §2.4.1]
    crop="random",  # [DM §2.4.1] "randomly cropped and resized"
    schedule=Schedule(
        steps=100_000,  # [DM §2.4.1]
        learning_rate=1e-4,  # [DM §2.4.1] fixed
        decay="constant",
        warmup=0,
        weight_decay=1e-2,  # [DM §2.4.1]
        beta2=0.999,  # AdamW's usual [ours]
        ema_decay=0.0,  # the paper knows no average
        precision="bf16",  # [ours]
        checkpoint_every=1000,
    ),
    objective=Objective(
        noise_levels=1,
        person_weight=0.0,
        timestep_power=1.0,
        drop_text=0.05,  # [IPA] each branch and all of them: classifier-free guidance, and either picture may be missing
        drop_face=0.05,
        drop_cloth=0.05,
        drop_all=0.05,
        drop_identity=0.3,  # the file must work without a face recogniser [ours]
    ),
    checkpointing=True,
)
VIDEO_SCHEDULE = Schedule(
    steps=10_000,  # [DM §2.4.2]
    learning_rate=1e-4,  # [DM §2.4.2]
    decay="constant",
    warmup=0,
    beta2=0.999,  # AdamW's usual [ours]
    ema_decay=0.0,  # the paper knows no average
    precision="bf16",  # [ours]
    checkpoint_every=500,
)
VIDEO_OBJECTIVE = Objective(noise_levels=1, person_weight=0.0, timestep_power=1.0, drop_text=0.1)  # [AD]
LONG_FRAME = Stage(
    name="long_frame",
    learns=("motion.",),  # [DM §2.4.2] the U-Net's motion module alone
    frames=64,  # [DM §2.4.2] from 16
    clips=1,  # [DM §2.4.2]
    controls=("none",),  # [DM §2.4.2] no ControlNet
    motion=True,
    guidance=False,  # [DM §2.4.2] no image guidance
    size=256,  # [DM §2.4.2]
    crop="center",  # [DM §2.4.2] resize and centre crop
    stride=4,  # [AD]; the paper gives none
    betas="linear",  # [AD] what its motion module was trained with
    schedule=VIDEO_SCHEDULE,
    objective=VIDEO_OBJECTIVE,
    checkpointing=True,
)
VIDEO_CONTROL = Stage(
    name="video_control",
    learns=("controls.",),  # [DM §2.4.3] its U-Net blocks and its motion blocks; the U-Net is fixed
    frames=64,  # not given: the length of the stage before [ours]
    clips=1,  # [DM §2.4.3]
    controls=("pose",),  # [DM §2.4.3] or depth: --control-kind
    motion=True,
    guidance=False,  # [DM §2.4.3]
    init="control from motion",  # [DM §2.4.3]
    size=352,  # [DM §2.4.3]
    stride=1,  # not given: dances are quick [ours]
    betas="linear",
    pose_jitter=JITTER,  # [ours] measured on extracted poses
    pose_dropout=DROPOUT,  # [ours]
    schedule=replace(VIDEO_SCHEDULE, steps=25_000),  # [DM §2.4.3], its rate too
    objective=replace(VIDEO_OBJECTIVE, drop_control=0.0),
    checkpointing=True,
)
EXPRESSION = Stage(
    name="expression",
    learns=("motion.",),  # [DM §2.4.4] the U-Net's motion blocks alone
    frames=64,  # not given [ours]
    clips=1,  # [DM §2.4.4]
    controls=("pose",),  # [DM §2.4.4] with the Video ControlNet
    motion=True,
    guidance=False,  # not said; one file less to give [ours]
    size=512,  # [DM §2.4.4]
    betas="linear",
    pose_jitter=JITTER,
    pose_dropout=DROPOUT,
    schedule=replace(VIDEO_SCHEDULE, steps=20_000, learning_rate=5e-5),  # [DM §2.4.4]
    objective=replace(VIDEO_OBJECTIVE, drop_control=0.0),
    checkpointing=True,
)
STAGES = {stage.name: stage for stage in (CONTENT_GUIDER, LONG_FRAME, VIDEO_CONTROL, EXPRESSION)}
