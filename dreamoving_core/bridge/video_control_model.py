"""The Video ControlNet's network: ComfyUI's ControlNet blocks and our motion blocks in one module. Axes: `(b f) c h w`."""

import comfy.cldm.cldm
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import TimestepEmbedSequential
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding
from torch import Tensor

from ..models.backend import Backend
from ..models.motion import MotionConfig, MotionModel
from ..models.video_controlnet import (
    HINT_CHUNK,
    RunBlock,
    control_residuals,
    encode_control_frames,
    motion_slots,
    run_directly,
)

NOT_ARGUMENTS = (
    "out_channels",
    "transformer_depth_output",
)  # of a U-Net's configuration: a ControlNet has no decoder


class VideoControlModel(comfy.cldm.cldm.ControlNet):
    """ComfyUI's ControlNet, keys unchanged, and `motion` in AnimateDiff's slots. [DM §2.2]

    Inference and training call the same two methods: `encode_hint` once per clip, `forward` once per noise level.

    With a channel more than the picture has it is a SparseCtrl: that channel says which frames have a picture (1) and
    which have none (0, the picture then too), and the noisy latents are not looked at. With `latent_hint` pictures are
    latents of the VAE, which go through a single convolution. [SC]
    """

    def __init__(
        self,
        unet_config: dict,
        motion_config: MotionConfig | None,
        *,
        backend: Backend,
        hint_channels: int = 3,
        latent_hint: bool = False,
    ):
        arguments = {
            key: list(value)
            if isinstance(value, (list, tuple))
            else value  # the constructor empties its lists
            for key, value in unet_config.items()
            if key not in NOT_ARGUMENTS
        }
        arguments |= backend.factory() | {"operations": backend.operations, "hint_channels": hint_channels}
        super().__init__(**{"image_size": 32, **arguments})
        self.unet_config = dict(unet_config)
        self.motion_config = motion_config
        self.hint_channels = hint_channels
        self.latent_hint = latent_hint
        self.sparse = hint_channels == (self.in_channels if latent_hint else 3) + 1
        self.picture_channels = hint_channels - self.sparse
        if latent_hint:
            shape = (hint_channels, self.model_channels, 3)
            stem = backend.operations.Conv2d(*shape, padding=1, **backend.factory())
            self.input_hint_block = TimestepEmbedSequential(stem)
        self.motion = None if motion_config is None else MotionModel(motion_config, backend)

    def slot_widths(self) -> list[int]:
        """Channels at each slot of `motion.down`, from the outside in."""
        blocks = [self.input_blocks[i] for i in motion_slots(self.input_blocks)]
        return [block[0].out_channels for block in blocks]

    def encode_hint(self, control_frames: Tensor, *, chunk: int = HINT_CHUNK) -> Tensor:
        """Features `f c h w` (latent size) of control pictures `f c 8h 8w` in [0, 1]; one pass serves all noise levels.

        With `latent_hint`, of latents `f c h w`.
        """
        return encode_control_frames(self.input_hint_block, control_frames, chunk=chunk)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        context: Tensor,
        *,
        hint_features: Tensor,
        num_frames: int,
        with_motion: bool = True,
        run_block: RunBlock = run_directly,
        options: dict | None = None,
    ) -> dict[str, list[Tensor]]:
        """Residuals `{"middle": [1], "output": [one per input block]}` for a U-Net of the same layout.

        Shapes: latents `(b f) c h w`; timesteps `(b f)`; context `(b f) n d`; hint_features `n c h w`,
        n = 1, f or any other period of the batch (with k noise levels of `(b f)` latents: `(k b f)` and `(b f)`).
        Without `with_motion` it is the image ControlNet, which is trained first.
        Training passes `run_checkpointed` to trade time for memory; gradients stay exact. `options` are ComfyUI's
        transformer options, which training needs for its attention.
        """
        if self.sparse:
            latents = torch.zeros_like(latents)
        steps = timestep_embedding(timesteps, self.model_channels, repeat_only=False).to(latents.dtype)
        return control_residuals(
            self,
            latents,
            motion=self.motion if with_motion else None,
            time_embedding=self.time_embed(steps),
            context=context,
            hint_features=hint_features,
            num_frames=num_frames,
            run_block=run_block,
            options=options,
        )
