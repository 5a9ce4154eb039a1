"""`python -m dreamoving_core.weights`: says what a weight file is, converts one, or prints the table of formats."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from ..errors import WeightsError
from .content_guider import BranchChoice
from .convert import Conversion, DTypeChoice, convert
from .format_table import write_table
from .inspection import inspect
from .ip_adapter_variants import VariantChoice


def arguments() -> argparse.ArgumentParser:
    """The three commands."""
    parser = argparse.ArgumentParser(prog="python -m dreamoving_core.weights", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("inspect", help="say what a weight file is")
    one.add_argument("file", type=Path)
    one.add_argument("--whole", action="store_true", help="read the numbers too: SHA-256, NaN")
    two = commands.add_parser("convert", help="write a public file in DreaMoving's own format")
    two.add_argument("source", type=Path)
    two.add_argument("target", type=Path, help="a new .safetensors file")
    two.add_argument(
        "--branch", choices=get_args(BranchChoice), default="both", help="where an IP-Adapter goes"
    )
    two.add_argument(
        "--variant", choices=get_args(VariantChoice), default="auto", help="what tensors cannot tell"
    )
    two.add_argument("--dtype", choices=get_args(DTypeChoice), default="keep")
    two.add_argument(
        "--license", default="", help="SPDX name of the new file's licence; the parent's without it"
    )
    two.add_argument("--title", default="")
    two.add_argument("--overwrite", action="store_true")
    three = commands.add_parser("formats", help="write the table of formats into docs/weights.md")
    three.add_argument("file", type=Path)
    return parser


def run(words: argparse.Namespace) -> list[str]:
    """What a command has to say. Raises WeightsError."""
    if words.command == "inspect":
        return inspect(words.file, whole=words.whole)
    if words.command == "formats":
        return write_table(words.file)
    choice = Conversion(
        branch=words.branch,
        variant=words.variant,
        dtype=words.dtype,
        license=words.license,
        title=words.title,
        overwrite=words.overwrite,
    )
    return convert(words.source, words.target, choice)


def main() -> int:
    """The command line; 1 when a file is refused."""
    words = arguments().parse_args()
    try:
        sys.stdout.write("\n".join(run(words)) + "\n")
    except WeightsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
