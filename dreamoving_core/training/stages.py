"""The stages of DreaMoving-Tiny as data: what learns, on what, for how long.

Stage 0 makes what SD1.5 brings along (autoencoder, image encoder, base); the other four are the paper's. [DM §2.4]
The base, the image control and the Content Guider learn together on pictures: from nothing, a separate text-to-image
stage would spend most of its time on what the control gives for free. [ours]
"""

from dataclasses import dataclass

from torch import nn

from .loop import Schedule
from .trainee import Objective


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage trained on cached latents."""

    name: str
    learns: tuple[str, ...]  # prefixes of parameter names in DreaMovingTrainee
    frames: int
    clips: int  # clips (pictures, if frames is 1) in a batch
    controls: tuple[str, ...]  # kinds of control, taken in turn
    motion: bool  # whether the motion blocks are in place
    schedule: Schedule
    objective: Objective
    bfloat16: bool = False  # autocast: pays where the CPU has matrix units for it and batches are large

    def learners(self, trainee: nn.Module) -> dict[str, nn.Parameter]:
        """The parameters that this stage changes, by name."""
        found = {name: p for name, p in trainee.named_parameters() if name.startswith(self.learns)}
        return found if self.motion else {name: p for name, p in found.items() if ".motion." not in name}


BASE = Stage(
    name="base",
    learns=("base.", "text.", "guider.", "controls."),
    frames=1,
    clips=8,
    controls=("pose", "pose", "depth"),
    motion=False,
    schedule=Schedule(steps=8000, learning_rate=1.5e-3, ema_decay=0.998),
    objective=Objective(noise_levels=2),
    bfloat16=True,
)
LONG_FRAME = Stage(
    name="long_frame",
    learns=("motion.",),
    frames=16,
    clips=1,
    controls=("none",),  # no control, no image guidance [DM §2.4.2]
    motion=True,
    schedule=Schedule(steps=500, learning_rate=1e-3, warmup=50, ema_decay=0.99),
    objective=Objective(noise_levels=1, drop_face=1.0, drop_cloth=1.0, shared_noise=0.3),
)
VIDEO_CONTROL = Stage(
    name="video_control",
    learns=("controls.",),
    frames=16,
    clips=1,
    controls=("pose", "depth"),
    motion=True,
    schedule=Schedule(steps=500, learning_rate=5e-4, warmup=50, ema_decay=0.99),
    objective=Objective(  # no image guidance [DM §2.4.3]
        noise_levels=1, drop_control=0.0, drop_face=1.0, drop_cloth=1.0, shared_noise=0.3
    ),
)
EXPRESSION = Stage(
    name="expression",
    learns=("motion.",),  # only the U-Net's motion blocks [DM §2.4.4]
    frames=16,
    clips=1,
    controls=("pose", "pose", "depth"),
    motion=True,
    schedule=Schedule(steps=500, learning_rate=5e-4, warmup=50, ema_decay=0.99),
    objective=Objective(noise_levels=1, drop_control=0.0, shared_noise=0.3),
)
STAGES = {stage.name: stage for stage in (BASE, LONG_FRAME, VIDEO_CONTROL, EXPRESSION)}
AUTOENCODER = Schedule(steps=3600, learning_rate=1.5e-3, ema_decay=0.998, weight_decay=0.0)
DECODER = Schedule(steps=3000, learning_rate=1e-3, ema_decay=0.998, weight_decay=0.0)
IMAGE_ENCODER = Schedule(steps=1100, learning_rate=1e-3, ema_decay=0.99)
SCHEDULES = {
    "autoencoder": AUTOENCODER,
    "decoder": DECODER,
    "image_encoder": IMAGE_ENCODER,
    **{name: stage.schedule for name, stage in STAGES.items()},
}  # in the order of training
SECONDS_PER_STEP = {
    "autoencoder": 0.55,
    "decoder": 0.40,
    "image_encoder": 0.27,
    "base": 0.70,
    "long_frame": 0.6,
    "video_control": 1.0,
    "expression": 1.0,
}  # as measured on one core of a server CPU with bfloat16 matrix units: docs/results.md
