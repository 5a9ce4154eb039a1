"""The files of `workflows/` and `subgraphs/`, each story described once. `python run.py workflows` writes them anew."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..dreamoving_core.batch.client import Client
from ..dreamoving_core.catalogue.graphs import Asked
from ..dreamoving_core.catalogue.stories import STORIES as NEEDS
from ..dreamoving_core.catalogue.stories import STYLE_LORA
from .blueprint import Blueprint, named
from .demo import DEMO_GRAPH, DEMO_WORKFLOW, temporary_server
from .graph import Graph
from .layout import Steps
from .node_schema import ObjectInfo
from .place import Place
from .stories.dances import DANCES
from .stories.evaluation import EVALUATION
from .stories.finish import FINISH
from .stories.full_kit import FullKit
from .stories.kit import Kit
from .stories.preparation import PREPARATION
from .stories.retouch import RETOUCH
from .stories.speeds import SPEEDS
from .stories.stages import CATEGORY, STAGES, Stage
from .stories.story import Story
from .stories.styles import STYLES
from .stories.tiny_demo import tiny_demo
from .stories.tiny_kit import TinyKit
from .stories.wan import WAN

COMFYUI = ("comfy-core", "0.30.0")
APP = ".app.json"  # ComfyUI's App Mode
FORM = (  # what is set there, in its order
    ("DreaMovingSampleClip", "seed"),
    ("DreaMovingApplyContentGuider", "alpha_f"),
    ("DreaMovingApplyContentGuider", "alpha_c"),
    ("DreaMovingSampler", "seed"),
    ("DreaMovingSampler", "steps"),
)
RESULT = "DreaMovingVideoCombine"
FULL, TINY = FullKit(), TinyKit()
OUTLINED = replace(TINY, style="outlined")
STORIES: dict[str, Story] = {
    story.name: story
    for story in (*DANCES, *STYLES, *SPEEDS, *RETOUCH, PREPARATION, FINISH, EVALUATION, *WAN)
}


def emit(object_info: ObjectInfo, root: Path) -> dict[str, str]:
    """Every workflow file: path below the pack -> text."""
    demo = blank("00 Tiny demo", object_info, root)
    tiny_demo(demo)
    emitted = {DEMO_WORKFLOW: to_text(demo.ui()), DEMO_GRAPH: to_text(demo.api())}
    emitted[DEMO_WORKFLOW.removesuffix(".json") + APP] = to_text(app(demo))
    for story in STORIES.values():
        kits = FULL, OUTLINED if STYLE_LORA in NEEDS[story.name] else TINY
        full, tiny = (described(story, kit, object_info, root) for kit in kits)
        emitted[workflow_path(story)] = to_text(full.ui())
        emitted[api_path(story)] = to_text(full.api())
        emitted[tiny_path(story)] = to_text(tiny.api())
    for stage in STAGES:
        emitted[f"subgraphs/{stage.name}.json"] = to_text(blueprint(stage, FULL, object_info, root).ui())
    return emitted


def blank(title: str, object_info: ObjectInfo, root: Path) -> Graph:
    return Graph(title, object_info, {"custom_nodes.": ("dreamoving", pack_version(root)), "": COMFYUI})


def described(story: Story, kit: Kit, object_info: ObjectInfo, root: Path) -> Graph:
    """The story's graph, built with a kit."""
    graph = blank(f"{title(story)}{' (Tiny)' if kit.tiny else ''}", object_info, root)
    steps = Steps(graph)
    story.build(steps, kit)
    steps.note(read_me(story))
    return graph


def app(demo: Graph) -> dict[str, Any]:
    """The quick start in ComfyUI's App Mode: what can be set as a form, and the video."""
    workflow = demo.ui()
    numbers = {node.type: str(node.id) for node in demo.nodes}
    inputs = [[numbers[type_], widget] for type_, widget in FORM]
    shown = {"linearMode": True, "linearData": {"inputs": inputs, "outputs": [numbers[RESULT]]}}
    return workflow | {"id": named(demo.name, "app"), "extra": workflow["extra"] | shown}


def blueprint(stage: Stage, kit: Kit, object_info: ObjectInfo, root: Path) -> Blueprint:
    """The stage as one node, built with a kit."""
    graph = blank(stage.name, object_info, root)
    made = Blueprint(graph, category=CATEGORY, about=stage.about, aliases=stage.aliases)
    stage.build(made, kit)
    return made


def read_me(story: Story) -> str:
    """The note beside a graph: what it does, which files it needs, and whose numbers these are."""
    needs = NEEDS[story.name]
    listed = "\n".join(file_line(asked) for asked in needs if asked.file)
    return f"## {story.name}\n\n{story.about}\n\n### Model files\n\n{listed or 'None.'}\n\n### Where the numbers come from\n\n{story.recipe}\n"


def file_line(asked: Asked) -> str:
    """One model file for a note: folder, link, what it is for, licence."""
    file = asked.file
    assert file is not None
    folder = "/".join(part for part in ("models", file.folder, file.subfolder) if part)
    renamed = "" if file.path.endswith(file.name.replace(" ", "%20")) else ", saved under this name"
    return f"* `{folder}/` [{file.name}]({file.url or file.page}){renamed} - {asked.by}, {file.licence}"


def number(story: Story) -> int:
    """Its place in the catalogue's list."""
    return list(NEEDS).index(story.name)


def title(story: Story) -> str:
    return f"{number(story):02} {story.name}"


def slug(story: Story) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in story.name.lower()).split()
    return f"{number(story):02}_{'_'.join(words)}"


def workflow_path(story: Story) -> str:
    return f"workflows/{title(story)} - {story.words}.json"


def api_path(story: Story) -> str:
    return f"workflows/api/{slug(story)}.json"


def tiny_path(story: Story) -> str:
    return f"workflows/tiny/{slug(story)}.json"


def pack_version(root: Path) -> str:
    """The version in pyproject.toml; Python 3.10 has no tomllib."""
    lines = (root / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("version = "))


def to_text(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def write_workflows(place: Place) -> None:
    """Boot a server, ask it for its nodes, and write every file of `workflows/`."""
    with temporary_server(place) as settings:
        emitted = emit(Client(settings.url).get("/object_info"), place.root)
    for path, text in emitted.items():
        (place.root / path).parent.mkdir(parents=True, exist_ok=True)
        (place.root / path).write_text(text, encoding="utf-8", newline="\n")
