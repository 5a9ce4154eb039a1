"""`python run.py train ...`: the command line of the trainer."""

import argparse
import importlib
import logging
from pathlib import Path

from ..errors import DreaMovingError, InputError
from .run_options import add_run_options, settings_of, start
from .stages import SCHEDULES, SECONDS_PER_STEP, STAGES, Settings, with_settings
from .tiny import TinyRun
from .trainer import new_accelerator

OTHERS = {
    "sd15": "sd15_cli",
    "prepare": "prepare.cli",
    "detectors": "detectors_cli",
    "joints": "joint_regressor",
    "curves": "curves",
}  # each has its own `main`


def budget(stages: list[str], settings: Settings) -> str:
    """What the stages that are left will take with these settings, in words."""
    if not stages:
        return "budget: everything is done, nothing is left to train"
    changed = {stage: with_settings(SCHEDULES[stage], settings) for stage in stages}
    minutes = {s: c.steps * c.accumulate * SECONDS_PER_STEP[s] / 60 for s, c in changed.items()}
    parts = ", ".join(f"{s} {changed[s].steps} steps ({m:.0f} min)" for s, m in minutes.items())
    return f"budget: {parts}; about {sum(minutes.values()):.0f} minutes on one core, drawing not counted"


def train_tiny(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="run.py train tiny", description="Train DreaMoving-Tiny from nothing."
    )
    parser.add_argument(
        "--stage",
        choices=(*SCHEDULES, "export"),
        help="only this stage (default: all that are not done, in order, then export)",
    )
    parser.add_argument("--export", type=Path, default=Path("out/tiny"), help="where the finished files go")
    parser.add_argument(
        "--warm-start",
        metavar="FOLDER",
        help="take what is not done here from another run, or from 'shipped'",
    )
    parser.add_argument(
        "--identity", action="store_true", help="with a face recogniser beside the image encoder"
    )
    parser.add_argument(
        "--one-branch",
        action="store_true",
        help="one image branch for both pictures, as public workflows are wired; for comparison",
    )
    add_run_options(parser, folder=Path(".checkpoints/tiny"))
    args = parser.parse_args(argv)
    start(args)
    if args.warm_start and not args.stage:
        raise InputError("--warm-start goes with --stage: a whole run starts from nothing.")
    settings = settings_of(args)
    run = TinyRun(
        args.folder,
        accelerator=new_accelerator(device=args.device),
        seed=args.seed,
        warm_start=args.warm_start,
        identity=args.identity,
        one_branch=args.one_branch,
        settings=settings,
        tensorboard=args.tensorboard,
        dry=args.dry_run,
    )
    if args.stage == "export":
        run.export(args.export)
        return 0
    order = [args.stage] if args.stage else run.order()
    left = [stage for stage in order if not run.done(stage)]
    logging.info(budget(left, settings))
    for stage in order:
        if stage not in left:
            logging.info("%s is done", stage)
        elif stage in STAGES:
            run.stage(stage)
        else:
            getattr(run, stage)()
    if not args.stage and not args.dry_run:
        run.export(args.export)
    return 0


def main(argv: list[str]) -> int:
    """`tiny`, or one of OTHERS; an error that a person can mend is one line."""
    what, words = (argv[0], argv[1:]) if argv else ("", [])
    try:
        if what in OTHERS:
            return importlib.import_module(f".{OTHERS[what]}", __package__).main(words)
        if what == "tiny":
            return train_tiny(words)
    except DreaMovingError as error:
        logging.error("error: %s", error)
        return 1
    logging.error("error: what is to be trained? One of: tiny, %s.", ", ".join(OTHERS))
    return 2
