"""`python run.py train tiny`: the command line of the trainer."""

import argparse
import logging
from pathlib import Path

import torch

from .stages import STAGES
from .tiny import TinyRun

ORDER = ("autoencoder", "decoder", "image_encoder", *STAGES)


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
    for stage in [args.stage] if args.stage else ORDER:
        if run.result(stage).exists():
            logging.info("%s is done", stage)
        elif stage in STAGES:
            run.stage(stage)
        else:
            getattr(run, stage)()
    if not args.stage:
        run.export(args.export)
    return 0
