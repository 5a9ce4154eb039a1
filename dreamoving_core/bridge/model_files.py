"""Check Models: what the catalogue says about a graph or a story, in the folders that this ComfyUI knows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths

from ..catalogue.check import Found, Roots, check, complete, report
from ..catalogue.graphs import asked_by_graph
from ..catalogue.stories import STORIES

THIS_GRAPH = "this graph"


def story_names() -> list[str]:
    """What can be checked: the graph that the node stands in, and every story."""
    return [THIS_GRAPH, *STORIES]


def model_roots() -> Roots:
    """ComfyUI's folders, those of extra_model_paths.yaml and other packs included."""
    return {
        name: [Path(path) for path in paths]
        for name, (paths, _) in folder_paths.folder_names_and_paths.items()
    }


def check_models(story: str, graph: Mapping[str, Any] | None, *, verify: bool) -> tuple[str, bool]:
    """A page of text, and whether everything is there. `verify` reads every file and shows progress."""
    asked = asked_by_graph(graph or {}) if story == THIS_GRAPH else list(STORIES[story])
    bar = comfy.utils.ProgressBar(max(len(asked), 1))
    found: list[Found] = []
    for one in asked:
        found.append(check(one, model_roots(), verify=verify))
        bar.update(1)
    title = "This graph" if story == THIS_GRAPH else story
    return report(title, found), complete(found)
