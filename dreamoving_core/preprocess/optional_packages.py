"""Packages that some steps need and ComfyUI does not bring. When one is missing, the error names its command."""

import importlib
from types import ModuleType

from ..errors import MissingPackageError


def opencv(*, needed_for: str = "Reading poses off a video") -> ModuleType:
    """OpenCV, or MissingPackageError."""
    return _package("cv2", needed_for=needed_for, install="pip install opencv-python")


def onnxruntime() -> ModuleType:
    """ONNX Runtime, or MissingPackageError."""
    return _package(
        "onnxruntime",
        needed_for="Running .onnx files",
        install="pip install onnxruntime (with an NVIDIA GPU: onnxruntime-gpu)",
    )


def _package(name: str, *, needed_for: str, install: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"{needed_for} needs {name}, which cannot be imported here ({error}). Install it into ComfyUI's Python "
            f"with: {install}"
        ) from error
