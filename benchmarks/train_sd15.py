"""`python run.py bench train-sd15 [--stage NAME ...]`: the paper's stages take real steps on full-size random files.

On the CPU in float32, at a tiny resolution, two steps each, every stage on what the one before it wrote. Checked: only
the stage's own parameters move, and the file that it writes comes back from the node that loads it. Some 16 GB of
memory and 7 GB of disk; `--work FOLDER` keeps the files for another time.
"""

import argparse
import gc
import json
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ._sd15_files import write_files

ROOT = Path(__file__).absolute().parents[1]
NAME = "train_sd15"
WRITTEN = {
    "content_guider": "dreamoving_content_guider.safetensors",
    "long_frame": "dreamoving_long_frame.safetensors",
    "video_control": "dreamoving_video_control_pose.safetensors",
    "expression": "dreamoving_expression.safetensors",
}
TAKES = {
    "content_guider": ("clip_vision", "face_recogniser"),
    "long_frame": ("motion",),
    "video_control": ("long_frame as motion", "control"),
    "expression": ("long_frame as motion", "video_control as control"),
}
SMALL = ["steps=2", "size=64", "frames=2", "stride=1", "precision=no", "checkpoint_every=0"]
STILL = ["steps=2", "size=64", "clips=1", "precision=no", "checkpoint_every=0"]


def write_data(folder: Path) -> None:
    """Two short drawn dances with pose pictures, captions and references."""
    from ..dreamoving_core.preprocess.draw_pose import draw_keypoints
    from ..dreamoving_core.procdance.clip import ClipSpec, render_clip
    from ..dreamoving_core.video.encode import encode_video

    for seed in range(2):
        clip = render_clip(ClipSpec(seed=seed, num_frames=6, size=128))
        pose = draw_keypoints(clip.keypoints, width=128, height=128)
        (folder / f"{seed}.txt").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{seed}.txt").write_text(clip.caption, encoding="utf-8")
        for name, frames in ((f"{seed}", clip.images), (f"{seed}.pose", pose)):
            encode_video(folder / name, frames, format="png sequence", frame_rate=8)
        for part, picture in (("face", clip.face_reference), ("cloth", clip.cloth_reference)):
            encode_video(folder / f"{seed}.{part}.webp", picture[None], format="webp", frame_rate=1)


def checksums(module: nn.Module) -> dict[str, int]:
    """One number for every parameter."""
    return {name: checksum(parameter) for name, parameter in module.named_parameters()}


def checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.detach().cpu().contiguous().numpy())


def arguments(stage: str, files: dict[str, Path], *, data: Path, export: Path, folder: Path) -> list[str]:
    """What `run.py train sd15` is given."""
    words = ["--stage", stage, "--data", str(data), "--export", str(export), "--folder", str(folder)]
    words += ["--base", str(files["base"]), "--device", "cpu"]
    for taken in TAKES[stage]:
        source, _, option = taken.partition(" as ")
        path = export / WRITTEN[source] if option else files[source]
        words += [f"--{(option or source).replace('_', '-')}", str(path)]
    for setting in STILL if stage == "content_guider" else SMALL:
        words += ["--set", setting]
    return words


def train(words: list[str]) -> dict[str, Any]:
    """One stage by the functions of the command line; what moved, and what was to move."""
    from ..dreamoving_core.training import sd15_cli
    from ..dreamoving_core.training.folder_source import FolderSource
    from ..dreamoving_core.training.sd15 import build, export
    from ..dreamoving_core.training.trainer import new_accelerator

    args = sd15_cli.parsed(words)
    stage, files = sd15_cli.stage_of(args), sd15_cli.files_of(args)
    networks = build(stage, files)
    trainee = networks.trainee
    before, begun = checksums(trainee), time.monotonic()
    source = FolderSource(args.data, stage, encoders=networks.encoders, guider=trainee.guider)
    trainer = sd15_cli.train(stage, networks, source, args, new_accelerator(device="cpu"))
    seconds = (time.monotonic() - begun) / trainer.step
    moved = {name for name, value in checksums(trainee).items() if value != before[name]}
    parts = {"motion.": trainee.motion, "guider.": trainee.guider, "controls.": trainee.controls}
    learned = parts[stage.learns[0]]
    paths = export(
        networks, stage, args.export, files=files, steps=trainer.step, data="ProcDance", license=""
    )
    own = learned["pose"] if stage.learns[0] == "controls." else learned
    return {
        "learners": sum(p.numel() for p in trainer.learners.values()),
        "frozen": sum(p.numel() for name, p in trainee.named_parameters() if name not in trainer.learners),
        "moved": sum(p.numel() for name, p in trainee.named_parameters() if name in moved),
        "strangers_moved": sorted(moved - trainer.learners.keys()),
        "seconds_per_step": round(seconds, 1),
        "file": paths[0].name,
        "tensors": {key: checksum(tensor.half()) for key, tensor in own.state_dict().items()},
    }


def load_in_node(stage: str, name: str) -> dict[str, Tensor]:
    """The network's tensors as the loader node gives them."""
    from ..nodes.loaders import LoadContentGuider, LoadMotionModel, LoadVideoControlNet

    if stage == "content_guider":
        return LoadContentGuider.execute(name, "both").args[0].guider.state_dict()
    if stage == "video_control":
        return LoadVideoControlNet.execute(name).args[0].control_model.state_dict()
    return LoadMotionModel.execute(name).args[0].patcher.model.state_dict()


def run_stage(stage: str, words: list[str]) -> dict[str, Any]:
    """One row of the table."""
    from ..dreamoving_core.training.dry_run import peak_memory

    found = train(words)
    gc.collect()
    wanted = found.pop("tensors")
    loaded = load_in_node(stage, f"{NAME}/{found['file']}")
    differ = [
        key for key, value in wanted.items() if key not in loaded or checksum(loaded[key].half()) != value
    ]
    gc.collect()
    peak = round(peak_memory(torch.device("cpu")) / 2**30, 2)
    return found | {"tensors": len(wanted), "tensors_that_differ_in_the_node": len(differ), "peak_gib": peak}


def holds(row: dict[str, Any]) -> bool:
    return bool(row["moved"] and not row["strangers_moved"] and not row["tensors_that_differ_in_the_node"])


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="run.py bench train-sd15")
    parser.add_argument(
        "--stage", action="append", choices=tuple(TAKES), help="only this one (default: all four)"
    )
    parser.add_argument("--work", type=Path, help="keep the random files here")
    args = parser.parse_args(words)
    torch.set_num_threads(1)
    export = ROOT / "out" / NAME
    rows = {}
    with tempfile.TemporaryDirectory(prefix="dreamoving-") as temporary:
        work = args.work or Path(temporary)
        files = write_files(work)
        write_data(Path(temporary) / "data")
        for stage in args.stage or TAKES:
            folder = Path(temporary) / stage
            given = arguments(stage, files, data=Path(temporary) / "data", export=export, folder=folder)
            rows[stage] = run_stage(stage, given)
            print(stage, json.dumps(rows[stage]), flush=True)
    print(f"{'stage':<16}{'learns':>14}{'moved':>14}{'frozen':>16}{'s/step':>8}{'GiB':>7}")
    for stage, row in rows.items():
        print(
            f"{stage:<16}{row['learners']:>14,}{row['moved']:>14,}{row['frozen']:>16,}"
            f"{row['seconds_per_step']:>8}{row['peak_gib']:>7}"
        )
    figures = {
        f"{stage}_{key}": row[key] for stage, row in rows.items() for key in ("learners", "moved", "frozen")
    }
    report = {"figures": figures, "stages": rows}
    (ROOT / "out").mkdir(exist_ok=True)
    (ROOT / "out" / "train_sd15.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    failed = [stage for stage, row in rows.items() if not holds(row)]
    print(f"failed: {', '.join(failed)}" if failed else "all hold")
    return 1 if failed else 0
