"""`python run.py train sd15 --stage NAME`: the paper's stages on Stable Diffusion 1.5."""

import argparse
import logging
from pathlib import Path
from typing import Any

from .draws import sample_generator
from .dry_run import dry_run, parameter_table
from .folder_source import FolderSource
from .preview import previewer
from .run_facts import changes
from .run_options import add_run_options, settings_of, start
from .sd15 import Files, Sd15Networks, build, departures, export
from .stages import Stage, changed
from .stages_sd15 import STAGES
from .trainer import Trainer, new_accelerator

log = logging.getLogger(__name__)


def parsed(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py train sd15", description=__doc__.split(": ")[1])
    parser.add_argument("--stage", choices=tuple(STAGES), required=True)
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder: docs/training.md says how it looks"
    )
    parser.add_argument("--base", type=Path, required=True, help="a Stable Diffusion 1.5 checkpoint")
    parser.add_argument("--motion", type=Path, help="a motion model; without one the blocks start new")
    parser.add_argument("--control", type=Path, help="a ControlNet; without one it starts as the U-Net")
    parser.add_argument("--control-kind", choices=["pose", "depth"], default="pose")
    parser.add_argument("--content-guider", type=Path, help="a Content Guider or IP-Adapter to start from")
    parser.add_argument("--clip-vision", type=Path, help="the image encoder, OpenCLIP ViT-H/14")
    parser.add_argument("--face-recogniser", type=Path, help="an insightface folder, for the supplement")
    parser.add_argument("--export", type=Path, default=Path("out/sd15"), help="where the finished file goes")
    parser.add_argument("--license", default="", help="of the result, an SPDX name, for its header")
    add_run_options(parser, folder=Path(".checkpoints/sd15"))
    return parser.parse_args(argv)


def stage_of(args: argparse.Namespace) -> Stage:
    """The preset with the settings of this run."""
    stage = STAGES[args.stage]
    kinds = [args.control_kind if kind == "pose" else kind for kind in stage.controls]
    return changed(stage, {"controls": kinds} | settings_of(args))


def files_of(args: argparse.Namespace) -> Files:
    return Files(
        base=args.base,
        motion=args.motion,
        control=args.control,
        content_guider=args.content_guider,
        clip_vision=args.clip_vision,
        face_recogniser=args.face_recogniser,
    )


def train(
    stage: Stage, networks: Sd15Networks, source: FolderSource, args: argparse.Namespace, accelerator: Any
) -> Trainer:
    """The stage to its end, or its report; the networks then hold what was learned."""
    preview = None
    if stage.schedule.preview_every:
        first = [sample_generator(seed=0, stage="preview", step=0, sample=i) for i in range(stage.clips)]
        decode, (batch, _) = networks.encoders.decoded, source(0, first)
        preview = previewer(networks.trainee, batch, decode=decode, folder=args.folder, stage=stage.name)
    trainer = Trainer(
        stage.name,
        networks.trainee,
        schedule=stage.schedule,
        source=source,
        samples=stage.clips,
        folder=args.folder,
        accelerator=accelerator,
        seed=args.seed,
        preview=preview,
        tensorboard=args.tensorboard,
        settings=changes(STAGES[stage.name], stage),
    )
    if args.dry_run:
        log.info("\n".join(dry_run(trainer)))
    else:
        log.info("\n".join([f"stage {stage.name}", *parameter_table(networks.trainee)]))
        trainer.run()
    return trainer


def main(argv: list[str]) -> int:
    args = parsed(argv)
    start(args)
    stage = stage_of(args)
    accelerator = new_accelerator(device=args.device)
    files = files_of(args)
    if accelerator.is_main_process:
        for text in departures(stage, files, processes=accelerator.num_processes):
            log.warning("not as in the paper: %s.", text)
    networks = build(stage, files)
    source = FolderSource(args.data, stage, encoders=networks.encoders, guider=networks.trainee.guider)
    trainer = train(stage, networks, source, args, accelerator)
    if accelerator.is_main_process and not args.dry_run:
        data, steps = args.data.name, trainer.step
        export(networks, stage, args.export, files=files, steps=steps, data=data, license=args.license)
    return 0
