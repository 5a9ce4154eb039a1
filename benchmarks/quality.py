"""`python run.py bench quality`: what DreaMoving-Tiny does on held-out clips, against the renderer's truth.

Every variant goes through the demo's own graph; variants that are compared start from the same noise. Results are kept
as they come: a run that was cut goes on. `--only` measures some groups, `--tiny` another Tiny.
"""

import argparse
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..dreamoving_core.bridge.tiny_files import tiny_folder
from ..dreamoving_core.errors import DreaMovingError, InputError
from ..dreamoving_core.tiny.files import STYLE_LORA
from ._quality_figures import figures
from ._quality_floors import another_face, floors, gallery_floor, long_floor, old_colours, train_mean
from ._quality_graphs import CLIP, LOADER, SAMPLER, Files, find, with_tiny
from ._quality_loaders import LOADERS, file_digest, fingerprint, new_runner
from ._quality_report import keep_pictures, report, sheets, written
from ._quality_rows import NO_NOISE, Row, Rows
from ._quality_scores import Scores, reference_scores, scene_scores, scorecard
from ._quality_variants import GROUPS, Case, Variant, all_variants
from .graph import GraphRunner, load_graph

FIRST_CLIP = 6000  # the demo's own seeds and those that its settings were found on lie below
PEOPLE = 24
BESIDE = Path(__file__).with_name("weights")  # what the shipped Tiny is compared with: docs/training.md
FOLDERS = ("tiny", "peer", "identity", "clip_only")  # options that each take a folder of Tiny's files
SECONDS_PER_FRAME = 0.55  # of one core, sampled in 10 steps and decoded; only for the first estimate


class Bench:
    """The demo's graph, its networks, and what was measured so far."""

    def __init__(self, args: argparse.Namespace, given: Files) -> None:
        self.args, self.given = args, given
        self.graph = load_graph() if given.tiny is None else with_tiny(load_graph(), given.tiny)
        self.runner: GraphRunner = new_runner()
        own = self.graph[find(self.graph, SAMPLER)]["inputs"]["noise"]
        self.noise = "independent" if own == "shared" else "shared"  # the kind that the demo does not use
        folder = given.tiny or tiny_folder()
        everything = all_variants(
            frames=args.frames, clip_frames=args.clip_frames, noise=self.noise, given=given, folder=folder
        )
        known = {*GROUPS, *(v.name for v in everything)}
        unknown = [name for name in args.only if name not in known]
        if unknown:
            raise InputError(
                f"--only knows no {', '.join(unknown)}. There are the groups {', '.join(GROUPS)}."
            )
        self.variants = [v for v in everything if chosen(v, args.only)]
        self.rows = Rows(args.rows, made_with=self.made_with(own))
        self.mean: tuple[Tensor, Tensor] | None = None

    def made_with(self, noise: str) -> dict:
        """What rows depend on. A file that was not given before adds its name; the others must be the same."""
        files = {"--style-lora": self.given.style_lora, "--stage3": self.given.stage3}
        files |= {f"--motion {name}": path for name, path in self.given.motions}
        folders = {f"--{name}": getattr(self.given, name) for name in FOLDERS if name != "tiny"}
        sampler = self.graph[find(self.graph, SAMPLER)]["inputs"]
        return {
            "Tiny": fingerprint(self.given.tiny),
            "noise": noise,
            "people": [self.people[0], len(self.people)],
            **{
                name: sampler[name]
                for name in ("steps", "cfg", "cfg_end_percent", "sampler_name", "scheduler")
            },
            **{option: file_digest(path) for option, path in files.items() if path},
            **{option: fingerprint(folder) for option, folder in folders.items() if folder},
        }

    @property
    def people(self) -> tuple[int, ...]:
        """Whose clothes and faces a result may be mistaken for: as many for few clips as for all."""
        return tuple(range(self.args.first_clip, self.args.first_clip + max(self.args.clips, PEOPLE)))

    @property
    def cases(self) -> Iterator[Case]:
        """Every clip with the first noise, then every clip with the second."""
        for noise in range(self.args.seed, self.args.seed + self.args.seeds):
            for index, seed in enumerate(self.people[: self.args.clips]):
                yield Case(seed=seed, noise_seed=noise, index=index, others=self.people)

    def autoencode(self, pictures: Tensor) -> Tensor:
        """Through the autoencoder, 16 pictures at a time."""
        vae = self.runner.outputs(self.graph, self.graph[find(self.graph, LOADER)]["class_type"])[2]
        with torch.inference_mode():
            return (
                torch.cat([vae.decode(vae.encode(some)) for some in pictures.split(16)]).float().clamp(0, 1)
            )

    def left(self, case: Case) -> list[Variant]:
        """What is still to be sampled of a case."""
        some = case.index < self.args.few and case.noise_seed == self.args.seed
        wanted = [v for v in self.variants if some or not v.few]
        return [v for v in wanted if (v.key, case.seed, case.noise_seed) not in self.rows]

    def frames_left(self) -> int:
        return sum(v.frames for case in self.cases for v in self.left(case))

    def measure(self, case: Case) -> None:
        """Everything that is missing of one case."""
        self.floors(case)
        for variant in self.left(case):
            graph = variant.graph(self.graph, case)
            result = self.runner.outputs(graph, "VAEDecode")[0].float().clamp(0, 1)
            scores = judged(result, variant, case)
            self.add(variant.key, case, case.noise_seed, scores)
            if case.noise_seed == self.args.seed:
                keep_pictures(self.args.rows, variant, case, result)
        self.runner.forget(keep=("DreaMovingLoadTiny", *LOADERS))

    def floors(self, case: Case) -> None:
        """What needs no sampling, once per clip; and the autoencoder's own error for every other length and shot."""
        frames, seen = self.args.clip_frames, self.autoencode
        if (f"truth_of_another_dance/{frames}", case.seed, NO_NOISE) not in self.rows:
            self.mean = self.mean or train_mean()
            for name, scores in floors(case, frames, autoencode=seen, mean=self.mean):
                self.add(f"{name}/{frames}", case, NO_NOISE, scores)
        self.add_once(f"old_colours/{frames}", case, partial(old_colours, case, frames, autoencode=seen))
        for length, shot in sorted({(v.frames, v.shot) for v in self.variants} - {(frames, "whole")}):
            name = f"autoencoder{'' if shot == 'whole' else f'_{shot}'}/{length}"
            self.add_once(name, case, partial(long_floor, case, length, autoencode=seen, shot=shot))
        frames = self.args.frames
        if any(v.shot == "face" for v in self.variants):
            unchanged = partial(long_floor, case, frames, autoencode=lambda pictures: pictures, shot="face")
            self.add_once(f"truth_face/{frames}", case, unchanged)
            self.add_once(f"another_face/{frames}", case, partial(another_face, case, frames))
        if any("gallery" in v.judge for v in self.variants):
            found = partial(gallery_floor, case, frames, autoencode=seen)
            self.add_once(f"autoencoder_gallery/{frames}", case, found)

    def add_once(self, name: str, case: Case, measure: Callable[[], Scores]) -> None:
        """What needs no noise, if it is missing."""
        if (name, case.seed, NO_NOISE) not in self.rows:
            self.add(name, case, NO_NOISE, measure())

    def add(self, key: str, case: Case, noise_seed: int, scores: Scores) -> None:
        self.rows.add(Row(variant=key, clip=case.seed, noise_seed=noise_seed, scores=scores))


def chosen(variant: Variant, only: Sequence[str]) -> bool:
    return not only or variant.group in only or variant.name in only


def judged(result: Tensor, variant: Variant, case: Case) -> Scores:
    """The scorecard of a result, and what its variant wants to know beside it."""
    subject = variant.subject(case)
    scores = scorecard(result, subject)
    if "scene" in variant.judge:
        scores |= scene_scores(result, subject)
    if "references" in variant.judge:
        scores |= reference_scores(result, variant.asked(case), case.others)
    if "gallery" in variant.judge:
        scores |= reference_scores(result, variant.asked(case), case.gallery, branches=("face",))
    return scores


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py bench quality", description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=24, help="held-out clips")
    parser.add_argument("--seed", type=int, default=0, help="the first noise")
    parser.add_argument("--seeds", type=int, default=2, help="noises per clip")
    parser.add_argument("--first-clip", type=int, default=FIRST_CLIP)
    parser.add_argument("--clip-frames", type=int, default=32, help="frames of the group 'full'")
    parser.add_argument("--frames", type=int, default=16, help="frames where the length is ours to choose")
    parser.add_argument(
        "--few",
        type=int,
        default=8,
        help="clips of the rows beside the bars (other blocks, ways and noise), one noise each",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="GROUP", help=f"of {', '.join(GROUPS)}; or variants"
    )
    parser.add_argument("--tiny", type=Path, help="a folder with Tiny's eight files (default: as the demo)")
    parser.add_argument(
        "--style-lora", type=Path, help="a LoRA that draws in the second style (default: Tiny's)"
    )
    parser.add_argument("--stage3", type=Path, help="the motion blocks before the expression stage")
    parser.add_argument(
        "--motion",
        nargs="+",
        metavar="NAME=FILE",
        help="other motion blocks (default, as of --stage3 and the folders below: what benchmarks/weights has for Tiny)",
    )
    parser.add_argument(
        "--peer",
        type=Path,
        help="a folder with the peer-wiring baseline's motion and guider, and its control",
    )
    parser.add_argument("--identity", type=Path, help="a folder with a guider that has a face recogniser")
    parser.add_argument("--clip-only", type=Path, help="a folder with the same guider without it")
    parser.add_argument(
        "--rows", type=Path, default=Path("out/quality"), help="where results are kept meanwhile"
    )
    parser.add_argument("--out", type=Path, default=Path("out/quality.json"))
    return parser.parse_args(argv)


def given_files(args: argparse.Namespace) -> Files:
    """The files of the command line. InputError for one that is not there, in the command line's words."""
    motions = [word.partition("=") for word in (kept_motions(args) if args.motion is None else args.motion)]
    wrong = [name for name, sign, path in motions if not (name and sign and path)]
    if wrong:
        raise InputError(
            f"--motion wants NAME=FILE, got {wrong[0]!r}. For example: --motion stage2=stage2.safetensors."
        )
    for option in ("style_lora", "stage3", *(Path(path) for _, _, path in motions)):
        path = option if isinstance(option, Path) else getattr(args, option)
        if path is not None and not path.is_file():
            raise InputError(f"There is no file {path}. Give the path of a .safetensors file.")
    for option in FOLDERS:
        folder = getattr(args, option)
        if folder is not None and not folder.is_dir():
            raise InputError(
                f"There is no folder {folder}. --{option.replace('_', '-')} wants a folder with files of Tiny's."
            )
    own = (args.tiny or tiny_folder()) / STYLE_LORA
    return Files(
        tiny=args.tiny,
        style_lora=args.style_lora or (own if own.is_file() else None),
        stage3=args.stage3 or kept(args, "long_frame.safetensors"),  # stage 3 leaves the motion of stage 2
        motions=tuple((name, Path(path)) for name, _, path in motions),
        **{name: getattr(args, name) or kept(args, name) for name in FOLDERS if name != "tiny"},
    )


def kept(args: argparse.Namespace, name: str) -> Path | None:
    """What lies here under this name to compare the shipped Tiny with; None for another Tiny."""
    path = BESIDE / name
    return path if args.tiny is None and path.exists() else None


def kept_motions(args: argparse.Namespace) -> list[str]:
    """Motion blocks to compare with, as `--motion` names them: other training seeds, and the stages before."""
    seeds = sorted(path.stem for path in BESIDE.glob("seed*.safetensors"))
    stages = {"motion16": "motion16", "stage2": "long_frame"}
    found = {
        name: kept(args, f"{file}.safetensors") for name, file in ({s: s for s in seeds} | stages).items()
    }
    return [f"{name}={path}" for name, path in found.items() if path]


def summary(bench: Bench, *, seconds: float) -> dict:
    args = bench.args
    found = figures(bench.rows, frames=args.frames, clip_frames=args.clip_frames, noise=bench.noise)
    settings = {
        "clips": args.clips, "first_clip": args.first_clip, "noises": args.seeds, "first_noise": args.seed,
        "clip_frames": args.clip_frames, "frames": args.frames, "noise": bench.rows.made_with["noise"],
        "tiny": bench.rows.made_with["Tiny"], "size": bench.graph[find(bench.graph, CLIP)]["inputs"]["size"],
    }  # fmt: skip
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    return report(bench.rows, *found, noise=bench.noise) | {
        "settings": settings, "versions": versions, "seconds": seconds,
    }  # fmt: skip


def main(argv: list[str]) -> int:
    args = arguments(argv)
    torch.set_num_threads(1)
    try:
        return run(args)
    except DreaMovingError as error:
        print(f"error: {error}")
        return 1


def run(args: argparse.Namespace) -> int:
    """Measure what is missing, write the report after every case."""
    bench, start = Bench(args, given_files(args)), time.monotonic()
    total = bench.frames_left()
    print(
        f"{total} frames to sample, about {total * SECONDS_PER_FRAME / 60:.0f} minutes of one core",
        flush=True,
    )
    for case in bench.cases:
        if bench.left(case):
            bench.measure(case)
            done, seconds = total - bench.frames_left(), time.monotonic() - start
            left = seconds / done * (total - done) / 60
            print(
                f"clip {case.seed}, noise {case.noise_seed}: {seconds:.0f} s, {left:.0f} minutes left",
                flush=True,
            )
            written(args.out, summary(bench, seconds=seconds), rows=args.rows)
    found = summary(bench, seconds=time.monotonic() - start)
    written(args.out, found, rows=args.rows)
    for line in found["table"]:
        print(line)
    for path in sheets(args.rows, list(bench.cases), bench.variants):
        print(path)
    right = all(bar["holds"] for bar in found["bars"]) and all(f["fails"] for f in found["floors"])
    return 0 if right and (args.only or not found["unmeasured"]) else 1
