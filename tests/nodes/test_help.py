"""The help pages that ComfyUI shows for a node, beside the nodes themselves."""

import asyncio
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2] / "web" / "docs"


def schemas():
    from dreamoving.nodes import DreaMovingExtension

    nodes = asyncio.run(DreaMovingExtension().get_node_list())
    return {schema.node_id: schema for schema in (node.GET_SCHEMA() for node in nodes)}


def test_every_node_has_a_page_and_every_page_a_node():
    assert {page.stem for page in PAGES.glob("*.md")} == set(schemas())


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_opens_with_the_nodes_name_and_explains_inputs_that_exist(page):
    text, schema = page.read_text(encoding="utf-8"), schemas()[page.stem]
    explained = {
        name
        for bold in re.findall(r"^- \*\*(`.+?`)\*\*", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", bold)
    }
    slots = {slot.id for slot in [*schema.inputs, *schema.outputs]}

    assert text.startswith(f"# {schema.display_name}\n")
    assert explained <= slots


SECTIONS = (r"## When to use it", r"## Typical values", r"## If it (looks wrong|fails)")
LARGEST, ALL = 60_000, 3_000_000  # bytes: pages are read over slow lines, and the pack travels with them


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_says_when_to_use_it_what_is_typical_and_what_to_do_if_it_looks_wrong(page):
    text = page.read_text(encoding="utf-8")
    places = [re.search(f"^{section}$", text, re.MULTILINE) for section in SECTIONS]

    assert [section for section, found in zip(SECTIONS, places, strict=True) if found is None] == []
    starts = [found.end() for found in places]
    assert starts == sorted(starts)
    for start in starts:
        assert len(re.split(r"^## ", text[start:], maxsplit=1, flags=re.MULTILINE)[0].strip()) > 40


# What an artist turns most often: page -> pictures that show what it changes.
MAIN_INPUTS = {
    "ApplyMotion": ("motion_strength", "motion_scale"),
    "ApplyContentGuider": ("alpha_f", "alpha_c"),
    "ControlStrength": ("control_strength", "control_mask"),
    "Sampler": ("steps", "cfg", "cfg_end_percent", "noise", "denoise"),
    "ContextWindows": ("context_windows",),
    "Keyframes": ("keyframes", "control_strength"),
    "PromptTravel": ("prompt_travel",),
    "DrawPose": ("draw_pose",),
    "FitPose": ("fit_pose",),
    "CleanPose": ("clean_pose",),
    "TrackPerson": ("track_person",),
    "MirrorPose": ("mirror_pose",),
    "CropPose": ("crop_pose",),
    "SampleClip": ("sample_clip",),
    "VideoCombine": ("formats",),
    "Scorecard": ("scorecard",),
}


def shown_on(page):
    return re.findall(r"^!\[[^\]]+\]\((pictures/[^)]+)\)$", page.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("node", MAIN_INPUTS)
def test_a_page_shows_what_each_main_input_changes(node):
    shown = shown_on(PAGES / f"DreaMoving{node}.md")

    assert {f"pictures/{name}.webp" for name in MAIN_INPUTS[node]} <= set(shown)


def test_every_picture_is_there_small_and_used():
    shown = {name for page in PAGES.glob("*.md") for name in shown_on(page)}
    files = {path.relative_to(PAGES).as_posix(): path.stat().st_size for path in PAGES.glob("pictures/*")}

    assert shown == set(files)
    assert [name for name, size in files.items() if size > LARGEST] == []
    assert sum(files.values()) < ALL


@pytest.mark.parametrize("path", sorted(PAGES.glob("pictures/*.webp")), ids=lambda path: path.stem)
def test_a_picture_opens_and_moves(path):
    from PIL import Image

    with Image.open(path) as picture:
        assert picture.format == "WEBP"
        assert picture.width <= 900
        assert picture.n_frames >= (1 if path.stem == "keyframes" else 6)
        for frame in range(picture.n_frames):
            picture.seek(frame)
            picture.load()


def test_every_picture_has_a_recipe():
    from dreamoving.benchmarks.help_pictures import PICTURES

    assert {path.stem for path in PAGES.glob("pictures/*.webp")} <= set(PICTURES)


def test_the_table_of_video_formats_says_what_the_code_says():
    from dreamoving.dreamoving_core.video.formats import FORMATS

    text = (PAGES / "DreaMovingVideoCombine.md").read_text(encoding="utf-8")
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    sounds = {"aac": "AAC", "libopus": "Opus", "pcm_s16le": "PCM", "flac": "FLAC", None: "no"}
    opened = {".mp4", ".webm", ".webp", ".mov", ".png"}  # what ComfyUI's frontend reads a graph from

    rows = [[cells[i] for i in (0, 1, 3, 4, 5, 6)] for cells in table[2:]]
    expected = []
    for name, row in FORMATS.items():
        file = f".{row.extension}" if row.extension else "folder"
        graph = (
            "opens the graph" if file in opened else "its first picture does" if file == "folder" else "no"
        )
        expected.append(
            [name, file, sounds[row.audio_codec], "yes" if row.alpha_format else "no", "yes", graph]
        )
    assert rows == expected
