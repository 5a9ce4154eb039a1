"""`python run.py bench real`: the scorecard of your own videos, or of what your own graph makes, as a page to pass on.

    run.py bench real --video mine.mp4 other.mp4 --reference face.png --driving dance.mp4 --out out/real
    run.py bench real --graph my_graph_api.json --server http://127.0.0.1:8188 --reference face.png --driving dance.mp4

Identity needs --reference and --face-pack (or --clip-vision), pose error needs --driving and detectors in models/dwpose,
seams need --context-length; what lacks is left out, and the page says why. Nothing is downloaded and nothing leaves this
computer. Writes index.html, one file with its pictures inside, and figures.json.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..dreamoving_core.batch.client import Client, output_files
from ..dreamoving_core.bridge.scorecard import score_clip
from ..dreamoving_core.bridge.scorecard_pictures import scorecard_plot, worst_pictures
from ..dreamoving_core.errors import DreaMovingError, InputError
from ..dreamoving_core.metrics.scorecard import MEASURES, Likeness, Scorecard, ScoreSettings
from ..dreamoving_core.metrics.scorecard_text import as_data, number
from ..dreamoving_core.version import VERSION
from ..dreamoving_core.video.clip_file import FileClip
from ._real_inputs import PoseReader, judge_of, pose_reader, reference_picture
from ._real_page import Section, page

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".gif", ".webp")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every video is judged by: a judge of identity, a reader of poses, or the reasons why there is none."""

    settings: ScoreSettings
    likeness: Likeness | str
    poses: PoseReader | str


def main(words: list[str]) -> int:
    options = read_options(words)
    try:
        return run(options)
    except DreaMovingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """Judge every video, and write page and figures."""
    options.out.mkdir(parents=True, exist_ok=True)
    reference = reference_picture(options.reference)
    settings = ScoreSettings(
        context_length=options.context_length,
        context_overlap=options.context_overlap,
        fit_poses=not options.same_framing,
    )
    task = Task(settings=settings, likeness=judge_of(options, reference), poses=pose_reader(options))
    videos = [*options.video, *(made_by(options.graph, options.server, options.out) if options.graph else ())]
    refuse_same_names(videos)
    sections = []
    for video in videos:
        print(f"{video.name} ...", flush=True)
        sections.append(judged(video, task))
        for name, figure in sections[-1].card.figures.items():
            value = "-" if figure.value is None else f"{number(figure.value)} {MEASURES[name].unit}"
            print(f"  {name:14} {value:24} {figure.how}", flush=True)
    report = {
        "figures": flat_figures(sections),
        "videos": [{"name": section.name, **as_data(section.card)} for section in sections],
        "settings": told_settings(options),
        "versions": {"dreamoving": VERSION},
    }
    (options.out / "figures.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    path = options.out / "index.html"
    path.write_text(page(sections, reference=reference, settings=told_settings(options)), encoding="utf-8")
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
    return 0


def judged(video: Path, task: Task) -> Section:
    """One video, read from its file frame by frame."""
    clip = FileClip(str(video))
    settings, poses, remark = task.settings, {}, task.poses
    if isinstance(task.poses, PoseReader):
        poses, remark = task.poses.both(video, clip)
    card = score_clip(clip, settings, likeness=task.likeness, **poses)
    card = explained(card, settings, remark if isinstance(remark, str) else "")
    return Section(
        name=video.name, card=card, rate=float(clip.frame_rate), plot=scorecard_plot(card)[0], worst=worst_pictures(clip, card),
        frames=spread(clip, card.num_frames),
    )  # fmt: skip


def explained(card: Scorecard, settings: ScoreSettings, remark: str) -> Scorecard:
    """The same with reasons in the words of the command line, and a remark on how poses were put side by side."""
    figures = dict(card.figures)
    pose, seams = figures["pose_error"], figures["window_seams"]
    if remark:
        figures["pose_error"] = replace(pose, how=remark if pose.value is None else f"{pose.how}; {remark}")
    if seams.value is None and not settings.context_length:
        figures["window_seams"] = replace(seams, how="say --context-length, as the video was sampled")
    return replace(card, figures=figures)


def spread(clip: FileClip, num_frames: int, *, count: int = 6) -> list[Tensor]:
    """Frames evenly over the clip, for a look at it."""
    wanted = {round(i * (num_frames - 1) / (count - 1)) for i in range(count)}
    return [frame[..., :3] for i, frame in enumerate(clip.forward()) if i in wanted]


def refuse_same_names(videos: list[Path]) -> None:
    """InputError for two files of one name: the page and the figures tell them apart by it."""
    names = [video.name for video in videos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"Two videos are called {twice[0]}. Rename one, so that the page can tell them apart."
        )


def flat_figures(sections: list[Section]) -> dict[str, float]:
    """By name alone for one video, by file and name for several."""
    several = len(sections) > 1
    return {
        f"{section.name}/{name}" if several else name: figure.value
        for section in sections
        for name, figure in section.card.figures.items()
        if figure.value is not None
    }


def told_settings(options: argparse.Namespace) -> dict[str, str]:
    """What it was made with; files by their names, not by their folders: the page is passed on."""
    told = {
        "reference": options.reference and options.reference.name,
        "driving video": options.driving and options.driving.name,
        "graph": options.graph and options.graph.name,
        "windows": options.context_length
        and f"{options.context_length} frames, {options.context_overlap} shared",
        "poses": "as they lie in the picture" if options.same_framing else "scale and place taken out",
    }
    return {name: str(value) for name, value in told.items() if value}


def made_by(graph: Path, server: str, folder: Path) -> list[Path]:
    """The videos that a graph in API format saves on a running server, brought into `folder`."""
    content = read_graph(graph)
    client = Client(server)
    print(f"{graph.name} on {server} ...", flush=True)
    entry = client.run(content)
    files = [
        f for f in output_files(entry) if f.type == "output" and Path(f.filename).suffix.lower() in SUFFIXES
    ]
    if not files:
        raise InputError(
            f"{graph.name} ran, but saved no video ({', '.join(SUFFIXES)}). Let Video Combine save its result: save_output on."
        )
    found = []
    for file in files:
        client.download(file, folder / file.filename)
        found.append(folder / file.filename)
    return found


def read_graph(path: Path) -> dict:
    """A graph as `POST /prompt` takes it. InputError for anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a graph ({error}). Export it with Workflow > Export (API)."
        ) from error
    if not isinstance(content, dict) or not all(
        isinstance(node, dict) and "class_type" in node for node in content.values()
    ):
        raise InputError(f"{path.name} is no graph in API format. Export it with Workflow > Export (API).")
    return content


def read_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py bench real", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--video", type=Path, nargs="+", default=[], help="finished videos")
    add("--graph", type=Path, help="a graph in API format: it is run first, and what it saves is judged")
    add("--server", default="http://127.0.0.1:8188", help="the ComfyUI that runs it")
    add("--reference", type=Path, help="a picture of the person who should dance")
    add("--driving", type=Path, help="the clip whose dance it should be, from the same second on")
    add("--detector", help="a file, or its name in models/dwpose; without it the first one there")
    add("--pose-model", help="a file, or its name in models/dwpose; without it the first one there")
    add("--face-pack", help="a folder below models/insightface, for identity; needs the package insightface")
    add("--clip-vision", help="a file, or its name in models/clip_vision, for identity without a face pack")
    add("--tiny", action="store_true", help="DreaMoving-Tiny's own networks, for drawn dancers")
    add("--context-length", type=int, default=0, help="frames of a context window, for seams")
    add("--context-overlap", type=int, default=4, help="frames that two windows share")
    add(
        "--same-framing",
        action="store_true",
        help="the dance is cropped as the videos are: place and size count",
    )
    add("--out", type=Path, default=Path("out/real"), help="the folder to write into")
    options = parser.parse_args(words)
    if not options.video and not options.graph:
        parser.error("give --video FILE, or --graph FILE")
    return options
