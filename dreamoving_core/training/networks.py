"""Every network of DreaMoving-Tiny in one place, between stages."""

import torch
from torch import nn

from ..bridge.content_guider import numbered_widths
from ..bridge.trainable import (
    initialise_motion,
    new_base,
    new_content_guider,
    new_control,
    new_image_encoder,
    new_motion,
    new_text_encoder,
)
from ..errors import WeightsError
from ..tiny.config import TinyConfig
from .objective import Objective
from .trainee import DreaMovingTrainee


def may_lack(key: str) -> bool:
    """Whether a run may go without this tensor of a saved one."""
    return ".id_proj." in key or key.startswith("base.model_sampling.")


class Networks(nn.Module):
    """What stages hand on to each other, by name."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        self.base, self.text, self.vision = parts["base"], parts["text"], parts["vision"]
        self.guider, self.motion = parts["guider"], parts["motion"]
        self.controls = nn.ModuleDict({"pose": parts["pose"], "depth": parts["depth"]})

    def load(self, saved: dict, *, part: str = "") -> None:
        """Take over what a stage saved, or its part of that name. What a file may lack keeps its own numbers: the noise
        schedule, and the face recogniser's supplement, which says nothing yet."""
        one_branch = "cloth" not in self.guider.config.branches()
        saved = {k: v for k, v in saved.items() if not (one_branch and k.startswith("guider.cloth."))}
        missing, unexpected = self.load_state_dict(saved, strict=False)
        missing = [key for key in missing if key.startswith(part) and not may_lack(key)]
        if unexpected or missing:
            raise WeightsError(
                f"The saved networks are of another layout: {len(missing)} tensors are missing, {len(unexpected)} unknown "
                f"({', '.join([*missing, *unexpected][:3])}). Train from the first stage, or choose another folder."
            )

    @torch.no_grad()
    def prepare(self, init: str) -> None:
        """What a stage asks for before it starts (`Stage.init`)."""
        if init == "new motion":
            initialise_motion(self.motion)
        elif init == "control from motion":
            self.start_control_motion()

    def trainee(
        self, objective: Objective, *, motion: bool, checkpointing: bool = False
    ) -> DreaMovingTrainee:
        """The same networks as one module with a loss; without `motion`, no motion block runs anywhere."""
        return DreaMovingTrainee(
            base=self.base,
            text=self.text,
            guider=self.guider,
            controls=dict(self.controls),
            motion=self.motion if motion else None,
            objective=objective,
            checkpointing=checkpointing,
        )

    @torch.no_grad()
    def start_control_motion(self) -> None:
        """The Video ControlNets' motion blocks start as the U-Net's. [DM §2.4.3]"""
        own = self.motion.state_dict()
        for control in self.controls.values():
            control.motion.load_state_dict({key: own[key] for key in control.motion.state_dict()})


def new_networks(config: TinyConfig, *, identity: bool = False, one_branch: bool = False) -> Networks:
    """All of them, untrained; `identity` gives the face branch the face recogniser's supplement, `one_branch` leaves the
    cloth branch out."""
    base = new_base(config)
    return Networks(
        base=base,
        text=new_text_encoder(config),
        vision=new_image_encoder(config),
        guider=new_content_guider(
            config,
            sites=numbered_widths(base.diffusion_model),
            identity=identity,
            one_branch=one_branch,
        ),
        motion=new_motion(config),
        pose=new_control(config),
        depth=new_control(config),
    )
