"""`run.py models`: which model files the stories and workflows need, and which of them are here. Downloads nothing."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..dreamoving_core.catalogue.check import Found, Roots, check, complete, report
from ..dreamoving_core.catalogue.graphs import Asked, asked_by_graph
from ..dreamoving_core.catalogue.stories import STORIES
from ..dreamoving_core.errors import SetupError
from .comfyui import find_comfyui
from .console import say


def models(root: Path, words: list[str]) -> int:
    """0 when everything that was asked about is there."""
    parser = argparse.ArgumentParser(prog="run.py models", description=__doc__)
    parser.add_argument(
        "wanted", nargs="*", help="a story's name or a workflow file; all of them when none is given"
    )
    parser.add_argument("--verify", action="store_true", help="compare SHA-256 too (reads every file)")
    parser.add_argument("--list", action="store_true", help="the stories' names alone")
    arguments = parser.parse_args(words)
    if arguments.list:
        show(*STORIES)
        return 0
    comfyui = find_comfyui(root, environ=dict(os.environ), fetch=lambda destination: None)
    roots = model_roots(comfyui)
    say(f"Looking in {comfyui / 'models'}" + ("" if comfyui.is_dir() else ", which does not exist yet") + ".")
    answers: dict[Asked, Found] = {}
    for title, wanted in everything(root, arguments.wanted):
        for asked in wanted:
            if asked not in answers:
                answers[asked] = check(asked, roots, verify=arguments.verify)
        show(report(title, [answers[asked] for asked in wanted]), "")
    return 0 if complete(answers.values()) else 1


def show(*lines: str) -> None:
    """The answer goes to stdout, what is said about the way there to stderr."""
    sys.stdout.write("\n".join(lines) + "\n")


def everything(root: Path, wanted: list[str]) -> Iterator[tuple[str, list[Asked]]]:
    """Titles and what each asks for. Raises SetupError for a word that is neither a story nor a workflow."""
    if not wanted:
        yield from ((title, list(asked)) for title, asked in STORIES.items())
        wanted = [str(path) for path in sorted((root / "workflows").glob("*.json"))]
    for word in wanted:
        stories = {title.casefold(): title for title in STORIES}
        if title := stories.get(word.casefold()):
            yield title, list(STORIES[title])
        else:
            yield Path(word).name, asked_by_graph(read_graph(Path(word)))


def read_graph(path: Path) -> dict[str, Any]:
    try:
        graph = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SetupError(
            f"'{path}' is neither a workflow file nor a story. The stories are: {', '.join(STORIES)}."
        ) from None
    except (OSError, ValueError) as error:
        raise SetupError(
            f"'{path.name}' is not a workflow ({error}). Export it from ComfyUI again."
        ) from error
    if not isinstance(graph, dict):
        raise SetupError(
            f"'{path.name}' is not a workflow: it holds a {type(graph).__name__}. Export it from ComfyUI."
        )
    return graph


def model_roots(comfyui: Path) -> Roots:
    """Where ComfyUI looks: below its models/, and what its extra_model_paths.yaml adds."""
    folders = {path.name: [path] for path in sorted((comfyui / "models").glob("*")) if path.is_dir()}
    extra = comfyui / "extra_model_paths.yaml"
    if extra.is_file():
        for name, path in extra_folders(extra.read_text(encoding="utf-8"), beside=comfyui):
            folders.setdefault(name, []).append(path)
    return folders


def extra_folders(text: str, *, beside: Path) -> Iterator[tuple[str, Path]]:
    """Names and paths of an extra_model_paths.yaml: sections of `name: path`, or several paths below `name: |`."""
    base, name, indent = beside, "", 0
    for line in text.splitlines():
        content = line.split(" #")[0].strip()
        depth = len(line) - len(line.lstrip())
        if not content or content.startswith("#"):
            continue
        if name and depth > indent:  # one of several
            yield name, base / content
            continue
        key, _, value = (part.strip() for part in content.partition(":"))
        several = value in ("|", ">", "|-", ">-")
        name, indent = (key if several else ""), depth
        if depth == 0:  # a section begins
            base = beside
        elif key == "base_path":
            base = beside / Path(value.strip("\"'")).expanduser()
        elif value and not several and key != "is_default":
            yield key, base / value.strip("\"'")
