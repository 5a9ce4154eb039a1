"""Loaders that only the quality benchmark has: Tiny, motion blocks, a ControlNet or a LoRA from any path."""

import hashlib
from pathlib import Path

from ..dreamoving_core.bridge.loading import load_motion_model, load_video_controlnet_file
from ..dreamoving_core.bridge.tiny_files import load_tiny, tiny_folder
from ..dreamoving_core.tiny import files
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
}


def new_runner() -> GraphRunner:
    """A runner that knows the benchmark's own loaders too."""
    runner = GraphRunner()
    runner.classes |= LOADERS
    return runner


def fingerprint(folder: Path | None) -> str:
    """Of Tiny's files: rows of other weights are never mixed with these."""
    folder = folder or tiny_folder()
    return "".join(file_digest(folder / name)[:4] for name in files.ALL)


def file_digest(path: Path) -> str:
    """Of one file; "missing" without it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "missing"
