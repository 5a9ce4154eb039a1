"""`python -m dreamoving_core.weights inspect FILE`: what a weight file is, without loading its numbers."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from ..errors import WeightsError
from .content_guider import read_content_guider
from .formats import Layout, detect
from .io import WeightsFile, read_weights
from .motion import read_motion
from .video_controlnet import read_video_controlnet


def inspect(path: Path) -> list[str]:
    """Lines of text. Raises WeightsError where a loader would, with the loader's words."""
    file = read_weights(path, values=False)
    found = detect(file.shapes)
    tensors = file.state_dict.values()
    dtypes = Counter(str(t.dtype).removeprefix("torch.") for t in tensors)
    lines = [
        f"{file.name}: {found.title}",
        f"  kind        {found.kind}",
        f"  size        {path.stat().st_size / 1e6:,.1f} MB, {len(file.state_dict)} tensors, "
        f"{sum(t.numel() for t in tensors) / 1e6:,.2f} million numbers ({', '.join(sorted(dtypes))})",
    ]
    lines += [f"  {name:<11} {value}" for name, value in details(file, found.kind).items() if value]
    lines.append(f"  next        {found.remedy}")
    lines += [f"  metadata    {key} = {value}" for key, value in sorted(file.metadata.items())]
    return lines


def details(file: WeightsFile, kind: str) -> dict[str, str]:
    """What the kinds that DreaMoving runs have to say, by the loaders' own reading of them."""
    if kind == "motion_model":
        weights = read_motion(file)
        info = weights.info
        return {
            "version": info.version,
            "channels": f"down {weights.config.down}, mid {weights.config.mid}, up {weights.config.up}",
            "positions": "by formula" if info.positions is None else f"{info.positions} rows stored",
            "betas": info.betas,
            "notes": " ".join(info.notes),
            "not used": ", ".join(info.left_out[:5]),
        }
    if kind in ("video_controlnet", "controlnet"):
        control = read_video_controlnet(file)
        return {"base": control.base, "not used": ", ".join(control.left_out[:5])}
    if kind in ("content_guider", "ip_adapter"):
        guider = read_content_guider(file)
        branches = guider.config.branches().items()
        tokens = [f"{name}: {b.encoder.kind}, {b.encoder.tokens} tokens, {b.clip}" for name, b in branches]
        return {
            "base": Layout(file.shapes).base,
            "branches": "; ".join(tokens),
            "not used": ", ".join(guider.left_out[:5]),
        }
    return {}


def main() -> int:
    """The command line; 1 when the file is refused."""
    parser = argparse.ArgumentParser(prog="python -m dreamoving_core.weights", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("inspect", help="say what a weight file is")
    command.add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        sys.stdout.write("\n".join(inspect(arguments.file)) + "\n")
    except WeightsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
