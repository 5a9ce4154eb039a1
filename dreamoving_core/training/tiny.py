"""Trains DreaMoving-Tiny from nothing, stage after stage; each can be cut and resumes exactly."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..bridge.content_guider import numbered_widths
from ..bridge.trainable import new_base, new_content_guider, new_image_encoder
from ..tiny import files
from ..tiny.config import TinyConfig
from . import stages
from .autoencoder import AutoencoderLoss, crop_source
from .batches import Batches
from .dances import DanceSet, as_floats, encode_pictures
from .draws import sample_generator
from .dry_run import dry_run
from .export import export_style_lora, export_tiny
from .face_recogniser import ArcFaceLoss, export_face_recogniser, face_source, identities
from .image_encoder import AttributeLoss, StyleLoss, features_of, pair_source, reference_source
from .lineage import TRAINED_BY, made, motion_frames
from .lora import Lora
from .networks import Networks, new_networks
from .preview import previewer
from .rendering import CLASS_COUNTS, danced, face_pool, picture_pool, poses_of, reference_pictures
from .run_facts import changes
from .schedule import Schedule
from .stages import Stage
from .tiny_sets import SetSpec, set_of
from .trainer import Source, Trainer, save_atomically
from .warm_start import Results

log = logging.getLogger(__name__)

CROPS = 24  # of 64 x 64 pixels in a batch of the autoencoder
PICTURES = 4000  # to take crops from
MIX = (0, 0, 1)  # drawing styles of those, in turn: what the autoencoder cannot draw, no LoRA can [ours]
REFERENCES = 48  # dancers in a batch of the image encoder
PAIRS = 3000  # people who are drawn in both styles
PEOPLE, FACES = 400, 6  # of the face recogniser: people, pictures of each
DRY_CLIPS = 8  # drawn for a dry run instead of a whole set


class TinyRun:
    """A folder with everything that a run has learned so far."""

    def __init__(
        self,
        folder: Path,
        *,
        accelerator: Any,
        seed: int = 0,
        warm_start: str | Path | None = None,
        identity: bool = False,
        one_branch: bool = False,
        settings: Mapping[str, Any] | None = None,
        tensorboard: bool = False,
        dry: bool = False,
    ) -> None:
        """`settings` are other numbers for the stages (`stages.changed`); `dry` reports and saves nothing."""
        self.folder, self.seed, self.accelerator, self.dry = folder, seed, accelerator, dry
        self.settings, self.tensorboard = settings or {}, tensorboard
        self.identity, self.one_branch = identity, one_branch
        self.results = Results(folder, warm_start)
        folder.mkdir(parents=True, exist_ok=True)

    def done(self, stage: str) -> bool:
        return self.results.own(stage).exists() and not self.dry

    def order(self) -> list[str]:
        """The stages of a whole run; a face recogniser only where it is wanted."""
        wanted = ("face_recogniser",) if self.identity else ()
        return [name for name in stages.SCHEDULES if name not in stages.OPTIONAL or name in wanted]

    def train(self, name: str, module: nn.Module, *, source: Source, samples: int, **beside: Any) -> None:
        """Run a stage to its end and keep what it learned: `keeps`, or the module. `schedule` and `preview` go along."""
        keeps = beside.pop("keeps", module)
        trainer = Trainer(
            name,
            module,
            source=source,
            samples=samples,
            folder=self.folder,
            accelerator=self.accelerator,
            seed=self.seed,
            tensorboard=self.tensorboard,
            settings=self.unusual(name),
            **beside,
        )
        if self.dry:
            log.info("\n".join(dry_run(trainer)))
            return
        trainer.run()
        if self.accelerator.is_main_process:
            weights = {name: p.detach().contiguous() for name, p in keeps.state_dict().items()}
            save_atomically(weights, self.results.own(name))
            self.results.keep_parents()
        self.accelerator.wait_for_everyone()

    def unusual(self, name: str) -> dict[str, Any]:
        """What sets this run of a stage apart from the stage's own numbers."""
        options = {"identity": self.identity, "one_branch": self.one_branch}
        given = {option: True for option, chosen in options.items() if chosen}
        if name in stages.STAGES:
            preset = stages.STAGES[name]
            return changes(preset, stages.changed(preset, self.settings)) | given
        return changes(stages.SCHEDULES[name], self.schedule(name)) | given

    def schedule(self, name: str) -> Schedule:
        """Of a stage that is no Stage."""
        return stages.with_settings(stages.SCHEDULES[name], self.settings)

    def pool(self, *, first_seed: int) -> tuple[Tensor, Tensor]:
        return picture_pool(count=DRY_CLIPS if self.dry else PICTURES, first_seed=first_seed, styles=MIX)

    def autoencoder(self) -> None:
        """Encoder and decoder together."""
        torch.manual_seed(self.seed)
        module = AutoencoderLoss(learn_encoder=True)
        source = crop_source(self.pool(first_seed=100_000_000))
        self.train("autoencoder", module, source=source, samples=CROPS, schedule=self.schedule("autoencoder"))

    def decoder(self) -> None:
        """The decoder alone; the encoder stays what all other stages are trained on."""
        module = AutoencoderLoss(learn_encoder=False)
        self.load(module, ["autoencoder"])
        source = crop_source(self.pool(first_seed=200_000_000))
        self.train("decoder", module, source=source, samples=CROPS, schedule=self.schedule("decoder"))

    def load(self, module: nn.Module, names: list[str]) -> None:
        """What the last of these stages learned; a dry run may go without."""
        found = self.results.latest(names) if self.dry else self.results.needed(names)
        if found is not None:
            module.load_state_dict(found)

    def dances(self, wanted: SetSpec) -> DanceSet:
        """A set of pictures or clips; drawn at the first call, by the first process."""
        path = self.results.find(f"{wanted.name}.safetensors")
        if self.dry and not path.exists():
            return wanted.draw(DRY_CLIPS)
        with self.accelerator.main_process_first():
            if not path.exists():
                log.info("drawing %s", wanted.name)
                wanted.draw(wanted.count).save(path)
        return DanceSet.load(path)

    def image_encoder(self) -> None:
        """The image encoder and the token encoders of both branches."""
        torch.manual_seed(self.seed + 1)
        config = TinyConfig()
        sites = numbered_widths(new_base(config).diffusion_model)
        guider = new_content_guider(config, sites=sites, identity=self.identity, one_branch=self.one_branch)
        module = AttributeLoss(new_image_encoder(config), guider, kinds=CLASS_COUNTS)
        source, schedule = reference_source(self.dances(SetSpec())), self.schedule("image_encoder")
        self.train("image_encoder", module, source=source, samples=REFERENCES, schedule=schedule)

    def image_styles(self) -> None:
        """The image encoder learns to see through another drawing style; everything else stays."""
        networks, dances = self.networks(before="image_styles"), self.dances(SetSpec())
        count = min(len(dances), PAIRS)
        drawn = reference_pictures([clip[0] for clip in danced(count, 1)], list(range(count)), style=1)
        others = {branch: drawn[branch][0] for branch in networks.guider.config.branches()}
        self.train(
            "image_styles",
            StyleLoss(networks.vision, networks.guider),
            source=pair_source(dances, others),
            samples=REFERENCES,
            schedule=self.schedule("image_styles"),
            keeps=networks,
        )

    def face_recogniser(self) -> None:
        """The identities that the Content Guider's supplement reads."""
        torch.manual_seed(self.seed + 3)
        people, faces = (DRY_CLIPS, 2) if self.dry else (PEOPLE, FACES)
        module = ArcFaceLoss(people)
        source = face_source(face_pool(people=people, pictures=faces, first_seed=500_000_000))
        schedule = self.schedule("face_recogniser")
        self.train(
            "face_recogniser",
            module,
            source=source,
            samples=REFERENCES,
            schedule=schedule,
            keeps=module.network,
        )

    @torch.no_grad()
    def latents(self, dances: DanceSet, kind: str) -> Tensor:
        """Model latents `n f c h w` of the set of that name, made once by the encoder."""
        name = f"{kind}.latents.safetensors"
        # another run's latents are of its encoder
        path = self.folder / name if self.results.own("autoencoder").exists() else self.results.find(name)
        with self.accelerator.main_process_first():
            if not path.exists() or self.dry:
                log.info("encoding %s", kind)
                module = AutoencoderLoss(learn_encoder=False)
                self.load(module, ["autoencoder"])
                encoder, device = module.encoder.to(self.accelerator.device), self.accelerator.device
                flat = rearrange(dances.images, "n f c h w -> (n f) c h w")
                latents = [
                    encode_pictures(encoder, as_floats(some.to(device))).cpu() for some in flat.split(32)
                ]
                folded = rearrange(torch.cat(latents), "(n f) c h w -> n f c h w", n=len(dances)).contiguous()
                if self.dry:
                    return folded
                save_file({"latents": folded}, path)
        return load_file(path)["latents"]

    def networks(self, before: str | None = None) -> Networks:
        """Everything as the last finished stage left it; of those before a stage, if one is named."""
        torch.manual_seed(self.seed + 2)
        networks = new_networks(TinyConfig(), identity=self.identity, one_branch=self.one_branch)
        names = list(stages.HANDED_ON)
        found = self.results.latest(names[: names.index(before)] if before in names else names)
        if found is not None:
            networks.load(found)
            return networks
        seen = self.results.latest(["image_encoder"]) if self.dry else self.results.needed(["image_encoder"])
        for part in ("vision", "guider") if seen else ():
            networks.load({k: v for k, v in seen.items() if k.startswith(f"{part}.")}, part=part)
        return networks

    def stage(self, name: str) -> None:
        """One of the stages that learn from cached latents."""
        stage = stages.changed(stages.STAGES[name], self.settings)
        networks = self.networks(before=name)
        networks.prepare(stage.init)
        lora = Lora(networks.base.diffusion_model, rank=stage.low_rank) if stage.low_rank else None
        wanted, device = set_of(stage), self.accelerator.device
        dances = self.dances(wanted)
        latents, features = self.latents(dances, wanted.name), {}
        if stage.guidance:
            features = features_of(dances, networks.vision, device=device)
        source = Batches(
            dances.to(device),
            stage,
            latents=latents.to(device),
            features=features,
            identities=self.identities(dances) if self.identity and stage.guidance else None,
            poses=poses_of(len(dances), stage),
        )
        motion, checkpointing = stage.motion, stage.checkpointing
        trainee = networks.trainee(stage.objective, motion=motion, checkpointing=checkpointing)
        trainee.requires_grad_(False)
        for parameter in stage.learners(trainee).values():
            parameter.requires_grad_(True)
        networks.to(device, memory_format=torch.channels_last)  # a tenth less time on a CPU [ours]
        preview = self.preview(trainee, source, stage) if stage.schedule.preview_every else None
        self.train(
            name,
            trainee,
            source=source,
            samples=stage.clips,
            schedule=stage.schedule,
            keeps=networks if lora is None else lora,
            preview=preview,
        )

    def identities(self, dances: DanceSet) -> Tensor:
        """The face recogniser's view of each dancer's face reference."""
        module = ArcFaceLoss(1).network
        self.load(module, ["face_recogniser"])
        return identities(module, dances).to(self.accelerator.device)

    def preview(self, trainee: nn.Module, source: Batches, stage: Stage):
        """Previews of the same few clips, through the decoder as it is."""
        module = AutoencoderLoss(learn_encoder=False)
        self.load(module, ["autoencoder", "decoder"])
        decoder = module.decoder.to(self.accelerator.device)
        generators = [sample_generator(seed=0, stage="preview", step=0, sample=i) for i in range(stage.clips)]
        batch, _ = source(0, generators)

        @torch.no_grad()
        def decode(latents: Tensor) -> Tensor:
            return decoder(latents)

        return previewer(trainee, batch, decode=decode, folder=self.folder, stage=stage.name)

    def export(self, folder: Path) -> None:
        """Write Tiny's files from the last finished stages."""
        autoencoder, networks = self.results.needed(["autoencoder", "decoder"]), self.networks()
        frames = motion_frames(self.results, self.settings)
        story = {name: made(name, self.results, self.settings) for name in TRAINED_BY}
        export_tiny(networks, autoencoder, folder, frames=frames, made=story)
        if self.identity:
            module = ArcFaceLoss(1).network
            self.load(module, ["face_recogniser"])
            export_face_recogniser(module, folder / files.FACE_RECOGNISER)
        if self.results.own("style_lora").exists():
            stage = stages.changed(stages.STYLE_LORA, self.settings)
            lora = Lora(networks.base.diffusion_model, rank=stage.low_rank)
            self.load(lora, ["style_lora"])
            export_style_lora(lora, folder, made=story[files.STYLE_LORA])
        log.info("wrote DreaMoving-Tiny to %s", folder)
