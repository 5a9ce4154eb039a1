"""`python run.py train detectors`: the command line of Tiny's detectors."""

import argparse
import logging
from pathlib import Path

import torch

from ..tiny import files
from .depth_detector import train_depth
from .detector_onnx import export_detectors
from .pose_detectors import SCHEDULES, SECONDS_PER_STEP, DetectorRun


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py train detectors", description=__doc__.split(": ")[1])
    parser.add_argument(
        "--stage", choices=tuple(SCHEDULES), help="only this one (default: both, then export)"
    )
    parser.add_argument("--folder", type=Path, default=Path(".checkpoints/detectors"))
    parser.add_argument("--export", type=Path, default=Path("out/tiny"), help="where the .onnx files go")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    torch.set_num_threads(1)
    run = DetectorRun(args.folder, seed=args.seed)
    stages = [args.stage] if args.stage else list(SCHEDULES)
    left = [stage for stage in stages if not run.result(stage).exists()]
    minutes = sum(SCHEDULES[stage].steps * SECONDS_PER_STEP[stage] for stage in left) / 60
    logging.info("about %.0f minutes on one core, drawing not counted", minutes)
    for stage in left:
        run.train(stage)
    if not args.stage:
        export_detectors(run.network("person"), run.network("points"), args.export)
        train_depth(args.folder, export=args.export / files.DEPTH, seed=args.seed)
    return 0
