"""All of DreaMoving as one `nn.Module` whose forward returns the loss.

It trains on ComfyUI's own U-Net and ControlNet, through the very patches that inference uses: what is learned here
is what the nodes run. Letters: b clip (a picture is a clip of one frame), f frame, k noise levels per frame.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from ..bridge.content_guider import content_attention_patches
from ..bridge.insertion import open_insertion
from .autograd import saving_copies
from .dances import as_floats


def float32_attention(_default, q: Tensor, k: Tensor, v: Tensor, heads: int, *_args, **_options) -> Tensor:
    """SDPA in float32, also under autocast: its backward in bfloat16 takes six times as long on a CPU. [ours]"""
    dtype = q.dtype
    q, k, v = (rearrange(x.float(), "b n (heads d) -> b heads n d", heads=heads) for x in (q, k, v))
    with torch.autocast(q.device.type, enabled=False):
        out = nn.functional.scaled_dot_product_attention(q, k, v)
    return rearrange(out, "b heads n d -> b n (heads d)").to(dtype)


def copy_of_skip(hidden: Tensor, _options: dict) -> Tensor:
    """A U-Net patch: what follows a skip gets a copy, because ComfyUI adds control to the skip itself, in place."""
    return hidden.clone()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one optimiser step sees."""

    latents: Tensor  # b f c h w
    control: Tensor  # b f c h w, uint8 control pictures of one kind
    control_kind: str  # "pose", "depth" or "none"
    person: Tensor  # b f h w, uint8, share of the person in each latent cell
    face: Tensor  # b n d, image encoder's features of the face reference
    cloth: Tensor  # b n d
    token_ids: Tensor  # u n, the unique captions of the batch
    caption: Tensor  # b, index into token_ids


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How the loss is drawn. Every number here is our own choice. [ours]"""

    noise_levels: int = 2  # k: one pass of the hint encoder serves all of them
    person_weight: float = 3.0  # a cell that the person fills counts 1 + this
    drop_text: float = 0.1
    drop_face: float = 0.1
    drop_cloth: float = 0.1
    drop_control: float = 0.1
    shared_noise: float = 0.0  # probability that all frames of a clip start from one noise
    timestep_power: float = 0.7  # below 1: more draws at high noise, where layout and colours are decided


class DreaMovingTrainee(nn.Module):
    """Holds every network once; which of them learn is the stage's business."""

    def __init__(
        self,
        *,
        base: nn.Module,
        text: nn.Module,
        guider: nn.Module,
        controls: dict[str, nn.Module],
        motion: nn.Module | None,
        objective: Objective,
    ) -> None:
        super().__init__()
        self.base, self.text, self.guider, self.motion = base, text, guider, motion
        self.controls = nn.ModuleDict(controls)
        self.objective = objective

    def forward(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        goal = self.objective
        clips, frames = batch.latents.shape[:2]
        levels = goal.noise_levels
        sigma = self.draw_sigmas(clips, generator)  # (k b)
        target = repeat(batch.latents, "b f c h w -> (k b f) c h w", k=levels)
        noise = self.draw_noise(batch.latents, generator)  # (k b f) c h w
        sigmas = repeat(sigma, "kb -> (kb f)", f=frames)
        noisy = target + noise * rearrange(sigmas, "n -> n 1 1 1")

        keep = self.draw_keeps(clips, generator)
        context = self.context(batch, keep["text"], frames=frames)
        options = self.options(batch, keep)
        control = self.control(batch, noisy, sigmas, context, keep["control"])
        with self.motion_inserted(frames):
            denoised = self.base.apply_model(
                noisy, sigmas, c_crossattn=context, control=control, transformer_options=options
            )
        return self.loss(denoised, target, sigmas, batch)

    def motion_inserted(self, frames: int) -> AbstractContextManager:
        """The motion blocks in the U-Net for one forward. Without checkpointing, backward needs no insertion."""
        if self.motion is None:
            return nullcontext()
        return open_insertion(self.base, self.motion, num_frames=frames)

    def draw_sigmas(self, clips: int, generator: torch.Generator) -> Tensor:
        """One noise level per clip and k, spread over the range by strata."""
        levels = self.objective.noise_levels
        u = torch.rand(levels, clips, generator=generator)
        u = (torch.arange(levels)[:, None] + u) / levels
        timestep = 999 * u**self.objective.timestep_power
        return self.base.model_sampling.sigma(rearrange(timestep, "k b -> (k b)"))

    def draw_noise(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        levels, clips = self.objective.noise_levels, len(latents)
        noise = torch.randn(levels, *latents.shape, generator=generator)
        if self.objective.shared_noise:
            shared = torch.rand(levels, clips, generator=generator) < self.objective.shared_noise
            shared = rearrange(shared, "k b -> k b 1 1 1 1")
            noise = torch.where(shared, noise[:, :, :1], noise)
        return rearrange(noise, "k b f c h w -> (k b f) c h w")

    def draw_keeps(self, clips: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Which conditions each clip keeps: `b` booleans."""
        goal = self.objective
        drops = {
            "text": goal.drop_text,
            "face": goal.drop_face,
            "cloth": goal.drop_cloth,
            "control": goal.drop_control,
        }
        return {name: torch.rand(clips, generator=generator) >= drop for name, drop in drops.items()}

    def context(self, batch: Batch, keep: Tensor, *, frames: int) -> Tensor:
        """Text tokens `(k b f) n d`; row 0 of the unique captions is the empty one."""
        with saving_copies():
            encoded = self.text(input_tokens=batch.token_ids)[0]
        context = encoded[torch.where(keep, batch.caption, 0)]
        return repeat(context, "b n d -> (k b f) n d", k=self.objective.noise_levels, f=frames)

    def options(self, batch: Batch, keep: dict[str, Tensor]) -> dict:
        """ComfyUI's transformer_options: the Content Guider's patches and this trainer's attention.

        A dropped branch adds nothing, exactly as alpha 0 does.
        """
        levels = self.objective.noise_levels

        def spread(rows: Tensor) -> Tensor:
            return repeat(rows, "b ... -> (k b) ...", k=levels)

        patches = content_attention_patches(
            self.guider,
            self.base.diffusion_model,
            face=spread(self.guider.encode("face", batch.face)),
            cloth=spread(self.guider.encode("cloth", batch.cloth)),
            alpha_f=spread(keep["face"].float()),
            alpha_c=spread(keep["cloth"].float()),
        )
        return {
            "cond_or_uncond": [0] * (levels * len(batch.latents)),
            "patches": {"input_block_patch_after_skip": [copy_of_skip]},
            "patches_replace": {"attn2": patches},
            "optimized_attention_override": float32_attention,
        }

    def control(
        self, batch: Batch, noisy: Tensor, sigmas: Tensor, context: Tensor, keep: Tensor
    ) -> dict[str, list[Tensor]] | None:
        """The Video ControlNet's residuals, zero for clips that dropped it."""
        if batch.control_kind == "none":
            return None
        net, levels, frames = (
            self.controls[batch.control_kind],
            self.objective.noise_levels,
            batch.latents.shape[1],
        )
        pictures = rearrange(as_floats(batch.control), "b f c h w -> (b f) c h w")
        features = net.encode_hint(pictures.contiguous(memory_format=torch.channels_last))
        features = repeat(features, "n c h w -> (k n) c h w", k=levels)
        sampling = self.base.model_sampling
        residuals = net(
            sampling.calculate_input(sigmas, noisy),
            timesteps=sampling.timestep(sigmas).float(),
            context=context,
            hint_features=features,
            num_frames=frames,
            with_motion=self.motion is not None,
            options={"optimized_attention_override": float32_attention},
        )
        gate = repeat(keep.float(), "b -> (k b f) 1 1 1", k=levels, f=frames)
        return {part: [r * gate for r in tensors] for part, tensors in residuals.items()}

    def loss(
        self, denoised: Tensor, target: Tensor, sigmas: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, float]]:
        """Mean square error of v, which is that of the clean latents times (sigma^2 + 1) / sigma^2."""
        share = repeat(as_floats(batch.person), "b f h w -> (k b f) 1 h w", k=self.objective.noise_levels)
        weight = 1 + self.objective.person_weight * share
        error = (denoised - target).square() * weight / weight.mean()
        per_frame = error.mean(dim=(1, 2, 3))
        loss = (per_frame * (sigmas.square() + 1) / sigmas.square()).mean()
        return loss, {"x0": float(per_frame.detach().mean())}
