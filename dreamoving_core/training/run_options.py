"""Words of the command line that every training takes."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError


def add_run_options(parser: argparse.ArgumentParser, *, folder: Path) -> None:
    """What every training takes."""
    parser.add_argument("--folder", type=Path, default=folder, help="where checkpoints and logs are kept")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and of every draw")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; 1 is the fastest for Tiny")
    parser.add_argument(
        "--config", type=Path, help="a JSON file with settings, such as steps or learning_rate"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, over the file's"
    )
    parser.add_argument("--tensorboard", action="store_true", help="curves for TensorBoard too")
    parser.add_argument(
        "--dry-run", action="store_true", help="parameters, memory and time of a step; saves nothing"
    )


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of --config and --set. InputError for what cannot be read."""
    found: dict[str, Any] = {}
    if args.config:
        try:
            found = json.loads(args.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"The settings in {args.config} cannot be read: {error}.") from error
        if not isinstance(found, dict):
            raise InputError(f'{args.config} must hold a JSON object, like {{"steps": 100}}.')
    for entry in args.set:
        name, equals, value = entry.partition("=")
        if not equals:
            raise InputError(f"--set takes NAME=VALUE, got '{entry}'. For example --set steps=100.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value  # a word needs no quotes
    return found


def start(args: argparse.Namespace) -> None:
    """Logging and threads, as every training wants them."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    torch.set_num_threads(args.threads)
