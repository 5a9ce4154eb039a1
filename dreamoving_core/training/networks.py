"""Every network of DreaMoving-Tiny in one place, between stages."""

import torch
from torch import nn

from ..bridge.content_guider import numbered_widths
from ..bridge.trainable import (
    new_base,
    new_content_guider,
    new_control,
    new_image_encoder,
    new_motion,
    new_text_encoder,
)
from ..tiny.config import TinyConfig
from .trainee import DreaMovingTrainee, Objective


class Networks(nn.Module):
    """What stages hand on to each other, by name."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        self.base, self.text, self.vision = parts["base"], parts["text"], parts["vision"]
        self.guider, self.motion = parts["guider"], parts["motion"]
        self.controls = nn.ModuleDict({"pose": parts["pose"], "depth": parts["depth"]})

    def load(self, saved: dict) -> None:
        """Take over what a stage saved."""
        self.load_state_dict(saved)

    def trainee(self, objective: Objective, *, motion: bool) -> DreaMovingTrainee:
        """The same networks as one module with a loss; without `motion`, no motion block runs anywhere."""
        return DreaMovingTrainee(
            base=self.base,
            text=self.text,
            guider=self.guider,
            controls=dict(self.controls),
            motion=self.motion if motion else None,
            objective=objective,
        )

    @torch.no_grad()
    def start_control_motion(self) -> None:
        """The Video ControlNets' motion blocks start as the U-Net's. [DM §2.4.3]"""
        own = self.motion.state_dict()
        for control in self.controls.values():
            control.motion.load_state_dict({key: own[key] for key in control.motion.state_dict()})


def new_networks(config: TinyConfig) -> Networks:
    """All of them, untrained."""
    base = new_base(config)
    return Networks(
        base=base,
        text=new_text_encoder(config),
        vision=new_image_encoder(config),
        guider=new_content_guider(config, sites=numbered_widths(base.diffusion_model)),
        motion=new_motion(config),
        pose=new_control(config),
        depth=new_control(config),
    )
