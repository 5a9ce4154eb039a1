"""All of DreaMoving as one `nn.Module` whose forward returns the loss.

It trains on ComfyUI's own U-Net and ControlNet, through the very patches that inference uses: what is learned here
is what the nodes run. Letters: b clip (a picture is a clip of one frame), f frame, k noise levels per frame.
"""

import math
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from ..bridge.checkpointing import open_checkpoints
from ..bridge.content_guider import content_attention_patches
from ..bridge.insertion import open_insertion
from ..bridge.trainable import predicts_v, training_attention
from ..models.video_controlnet import run_checkpointed, run_directly
from .autograd import saving_copies
from .batch import Batch, Conditions
from .dances import as_floats
from .draws import normals, uniforms
from .objective import CONDITIONS, Objective, change


def attention(_default, q: Tensor, k: Tensor, v: Tensor, heads: int, *_args, **_options) -> Tensor:
    """Takes the place of ComfyUI's own, which works in place when memory is short; backward does not survive that."""
    return training_attention(q, k, v, heads)


def copy_of_skip(hidden: Tensor, _options: dict) -> Tensor:
    """A U-Net patch: what follows a skip gets a copy, because ComfyUI adds control to the skip itself, in place."""
    return hidden.clone()


class DreaMovingTrainee(nn.Module):
    """Holds every network once; which of them learn is the stage's business. What is None takes no part."""

    def __init__(
        self,
        *,
        base: nn.Module,
        text: nn.Module | None,
        guider: nn.Module | None,
        controls: dict[str, nn.Module],
        motion: nn.Module | None,
        objective: Objective,
        checkpointing: bool = False,
        norms_across_frames: bool = False,
    ) -> None:
        """`checkpointing` computes activations again in backward; `norms_across_frames` is AnimateDiff v1's way."""
        super().__init__()
        self.base, self.text, self.guider, self.motion = base, text, guider, motion
        self.controls = nn.ModuleDict(controls)
        self.objective, self.checkpointing = objective, checkpointing
        self.norms_across_frames = norms_across_frames
        if motion is not None:
            motion.set_checkpointing(checkpointing)

    def forward(self, batch: Batch, generators: list[torch.Generator]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss; a generator for each clip."""
        batch = batch.to(next(self.base.parameters()).device)
        goal, frames = self.objective, batch.latents.shape[1]
        sigma = self.draw_sigmas(generators)  # (k b)
        target = repeat(batch.latents, "b f c h w -> (k b f) c h w", k=goal.noise_levels)
        noise = self.draw_noise(batch.latents, generators)  # (k b f) c h w
        keep = self.draw_keeps(generators)
        sigmas = repeat(sigma, "kb -> (kb f)", f=frames)
        noisy = target + noise * rearrange(sigmas, "n -> n 1 1 1")
        return self.loss(self.denoise(noisy, sigmas, batch, keep), target, sigmas, batch)

    def denoise(self, noisy: Tensor, sigmas: Tensor, batch: Batch, keep: dict[str, Tensor]) -> Tensor:
        """The clean latents as the networks see them: `noisy` `(k b f) c h w` at `sigmas` `(k b f)`, any k."""
        levels = len(noisy) // batch.latents.shape[:2].numel()
        seen = self.conditions(batch, keep, levels=levels)
        control = self.control(noisy, sigmas, seen)
        with self.prepared(seen.frames):
            return self.base.apply_model(
                noisy, sigmas, c_crossattn=seen.context, control=control, transformer_options=seen.options
            )

    def conditions(self, batch: Batch, keep: dict[str, Tensor], *, levels: int) -> Conditions:
        """What the networks are shown beside the latents; the same for every noise level."""
        frames = batch.latents.shape[1]
        seen = Conditions(
            frames=frames,
            context=self.context(batch, keep, levels=levels),
            options=self.options(batch, keep, levels=levels),
        )
        if batch.control_kind == "none":
            return seen
        pictures = rearrange(as_floats(batch.control), "b f c h w -> (b f) c h w")
        hint = self.controls[batch.control_kind].encode_hint(
            pictures.contiguous(memory_format=torch.channels_last)
        )
        return replace(
            seen,
            control_kind=batch.control_kind,
            hint=repeat(hint, "n c h w -> (k n) c h w", k=levels),
            gate=repeat(keep["control"].float(), "b -> (k b f) 1 1 1", k=levels, f=frames),
        )

    @contextmanager
    def prepared(self, frames: int):
        """The motion blocks in the U-Net for one forward. Backward needs none of it: checkpoints hold their own layers."""
        with ExitStack() as stack:
            if self.motion is not None:
                across = self.norms_across_frames
                insertion = open_insertion(
                    self.base, self.motion, num_frames=frames, norms_across_frames=across
                )
                stack.enter_context(insertion)
            if self.checkpointing and torch.is_grad_enabled():
                stack.enter_context(open_checkpoints(self.base))
            yield

    def draw_sigmas(self, generators: list[torch.Generator]) -> Tensor:
        """One noise level per clip and k, spread over the range by strata: `(k b)`."""
        levels = self.objective.noise_levels
        u = rearrange(uniforms(generators, levels), "b k -> k b")
        u = (torch.arange(levels)[:, None] + u) / levels
        timestep = rearrange(999 * u**self.objective.timestep_power, "k b -> (k b)")
        return self.base.model_sampling.sigma(timestep.to(self.base.model_sampling.sigmas.device))

    def draw_noise(self, latents: Tensor, generators: list[torch.Generator]) -> Tensor:
        """`(k b f) c h w`: independent for each frame, or the same in all frames of a clip but for `own_noise`."""
        goal, frames = self.objective, latents.shape[1]

        def drawn(count: int) -> Tensor:
            noise = normals(generators, goal.noise_levels, count, *latents.shape[2:])
            return rearrange(noise, "b k ... -> k b ...").to(latents)

        noise = drawn(frames)
        if goal.shared_noise:
            shared = uniforms(generators, goal.noise_levels) < goal.shared_noise
            common = noise[:, :, :1]
            if goal.own_noise:
                common = math.sqrt(1 - goal.own_noise) * drawn(1) + math.sqrt(goal.own_noise) * noise
            noise = torch.where(rearrange(shared, "b k -> k b 1 1 1 1").to(noise.device), common, noise)
        return rearrange(noise, "k b f c h w -> (k b f) c h w")

    def draw_keeps(self, generators: list[torch.Generator]) -> dict[str, Tensor]:
        """Which conditions each clip keeps: `b` booleans."""
        drops = torch.tensor([getattr(self.objective, f"drop_{name}") for name in CONDITIONS])
        keep = dict(zip(CONDITIONS, (uniforms(generators, len(CONDITIONS)) >= drops).unbind(1), strict=True))
        together = keep.pop("all")
        both = {name: keep[name] & together for name in ("text", "face", "cloth")}
        device = next(self.base.parameters()).device
        return {name: kept.to(device) for name, kept in (keep | both).items()}

    def context(self, batch: Batch, keep: dict[str, Tensor], *, levels: int) -> Tensor:
        """Text tokens `(k b f) n d`; row 0 of the unique captions is the empty one."""
        encoded = batch.text
        if encoded is None:
            with saving_copies():
                encoded = self.text(input_tokens=batch.token_ids)[0]
        context = encoded[torch.where(keep["text"], batch.caption, 0)]
        return repeat(context, "b n d -> (k b f) n d", k=levels, f=batch.latents.shape[1])

    def options(self, batch: Batch, keep: dict[str, Tensor], *, levels: int) -> dict[str, Any]:
        """ComfyUI's transformer_options: the Content Guider's patches and this trainer's attention."""
        options = {
            "cond_or_uncond": [0] * (levels * len(batch.latents)),
            "patches": {"input_block_patch_after_skip": [copy_of_skip]},
            "optimized_attention_override": attention,
        }
        if self.guider is None or (batch.face is None and batch.cloth is None):
            return options
        terms: dict[str, Tensor | None] = {}
        for name, alpha in (("face", "alpha_f"), ("cloth", "alpha_c")):
            tokens, strength = self.image_tokens(name, batch, keep)
            terms[name] = None if tokens is None else repeat(tokens, "b n d -> (k b) n d", k=levels)
            terms[alpha] = repeat(strength, "b -> (k b)", k=levels)
        patches = content_attention_patches(self.guider, self.base.diffusion_model, **terms)
        return options | {"patches_replace": {"attn2": patches}}

    def image_tokens(self, name: str, batch: Batch, keep: dict[str, Tensor]) -> tuple[Tensor | None, Tensor]:
        """One branch's tokens `b n d` and strengths `b`: a dropped picture is a blank one, or adds nothing at all."""
        features, blank = getattr(batch, name), getattr(batch, f"{name}_blank")
        if name not in self.guider.config.branches():
            features = None
        kept, known = keep[name], getattr(batch, f"{name}_known")
        if features is None:
            return None, kept.float()
        if known is not None:
            kept = kept & known
        identity = batch.identity if name == "face" else None
        if identity is not None:
            identity = identity * rearrange(keep["identity"] & kept, "b -> b 1")
        if blank is not None:
            features = torch.where(rearrange(kept, "b -> b 1 1"), features, blank)
        strength = kept.float() if blank is None else torch.ones_like(kept, dtype=torch.float32)
        tokens = self.guider.encode(name, features, identity=identity)
        if "cloth" not in self.guider.config.branches() and batch.cloth is not None:
            # one branch for both pictures: their tokens side by side, as Encode Face's `concat` has them
            tokens = torch.cat([tokens, self.guider.encode(name, batch.cloth)], dim=1)
        return tokens, strength

    def control(self, noisy: Tensor, sigmas: Tensor, seen: Conditions) -> dict[str, list[Tensor]] | None:
        """The Video ControlNet's residuals, zero for clips that dropped it."""
        if seen.hint is None:
            return None
        sampling = self.base.model_sampling
        checkpointing = self.checkpointing and torch.is_grad_enabled()
        residuals = self.controls[seen.control_kind](
            sampling.calculate_input(sigmas, noisy),
            timesteps=sampling.timestep(sigmas).float(),
            context=seen.context,
            hint_features=seen.hint,
            num_frames=seen.frames,
            with_motion=self.motion is not None,
            run_block=run_checkpointed if checkpointing else run_directly,
            options={"optimized_attention_override": attention},
        )
        return {part: [r * seen.gate for r in tensors] for part, tensors in residuals.items()}

    def loss(
        self, denoised: Tensor, target: Tensor, sigmas: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean square error of what the U-Net predicts, computed from that of the clean latents."""
        difference = denoised - target
        error = difference.square()
        if batch.person is not None:
            levels = len(denoised) // batch.person.shape[:2].numel()
            share = repeat(as_floats(batch.person), "b f h w -> (k b f) 1 h w", k=levels)
            weight = 1 + self.objective.person_weight * share
            error = error * weight / weight.mean()
        if self.objective.change_weight:
            frames = batch.latents.shape[1]
            error = error + self.objective.change_weight * change(difference, frames=frames).square()
        per_frame = error.mean(dim=(1, 2, 3))
        loss = (per_frame * self.loss_weights(sigmas)).mean()
        return loss, {"x0": per_frame.detach().mean()}

    def loss_weights(self, sigmas: Tensor) -> Tensor:
        """What the error of the clean latents is multiplied by: `uniform` gives that of noise, or of v, at weight 1."""
        snr = 1 / sigmas.square()
        if self.objective.weighting == "min_snr":
            return snr.clamp(max=self.objective.snr_gamma)
        return snr + 1 if predicts_v(self.base) else snr
