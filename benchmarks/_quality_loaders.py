"""Loaders that only the quality benchmark has: Tiny, motion blocks, a ControlNet, a Content Guider or a LoRA from any
path."""

import hashlib
from pathlib import Path

import torch
from einops import rearrange
from torch.nn import functional

from ..dreamoving_core.bridge.loading import (
    load_content_guider_file,
    load_motion_model,
    load_video_controlnet_file,
)
from ..dreamoving_core.bridge.reference_images import encode_images
from ..dreamoving_core.bridge.tiny_files import load_tiny, tiny_folder
from ..dreamoving_core.tiny import files
from ..dreamoving_core.training.dances import as_bytes
from ..dreamoving_core.training.face_recogniser import face_pixels
from .graph import GraphRunner


class LoadTinyFrom:
    FUNCTION = "load"

    def load(self, folder: str) -> tuple:
        tiny = load_tiny(Path(folder))
        return (tiny.model, tiny.clip, tiny.vae, tiny.clip_vision, tiny.motion, tiny.control_pose,
                tiny.control_depth, tiny.content_guider)  # fmt: skip


class LoadMotionFrom:
    FUNCTION = "load"

    def load(self, path: str) -> tuple:
        return (load_motion_model(path),)


class LoadControlFrom:
    FUNCTION = "load"

    def load(self, path: str, motion_blocks: str) -> tuple:
        return (load_video_controlnet_file(Path(path), motion_blocks=motion_blocks),)


class LoadGuiderFrom:
    FUNCTION = "load"

    def load(self, path: str) -> tuple:
        return (load_content_guider_file(Path(path)),)


class EncodeFaceWithIdentity:
    """Encode Face with the vectors of Tiny's own face recogniser, which needs no detector: references show the face."""

    FUNCTION = "load"

    def load(self, content_guider, image, crop: str, combine: str, clip_vision, recogniser: str) -> tuple:
        import onnxruntime

        pixels = face_pixels(as_bytes(rearrange(image[..., :3], "f h w c -> f c h w")))
        session = onnxruntime.InferenceSession(recogniser, providers=["CPUExecutionProvider"])
        vectors = session.run(None, {session.get_inputs()[0].name: pixels.numpy()})[0]
        identity = functional.normalize(torch.from_numpy(vectors), dim=-1)
        settings = {"branch": "face", "crop": crop, "combine": combine, "identity": identity}
        return encode_images(content_guider, clip_vision, image, **settings)


class ApplyLoraFrom:
    FUNCTION = "load"

    def load(self, model, clip, path: str) -> tuple:
        import comfy.sd
        import comfy.utils

        return comfy.sd.load_lora_for_models(
            model, clip, comfy.utils.load_torch_file(path, safe_load=True), 1.0, 1.0
        )


LOADERS = {
    "BenchLoadTiny": LoadTinyFrom,
    "BenchLoadMotion": LoadMotionFrom,
    "BenchLoadControl": LoadControlFrom,
    "BenchLora": ApplyLoraFrom,
    "BenchLoadGuider": LoadGuiderFrom,
    "BenchEncodeFace": EncodeFaceWithIdentity,
}


def new_runner() -> GraphRunner:
    """A runner that knows the benchmark's own loaders too."""
    runner = GraphRunner()
    runner.classes |= LOADERS
    return runner


def fingerprint(folder: Path | None) -> str:
    """Of Tiny's files: rows of other weights are never mixed with these."""
    folder = folder or tiny_folder()
    beside = [name for name in (files.FACE_RECOGNISER,) if (folder / name).is_file()]
    return "".join(file_digest(folder / name)[:4] for name in (*files.ALL, *beside))


def file_digest(path: Path) -> str:
    """Of one file; "missing" without it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "missing"
