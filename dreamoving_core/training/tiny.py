"""Trains DreaMoving-Tiny from nothing, stage after stage; each can be cut and resumes exactly."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..bridge.content_guider import numbered_widths
from ..bridge.trainable import new_autoencoder, new_base, new_content_guider, new_image_encoder
from ..tiny.config import TinyConfig
from . import stages
from .autoencoder import AutoencoderLoss, autoencoder_step
from .batches import Batches
from .dances import DanceSet, as_floats, encode_pictures
from .export import export_tiny
from .image_encoder import AttributeLoss, penultimate, references_of
from .loop import Schedule, Trainer, save_atomically
from .networks import Networks, new_networks
from .rendering import CLASS_COUNTS, clip_moments, draw_set, picture_moment, picture_pool

log = logging.getLogger(__name__)

CROPS = 24  # of 64 x 64 pixels in a batch of the autoencoder
PICTURES = 4000  # to take crops from
SETS = {"pictures": (9000, 1), "clips": (360, 16)}  # clips, frames each
REFERENCES = 48  # dancers in a batch of the image encoder


class TinyRun:
    """A folder with everything that a run has learned so far."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed
        folder.mkdir(parents=True, exist_ok=True)

    def result(self, stage: str) -> Path:
        return self.folder / f"{stage}.done.pt"

    def finished(self, stage: str) -> dict:
        """The weights that a stage handed on."""
        if not self.result(stage).exists():
            raise SystemExit(f"Stage '{stage}' has not been trained in {self.folder}: run it first.")
        return torch.load(self.result(stage), weights_only=True)

    def train(
        self, stage: str, module: nn.Module, learners: dict, *, schedule: Schedule, loss_of: Callable
    ) -> None:
        """Run a stage to its end and keep what it learned."""
        trainer = Trainer(stage, learners, schedule=schedule, loss_of=loss_of, folder=self.folder)
        trainer.run()
        save_atomically({name: p.detach() for name, p in module.state_dict().items()}, self.result(stage))

    def autoencoder(self) -> None:
        """Encoder and decoder together."""
        torch.manual_seed(self.seed)
        module = AutoencoderLoss(learn_encoder=True)
        pool = picture_pool(count=PICTURES, first_seed=100_000_000)
        loss_of = autoencoder_step(module, pool, batch=CROPS)
        self.train("autoencoder", module, module.learners(), schedule=stages.AUTOENCODER, loss_of=loss_of)

    def decoder(self) -> None:
        """The decoder alone; the encoder stays what all other stages are trained on."""
        module = AutoencoderLoss(learn_encoder=False)
        module.load_state_dict(self.finished("autoencoder"))
        pool = picture_pool(count=PICTURES, first_seed=200_000_000)
        loss_of = autoencoder_step(module, pool, batch=CROPS)
        self.train("decoder", module, module.learners(), schedule=stages.DECODER, loss_of=loss_of)

    def dances(self, kind: str) -> DanceSet:
        """The pictures, or the clips; drawn at the first call."""
        path = self.folder / f"{kind}.safetensors"
        if not path.exists():
            log.info("drawing %s", kind)
            count, frames = SETS[kind]
            seeds = list(range(count))
            clips = [
                [picture_moment(s)] if frames == 1 else clip_moments(s, num_frames=frames) for s in seeds
            ]
            draw_set(clips, seeds).save(path)
        return DanceSet.load(path)

    def image_encoder(self) -> None:
        """The image encoder and the token encoders of both branches."""
        torch.manual_seed(self.seed + 1)
        config = TinyConfig()
        sites = numbered_widths(new_base(config).diffusion_model)
        guider = new_content_guider(config, sites=sites)
        module = AttributeLoss(new_image_encoder(config), guider, kinds=CLASS_COUNTS)
        dances = self.dances("pictures")

        def loss_of(_step: int, generator: torch.Generator):
            return module(
                references_of(dances, torch.randint(len(dances), (REFERENCES,), generator=generator))
            )

        schedule = stages.IMAGE_ENCODER
        self.train("image_encoder", module, module.learners(), schedule=schedule, loss_of=loss_of)

    @torch.no_grad()
    def latents(self, kind: str, dances: DanceSet) -> Tensor:
        """Model latents `n f c h w` of a set, made once by the encoder."""
        path = self.folder / f"{kind}.latents.safetensors"
        if not path.exists():
            log.info("encoding %s", kind)
            encoder, _ = new_autoencoder()
            saved = self.finished("autoencoder")
            encoder.load_state_dict({k[8:]: v for k, v in saved.items() if k.startswith("encoder.")})
            flat = rearrange(dances.images, "n f c h w -> (n f) c h w")
            latents = [encode_pictures(encoder, as_floats(some)) for some in flat.split(32)]
            folded = rearrange(torch.cat(latents), "(n f) c h w -> n f c h w", n=len(dances))
            save_file({"latents": folded.contiguous()}, path)
        return load_file(path)["latents"]

    @torch.no_grad()
    def features(self, dances: DanceSet, vision: nn.Module) -> dict[str, Tensor]:
        """What the frozen image encoder sees in both references: `n m d` each, half precision."""
        seen = {}
        for branch in ("face", "cloth"):
            parts = [penultimate(vision, some).half() for some in getattr(dances, branch).split(64)]
            seen[branch] = torch.cat(parts)
        return seen

    def networks(self) -> Networks:
        """Everything as the last finished stage left it."""
        torch.manual_seed(self.seed + 2)
        networks = new_networks(TinyConfig())
        seen = self.finished("image_encoder")
        for part in ("vision", "guider"):
            own = {k.removeprefix(f"{part}."): v for k, v in seen.items() if k.startswith(f"{part}.")}
            getattr(networks, part).load_state_dict(own)
        for stage in stages.STAGES:
            if self.result(stage).exists():
                networks.load(self.finished(stage))
        return networks

    def stage(self, name: str) -> None:
        """One of the stages that learn from cached latents."""
        stage = stages.STAGES[name]
        networks = self.networks()
        if name == "video_control":
            networks.start_control_motion()
        kind = "pictures" if stage.frames == 1 else "clips"
        dances = self.dances(kind)
        batches = Batches(
            dances, stage, latents=self.latents(kind, dances), features=self.features(dances, networks.vision)
        )
        trainee = networks.trainee(stage.objective, motion=stage.motion)
        trainee.requires_grad_(False)
        learners = stage.learners(trainee)
        for parameter in learners.values():
            parameter.requires_grad_(True)

        def loss_of(step: int, generator: torch.Generator):
            with torch.autocast("cpu", torch.bfloat16, enabled=stage.bfloat16):
                return trainee(batches.draw(step, generator), generator)

        self.train(name, networks, learners, schedule=stage.schedule, loss_of=loss_of)

    def export(self, folder: Path) -> None:
        """Write Tiny's files from the last finished stages."""
        steps = sum(
            stage.schedule.steps for stage in stages.STAGES.values() if self.result(stage.name).exists()
        )
        done = "decoder" if self.result("decoder").exists() else "autoencoder"
        frames = stages.EXPRESSION.frames
        export_tiny(self.networks(), self.finished(done), folder, frames=frames, steps=steps)
        log.info("wrote DreaMoving-Tiny to %s", folder)
