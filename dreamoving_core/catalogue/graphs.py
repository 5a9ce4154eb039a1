"""Which model files a workflow asks for: by its `properties.models` and by what its loaders are set to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .files import BY_NAME, ModelFile

SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".onnx")
SLEEPING = (2, 4)  # modes of muted and bypassed nodes in ComfyUI's graphs

# Where each loader looks, in its order.
LOADERS: dict[str, tuple[str, ...]] = {
    "CheckpointLoaderSimple": ("checkpoints",),
    "CLIPVisionLoader": ("clip_vision",),
    "ControlNetLoader": ("controlnet",),
    "LoraLoader": ("loras",),
    "LoraLoaderModelOnly": ("loras",),
    "UNETLoader": ("diffusion_models",),
    "CLIPLoader": ("text_encoders",),
    "VAELoader": ("vae",),
    "FrameInterpolationModelLoader": ("frame_interpolation",),
    "UpscaleModelLoader": ("upscale_models",),
    "DreaMovingLoadMotionModel": ("animatediff_models", "dreamoving"),
    "DreaMovingLoadMotionLora": ("animatediff_motion_lora", "dreamoving"),
    "DreaMovingLoadVideoControlNet": ("controlnet", "dreamoving"),
    "DreaMovingLoadContentGuider": ("ipadapter", "dreamoving"),
    "DreaMovingLoadFaceRecogniser": ("insightface",),
    "DreaMovingPoseExtract": ("dwpose",),
    "DreaMovingDepthExtract": ("zoedepth",),
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One file that a graph or a story wants, in one of `folders`."""

    name: str
    folders: tuple[str, ...]
    by: str  # the node or the purpose, in words
    file: ModelFile | None = None  # what the catalogue knows of it
    page: str = ""
    sha256: str | None = None
    instead: str = ""  # what serves as well


def asked_by_graph(graph: Mapping[str, Any]) -> list[Asked]:
    """Every model file of a workflow in UI or API format, each once, in the graph's order."""
    nodes = ui_nodes(graph) if "nodes" in graph else api_nodes(graph)
    found: dict[str, Asked] = {}
    for kind, values, models in nodes:
        listed = {entry.get("name"): entry for entry in models if isinstance(entry, Mapping)}
        folders = LOADERS.get(kind, ())
        names = [v for v in values if isinstance(v, str) and v.endswith(SUFFIXES)] if folders else []
        for name in dict.fromkeys([*names, *(str(n) for n in listed if n)]):
            entry = listed.get(name, {})
            found.setdefault(name, asked(name, folders or (str(entry.get("directory", "")),), kind, entry))
    return list(found.values())


def asked(name: str, folders: tuple[str, ...], by: str, entry: Mapping[str, Any]) -> Asked:
    """What a graph says about a file, and the catalogue where it is silent."""
    file = BY_NAME.get(name.replace("\\", "/").rsplit("/", 1)[-1])
    digest = entry.get("hash") if entry.get("hash_type", "SHA256") == "SHA256" else None
    return Asked(
        name=name,
        folders=folders,
        by=by,
        file=file,
        page=file.page if file else str(entry.get("url", "")),
        sha256=digest or (file.sha256 if file else None),
    )


def ui_nodes(graph: Mapping[str, Any]) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """Type, widget values and listed models of every node that is awake, those of subgraphs too."""
    inner = (graph.get("definitions") or {}).get("subgraphs") or []
    for node in [*graph["nodes"], *(node for sub in inner for node in sub.get("nodes") or [])]:
        if node.get("mode", 0) not in SLEEPING:
            values = node.get("widgets_values") or []
            models = (node.get("properties") or {}).get("models") or []
            yield (
                node.get("type", ""),
                list(values.values() if isinstance(values, Mapping) else values),
                models,
            )


def api_nodes(graph: Mapping[str, Any]) -> Iterator[tuple[str, list[Any], list[Any]]]:
    """The same of a graph in API format, which lists no models."""
    for node in graph.values():
        if isinstance(node, Mapping) and "class_type" in node:
            yield node["class_type"], list((node.get("inputs") or {}).values()), []
