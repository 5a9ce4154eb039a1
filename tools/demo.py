"""`run.py demo` and `run.py serve`: the pack in a ComfyUI server of its own."""

import argparse
import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..dreamoving_core.batch.client import Client, Graph, Step, output_files
from ..dreamoving_core.batch.server import ServerSettings, free_port, running_server
from ..dreamoving_core.errors import SetupError
from .console import Progress, say
from .place import Place

DEMO_SEED = 7  # the seed that the committed graph carries
DEMO_GRAPH = "workflows/api/00_tiny_demo.json"
DEMO_WORKFLOW = "workflows/00 Tiny demo, no downloads.json"
TRAINED = "out/tiny"  # where `run.py train tiny` leaves a Tiny of one's own


def with_seed(graph: Graph, seed: int) -> Graph:
    """The graph with `seed` in every seed input that carries the demo's."""
    return {
        node: {
            **content,
            "inputs": {
                name: seed if name in ("seed", "noise_seed") and value == DEMO_SEED else value
                for name, value in content["inputs"].items()
            },
        }
        for node, content in graph.items()
    }


def workflow_with_seed(workflow: dict[str, Any], seed: int) -> dict[str, Any]:
    """The same for a workflow in UI format: there a seed is the widget before its "control after generate"."""
    controls = ("fixed", "increment", "decrement", "randomize")

    def renewed(values: list[Any]) -> list[Any]:
        following = [*values, None][1:]
        return [
            seed if value == DEMO_SEED and control in controls else value
            for value, control in zip(values, following, strict=True)
        ]

    nodes = [
        {**node, "widgets_values": renewed(node.get("widgets_values", []))} for node in workflow["nodes"]
    ]
    return {**workflow, "nodes": nodes}


def server_settings(
    place: Place, base: Path, *, port: int, threads: int | None, extra: list[str]
) -> ServerSettings:
    return ServerSettings(
        python=place.python,
        comfyui=place.comfyui,
        pack=place.root,
        base=base,
        log=place.root / ".cache" / "server.log",
        port=port,
        cpu=not place.has_cuda(),
        threads=threads,
        extra=tuple(extra),
    )


def serve(place: Place, words: list[str]) -> int:
    """Run ComfyUI with the pack until it is stopped. Its models, inputs and outputs live in `out/comfyui`."""
    parser = argparse.ArgumentParser(prog="run.py serve", description="A ComfyUI with this pack in it.")
    parser.add_argument("--port", type=int, default=8188)
    options, extra = parser.parse_known_args(words)
    base = place.root / "out" / "comfyui"
    settings = server_settings(place, base, port=options.port, threads=None, extra=extra)
    say(f"Starting ComfyUI (log: {settings.log}) ...")
    with running_server(settings) as process:
        say(f"ComfyUI with DreaMoving: {settings.url}   Templates > dreamoving > 00. Ctrl+C stops it.")
        return process.wait()


def demo(place: Place, words: list[str]) -> int:
    """Boot ComfyUI, post the demo's graph, bring the video to `out/demo`, then draw the contact sheet and score it."""
    parser = argparse.ArgumentParser(
        prog="run.py demo", description="A dance video from the bundled tiny model."
    )
    parser.add_argument(
        "--seed", type=int, default=DEMO_SEED, help="another person, clothes, scene and dance"
    )
    parser.add_argument("--out", type=Path, default=place.root / "out" / "demo")
    options = parser.parse_args(words)
    if options.seed < 0:
        raise SetupError(f"--seed must be 0 or more, got {options.seed}.")
    video = options.out.absolute() / "dance.mp4"
    make_video(place, options.seed, video)
    words = ["--seed", str(options.seed), "--video", str(video), "--out", str(video.parent)]
    status = place.inside(["bench", "demo_report", *words], threads=1)
    if status == 0:
        say(f"Look into {os.path.relpath(video.parent)}: dance.mp4, contact.png, scorecard.json")
    return status


def make_video(place: Place, seed: int, video: Path) -> None:
    graph = with_seed(json.loads((place.root / DEMO_GRAPH).read_text(encoding="utf-8")), seed)
    workflow = workflow_with_seed(json.loads((place.root / DEMO_WORKFLOW).read_text(encoding="utf-8")), seed)
    with temporary_server(place) as settings:
        running = Progress(f"Running the demo, seed {seed}")
        client = Client(settings.url)
        entry = client.run(graph, workflow=workflow, on_step=lambda step: running.show(describe(step, graph)))
        running.done()
        videos = [file for file in output_files(entry) if file.filename.endswith(".mp4")]
        if not videos:
            raise SetupError(f"The demo's graph saved no mp4; see {DEMO_GRAPH}.")
        client.download(videos[0], video)


@contextlib.contextmanager
def temporary_server(place: Place) -> Iterator[ServerSettings]:
    """A server in a folder that vanishes with it. One thread: with more, the tiny tensors only wait for each other."""
    with tempfile.TemporaryDirectory(prefix="dreamoving-") as base:
        trained = place.root / TRAINED
        if trained.is_dir():
            shutil.copytree(trained, Path(base) / "models" / "dreamoving" / "tiny")
        settings = server_settings(place, Path(base), port=free_port(), threads=1, extra=[])
        booting = Progress("Starting ComfyUI")
        with running_server(settings):
            booting.done("it answers")
            yield settings


def describe(step: Step, graph: Graph) -> str:
    node = graph.get(step.node.split(":")[0], {})
    name = node.get("_meta", {}).get("title") or node.get("class_type", step.node)
    return f"{name}: {step.value}/{step.total}" if step.total else name
