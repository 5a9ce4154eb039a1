"""`python run.py train prepare FOLDER --out SET`: videos and pictures to a training set."""

import argparse
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...tiny import files as tiny
from .cache import Cache, load_encoders, stage_sizes
from .captions import PROMPT, Captions, load_captioner, read_table
from .dances import WORD, dance_sources
from .manifest import refuse_other_settings
from .people import PeopleBars
from .plan import PlanSettings
from .quality import QualityBars
from .run import PrepareRun
from .shots import scenedetect
from .sources import find_sources
from .tools import ToolSettings, open_tools
from .video import WorkSettings

log = logging.getLogger(__name__)


def parsed(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py train prepare", description=__doc__.split(": ")[1])
    parser.add_argument(
        "source", metavar="FOLDER", help="videos and pictures, also in its folders; or procdance:COUNT"
    )
    parser.add_argument("--out", type=Path, required=True, help="the set; started again it goes on")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="processes")
    add_clip_options(parser)
    models = parser.add_argument_group("models (none is downloaded; FILE may be 'tiny' for drawn dancers)")
    models.add_argument("--detector", metavar="FILE", help="person detector, such as yolox_l.onnx")
    models.add_argument("--pose-model", metavar="FILE", help="point network, such as dw-ll_ucoco_384.onnx")
    models.add_argument("--depth-model", metavar="FILE", help="ZoeDepth: a file of its authors, or a folder")
    models.add_argument("--device", default="auto", help="of the detectors: auto, CPU, CUDA, ...")
    captions = parser.add_argument_group("captions (a .txt beside a video goes before all of these)")
    captions.add_argument("--csv", type=Path, help="a table as WebVid's: videoid, name; or file, caption")
    captions.add_argument("--captions-model", type=Path, metavar="FOLDER", help="a vision-language model")
    captions.add_argument("--captions-prompt", default=PROMPT, help="what it is asked")
    cache = parser.add_argument_group("latents and embeddings (left out, the trainer encodes in every step)")
    cache.add_argument(
        "--base", type=Path, help="a Stable Diffusion 1.5 checkpoint: its VAE and text encoder"
    )
    cache.add_argument("--clip-vision", type=Path, help="the image encoder, for face and clothes")
    cache.add_argument("--face-recogniser", type=Path, help="an insightface folder, for the supplement")
    cache.add_argument("--sizes", type=int, nargs="+", default=list(stage_sizes()), help="pixels of latents")
    return parser.parse_args(argv)


def add_clip_options(parser: argparse.ArgumentParser) -> None:
    plan, quality, people = PlanSettings(), QualityBars(), PeopleBars()
    clips = parser.add_argument_group("clips and what is left out")
    add = clips.add_argument
    add(
        "--seconds", type=float, nargs=2, default=list(plan.seconds), metavar=("MIN", "MAX"), help="[DM §2.1]"
    )
    add("--guard", type=float, default=plan.guard, help="seconds kept away from every transition")
    add("--reserve", type=float, default=plan.reserve, help="seconds of a shot kept for face and clothes")
    add("--short-side", type=int, default=720, help="larger videos are shrunk to it, pixels")
    add("--min-side", type=int, default=quality.min_side, help="smaller videos are left out, pixels")
    add("--sharpness", type=float, default=quality.sharpness, help="variance of the Laplacian; 0 keeps all")
    add("--motion", type=float, default=quality.motion, help="of the picture in a quarter of a second")
    add("--darkest", type=float, default=quality.darkest, help="mean brightness, 0 to 1")
    add("--brightest", type=float, default=quality.brightest, help="mean brightness, 0 to 1")
    add("--nobody", type=float, default=people.nobody, help="share of the frames that may show nobody")
    add("--several", type=float, default=people.several, help="share that may show more than one person")
    add("--face-side", type=int, default=people.face_side, help="smaller faces make no picture, pixels")


def settings_of(args: argparse.Namespace) -> WorkSettings:
    """InputError for model files that are missing, or that lack their partner."""
    if bool(args.detector) != bool(args.pose_model):
        raise InputError("--detector and --pose-model go together: one finds people, the other their joints.")
    if args.jobs < 1:
        raise InputError(f"--jobs is at least 1, got {args.jobs}.")
    paths = {
        "detector": model_path(args.detector, "--detector", tiny.PERSON_DETECTOR),
        "points": model_path(args.pose_model, "--pose-model", tiny.POINT_DETECTOR),
        "depth": model_path(args.depth_model, "--depth-model", tiny.DEPTH),
    }
    with_people = paths["points"] is not None
    return WorkSettings(
        plan=PlanSettings(
            seconds=tuple(args.seconds), guard=args.guard, reserve=args.reserve if with_people else 0.0
        ),
        quality=QualityBars(
            min_side=args.min_side,
            sharpness=args.sharpness,
            motion=args.motion,
            darkest=args.darkest,
            brightest=args.brightest,
        ),
        people=PeopleBars(nobody=args.nobody, several=args.several, face_side=args.face_side),
        tools=ToolSettings(device=args.device, **paths),
        short_side=args.short_side,
        threads=max(1, (os.cpu_count() or 1) // args.jobs),
    )


def model_path(word: str | None, option: str, own: str) -> Path | None:
    return None if word is None else tiny.chosen(word, option=option, own=own)


def remembered(args: argparse.Namespace, settings: WorkSettings) -> dict[str, Any]:
    """What must not change between two starts of one set; files by their names, as folders move."""
    found = asdict(settings)
    tools = {
        name: path.name for name, path in found.pop("tools").items() if isinstance(path, Path)
    }  # device and threads may differ
    found.pop("threads")
    flat = {"seconds": list(found["plan"].pop("seconds")), "short_side": found["short_side"]}
    flat |= found["plan"] | found["quality"] | found["people"] | tools
    for name in ("csv", "captions_model", "base", "clip_vision", "face_recogniser"):
        if path := getattr(args, name):
            flat[name] = path.name
    if args.captions_model:
        flat["captions_prompt"] = args.captions_prompt
    return flat | ({"sizes": sorted(set(args.sizes))} if args.base else {})


def main(argv: list[str]) -> int:
    args = parsed(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    run, sources = prepared(args)
    for line in run.run(sources):
        log.info("%s", line)
    log.info("report, contact sheet: %s", args.out / "report")
    return 0


def prepared(args: argparse.Namespace) -> tuple[PrepareRun, list]:
    """Everything opened and checked before the first video is touched."""
    if args.clip_vision and not args.base:
        raise InputError("--clip-vision goes with --base: the set is encoded for one base model.")
    settings = settings_of(args)
    drawn = args.source.startswith(WORD)
    sources = dance_sources(args.source) if drawn else find_sources(Path(args.source), out=args.out)
    if any(not source.is_picture and source.seed is None for source in sources):
        scenedetect()
    open_tools(settings.tools)
    captions = Captions(
        table=read_table(args.csv) if args.csv else {},
        model=load_captioner(args.captions_model, prompt=args.captions_prompt)
        if args.captions_model
        else None,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    refuse_other_settings(args.out, remembered(args, settings))
    cache = None
    if args.base:
        encoders = load_encoders(args.base, vision=args.clip_vision, recogniser=args.face_recogniser)
        cache = Cache(args.out, encoders, sizes=tuple(sorted(set(args.sizes))))
    if settings.tools.points is None and not drawn:
        log.info("without --detector and --pose-model: no poses, no crops, and nobody counts the people")
    run = PrepareRun(out=args.out, settings=settings, captions=captions, cache=cache, jobs=args.jobs)
    return run, sources
