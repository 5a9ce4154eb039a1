"""The demo's graph with one thing changed: every variant that the quality benchmark samples."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..dreamoving_core.procdance.palette import STYLES
from ..dreamoving_core.tiny import files
from ..dreamoving_core.weights.content_guider import read_content_guider
from ..dreamoving_core.weights.io import read_weights
from .graph import changed, is_link

CLIP, LOADER, DRAWN = "DreaMovingSampleClip", "DreaMovingLoadTiny", "DreaMovingDrawPose"
MOTION, GUIDER, SAMPLER = "DreaMovingApplyMotion", "DreaMovingApplyContentGuider", "DreaMovingSampler"
CONTROL, PROMPT = "ControlNetApplyAdvanced", "Prompt"
ENCODE_FACE, ENCODE_CLOTH = "DreaMovingEncodeFace", "DreaMovingEncodeCloth"
KEYPOINTS, DEPTH, FACE, CLOTH, CAPTION = 1, 2, 3, 4, 5  # outputs of Sample Clip
MOTION_BLOCKS, POSE_NET, DEPTH_NET, BRANCHES = 4, 5, 6, 7  # outputs of Load DreaMoving-Tiny
DEPTH_BESIDE_POSE = 0.5  # what the help page suggests for depth beside pose: 0.3 to 0.6

Graph = dict
Change = Callable[[Graph], Graph]


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a run of the benchmark may be given beside Tiny; None leaves its variants out."""

    tiny: Path | None = None
    style_lora: Path | None = None
    stage3: Path | None = None
    peer: Path | None = None
    identity: Path | None = None
    clip_only: Path | None = None
    motions: tuple[tuple[str, Path], ...] = ()


def find(graph: Graph, kind: str) -> str:
    """The node with this class or title."""
    return next(i for i, n in graph.items() if kind in (n["class_type"], n.get("_meta", {}).get("title")))


def clip_of(
    graph: Graph,
    *,
    seed: int,
    noise_seed: int,
    frames: int,
    shot: str = "whole",
    style: int = 0,
    noise: str = "",
) -> Graph:
    """The demo of another clip, of another length, from another noise."""
    clip = {"seed": seed, "frames": frames, "shot": shot, "style": STYLES[style]}
    sampler = {"seed": noise_seed, "frames": frames, "preview": False, **({"noise": noise} if noise else {})}
    return changed(graph, {CLIP: clip, SAMPLER: sampler})


def beside(graph: Graph, node_id: str, **inputs) -> tuple[Graph, str]:
    """The graph with a second node of the same class, with other inputs; and that node."""
    graph = copy.deepcopy(graph)
    other = f"{node_id}_{len(graph)}"
    graph[other] = {**graph[node_id], "inputs": {**graph[node_id]["inputs"], **inputs}}
    return graph, other


def references(
    graph: Graph, *, face: int | None = None, cloth: int | None = None, style: int | None = None
) -> Graph:
    """Somebody else's pictures, or the same ones in another style; driving clip, prompt and noise stay."""
    source = find(graph, CLIP)
    for kind, output, seed in ((ENCODE_FACE, FACE, face), (ENCODE_CLOTH, CLOTH, cloth)):
        inputs = {} if seed is None else {"seed": seed}
        inputs |= {} if style is None else {"style": STYLES[style]}
        graph, other = beside(graph, source, **inputs)
        graph = changed(graph, {kind: {"image": [other, output]}})
    return graph


def driven_by(graph: Graph, dance_seed: int) -> Graph:
    """The poses of another dance; person, scene and noise stay. Whatever makes poses of the driving clip is doubled."""
    graph = copy.deepcopy(graph)
    made: dict[str, str] = {}

    def other(node_id: str) -> str:
        if node_id not in made:
            node = graph[node_id]
            inputs = {
                name: [other(value[0]), value[1]] if is_link(value) else value
                for name, value in node["inputs"].items()
            }
            if node["class_type"] == CLIP:
                inputs["dance_seed"] = dance_seed
            made[node_id] = node_id if inputs == node["inputs"] else f"{node_id}_dance"
            graph[made[node_id]] = {**node, "inputs": inputs}
        return made[node_id]

    picture = graph[find(graph, CONTROL)]["inputs"]["image"]
    graph[find(graph, CONTROL)]["inputs"]["image"] = [other(picture[0]), picture[1]]
    return graph


def true_keypoints(graph: Graph) -> Graph:
    """The renderer's own poses, whatever the demo finds them with."""
    return changed(graph, {DRAWN: {"keypoints": [find(graph, CLIP), KEYPOINTS]}})


def depth(graph: Graph) -> Graph:
    """The depth Video ControlNet on the true depth, in the place of the poses."""
    inputs = {"control_net": [find(graph, LOADER), DEPTH_NET], "image": [find(graph, CLIP), DEPTH]}
    return changed(graph, {CONTROL: inputs})


def pose_and_depth(graph: Graph) -> Graph:
    """Both Video ControlNets, chained; depth weaker, as the help page suggests."""
    control = find(graph, CONTROL)
    graph, second = beside(
        graph,
        control,
        positive=[control, 0],
        negative=[control, 1],
        control_net=[find(graph, LOADER), DEPTH_NET],
        image=[find(graph, CLIP), DEPTH],
        strength=DEPTH_BESIDE_POSE,
    )
    graph[find(graph, SAMPLER)]["inputs"] |= {"positive": [second, 0], "negative": [second, 1]}
    return graph


def strengths(graph: Graph, *, face: float | None = None, cloth: float | None = None) -> Graph:
    """Other strengths of the two branches."""
    inputs = {name: v for name, v in (("alpha_f", face), ("alpha_c", cloth)) if v is not None}
    return changed(graph, {GUIDER: inputs})


def prompted(graph: Graph, text: str) -> Graph:
    return changed(graph, {PROMPT: {"text": text}})


def without_motion(graph: Graph) -> Graph:
    """The U-Net's motion blocks off; those of the Video ControlNet stay."""
    return changed(graph, {MOTION: {"strength": 0.0}})


def with_motion_file(graph: Graph, path: Path) -> Graph:
    """The motion blocks of a file in the place of Tiny's."""
    graph = {
        **copy.deepcopy(graph),
        "motion_file": {"class_type": "BenchLoadMotion", "inputs": {"path": str(path)}},
    }
    return changed(graph, {MOTION: {"motion_model": ["motion_file", 0]}})


def with_guider(graph: Graph, folder: Path, *, identity: bool = False) -> Graph:
    """The Content Guider of a folder in the place of Tiny's; with `identity`, its face recogniser too."""
    graph = copy.deepcopy(graph)
    link = [find(graph, LOADER), BRANCHES]
    for node in graph.values():
        node["inputs"] |= {
            name: ["guider_file", 0] for name, value in node["inputs"].items() if value == link
        }
    path = {"path": str(folder / files.CONTENT_GUIDER)}
    graph["guider_file"] = {"class_type": "BenchLoadGuider", "inputs": path}
    if identity:
        face = graph[find(graph, ENCODE_FACE)]
        graph[find(graph, ENCODE_FACE)] = {
            "class_type": "BenchEncodeFace",
            "inputs": {**face["inputs"], "recogniser": str(folder / files.FACE_RECOGNISER)},
            "_meta": {"title": ENCODE_FACE},
        }
    return graph


def control_without_motion(graph: Graph, path: Path) -> Graph:
    """The pose ControlNet of a file without its motion blocks."""
    node = {"class_type": "BenchLoadControl", "inputs": {"path": str(path), "motion_blocks": "off"}}
    return changed(
        {**copy.deepcopy(graph), "image_control": node}, {CONTROL: {"control_net": ["image_control", 0]}}
    )


def with_tiny(graph: Graph, folder: Path) -> Graph:
    """Every file of Tiny from a folder. The loader keeps the old one's name as its title, so that it is found by it."""
    graph = copy.deepcopy(graph)
    other = {"class_type": "BenchLoadTiny", "inputs": {"folder": str(folder)}, "_meta": {"title": LOADER}}
    graph[find(graph, LOADER)] = other
    return graph


def with_lora(graph: Graph, path: Path) -> Graph:
    """A LoRA on the base, before motion and Content Guider."""
    graph = copy.deepcopy(graph)
    loader = find(graph, LOADER)
    for node in graph.values():
        for name, value in node["inputs"].items():
            if value == [loader, 0]:
                node["inputs"][name] = ["lora", 0]
            if value == [loader, 1]:
                node["inputs"][name] = ["lora", 1]
    graph["lora"] = {
        "class_type": "BenchLora",
        "inputs": {"model": [loader, 0], "clip": [loader, 1], "path": str(path)},
    }
    return graph


def in_windows(graph: Graph, length: int, *, overlap: int = 4) -> Graph:
    return changed(graph, {SAMPLER: {"context_length": length, "context_overlap": overlap}})


def stretched(graph: Graph) -> Graph:
    """Positions of a longer clip squeezed into those that the motion blocks have."""
    return changed(graph, {MOTION: {"positions": "stretch"}})


def as_peers(graph: Graph, folder: Path, tiny: Path) -> Graph:
    """The peer-wiring baseline: image ControlNet, one image branch, 16-frame motion, as people wire it today.

    `folder` holds motion blocks and Content Guider as the baseline's training wrote them, and its ControlNet if it has
    one of its own; the rest is `tiny`'s. Its one branch gets both pictures at once.
    """
    own = folder / files.CONTROL_POSE
    graph = with_motion_file(with_guider(graph, folder), folder / files.MOTION)
    graph = control_without_motion(graph, own if own.is_file() else tiny / files.CONTROL_POSE)
    face, cloth = (graph[find(graph, kind)]["inputs"] for kind in (ENCODE_FACE, ENCODE_CLOTH))
    pictures = {"image1": face["image"], "image2": cloth["image"]}
    graph["both_pictures"] = {"class_type": "ImageBatch", "inputs": pictures}
    branches = read_content_guider(read_weights(folder / files.CONTENT_GUIDER)).config.branches()
    for branch, inputs in (("face", face), ("cloth", cloth)):
        if branch in branches:
            inputs["image"], inputs["combine"] = ["both_pictures", 0], "concat"
        else:
            del graph[find(graph, GUIDER)]["inputs"][f"{branch}_tokens"]
    return graph
