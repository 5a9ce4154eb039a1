"""`python run.py train tiny`: the command line of the trainer."""

import argparse
import logging
from pathlib import Path

import torch

from .stages import SCHEDULES, SECONDS_PER_STEP, STAGES
from .tiny import TinyRun

ORDER = tuple(SCHEDULES)


def budget(stages: list[str]) -> str:
    """What the stages that are left will take, in words."""
    minutes = {stage: SCHEDULES[stage].steps * SECONDS_PER_STEP[stage] / 60 for stage in stages}
    parts = ", ".join(f"{s} {SCHEDULES[s].steps} steps ({m:.0f} min)" for s, m in minutes.items())
    return f"budget: {parts}; about {sum(minutes.values()):.0f} minutes on one core, drawing not counted"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py train", description="Train DreaMoving-Tiny from nothing.")
    parser.add_argument("what", choices=["tiny"])
    parser.add_argument(
        "--stage", choices=ORDER, help="only this stage (default: all that are not done, in order)"
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(".checkpoints/tiny"), help="where checkpoints are kept"
    )
    parser.add_argument("--export", type=Path, default=Path("out/tiny"), help="where the finished files go")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    torch.set_num_threads(1)
    run = TinyRun(args.folder, seed=args.seed)
    stages = [args.stage] if args.stage else list(ORDER)
    logging.info(budget([stage for stage in stages if not run.result(stage).exists()]))
    for stage in stages:
        if run.result(stage).exists():
            logging.info("%s is done", stage)
        elif stage in STAGES:
            run.stage(stage)
        else:
            getattr(run, stage)()
    if not args.stage:
        run.export(args.export)
    return 0
