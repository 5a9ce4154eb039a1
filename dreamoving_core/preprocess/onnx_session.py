"""An .onnx file ready to run on the best device that there is, and which one that is and why.

onnxruntime's flavours know one kind of device each: onnxruntime-gpu CUDA, onnxruntime-directml DirectML, and the plain
one the CPU, on a Mac also CoreML. The CPU is always the last resort.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ..errors import InputError, WeightsError
from .optional_packages import onnxruntime

CPU = "CPU"
DEVICES = {
    "CUDA": "CUDAExecutionProvider",
    "DirectML": "DmlExecutionProvider",
    "CoreML": "CoreMLExecutionProvider",
    CPU: "CPUExecutionProvider",
}
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output: its name and shape; a side that the file leaves open is None."""

    name: str
    shape: tuple[int | None, ...]
    half: bool

    def __str__(self) -> str:
        return f"{self.name} {' x '.join('?' if side is None else str(side) for side in self.shape)}"


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """A file that runs. `device` is a key of DEVICES, `why` a clause that says how it came to it."""

    name: str
    session: Any
    device: str
    why: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        """All outputs, float32, for one input in the precision that the file wants."""
        port = self.inputs[0]
        given = np.ascontiguousarray(batch, np.float16 if port.half else np.float32)
        try:
            found = self.session.run(None, {port.name: given})
        except Exception as error:  # onnxruntime's errors share no class of their own
            size = " x ".join(map(str, batch.shape))
            raise WeightsError(
                f"'{self.name}' failed on {self.device} with an input of {size} ({short(error)}). Choose device CPU; if it "
                "fails there too, fetch the file again."
            ) from error
        return [np.asarray(output, np.float32) for output in found]

    def ports(self) -> str:
        """What the file takes and gives, for an error."""
        return f"takes {', '.join(map(str, self.inputs))} and gives {', '.join(map(str, self.outputs))}"


def open_model(path: Path, *, device: str = AUTO) -> OnnxModel:
    """The file on `device`: "auto" or a key of DEVICES.

    Raises WeightsError for what is no .onnx file, InputError for an unknown device, MissingPackageError.
    """
    runtime = onnxruntime()
    if device != AUTO and device not in DEVICES:
        raise InputError(f"The device must be one of {', '.join((AUTO, *DEVICES))}, got '{device}'.")
    if not path.is_file():
        raise WeightsError(f"There is no file '{path}'. Choose a file of the list.")
    session, chosen, why = on_best_device(runtime, path, device)
    return OnnxModel(
        name=path.name,
        session=session,
        device=chosen,
        why=why,
        inputs=tuple(port(value) for value in session.get_inputs()),
        outputs=tuple(port(value) for value in session.get_outputs()),
    )


def on_best_device(runtime: ModuleType, path: Path, device: str) -> tuple[Any, str, str]:
    """A session, its device, and why that one. What was asked for and fails is replaced by the CPU, in words."""
    available = runtime.get_available_providers()
    wanted = list(DEVICES)[:-1] if device == AUTO else [device]
    reasons = []
    for name in (name for name in wanted if name != CPU):
        if DEVICES[name] not in available:
            continue
        session, failure = on_device(runtime, path, DEVICES[name])
        if session is not None:
            return session, name, "onnxruntime offers it" if device == AUTO else "as chosen"
        reasons.append(f"{name} could not start ({failure})")
    session, failure = on_device(runtime, path, DEVICES[CPU])
    if session is None:
        raise WeightsError(
            f"'{path.name}' cannot be read as an .onnx file ({failure}). It is damaged, its download was cut short, or it "
            "is another kind of file: fetch it again."
        )
    if device == CPU:
        return session, CPU, "as chosen"
    offered = ", ".join(name for name, provider in DEVICES.items() if provider in available)
    asked = "no graphics card" if device == AUTO else f"no {device}"
    reasons = reasons or [f"the installed onnxruntime knows {asked}, only {offered}"]
    return session, CPU, "; ".join(reasons)


def on_device(runtime: ModuleType, path: Path, provider: str) -> tuple[Any, str]:
    """A session on this provider, or None and the reason."""
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # its warnings would be ours to tell
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry(
        "session.intra_op.allow_spinning", "0"
    )  # threads that wait leave the cores alone
    try:
        if provider == DEVICES["CUDA"] and hasattr(runtime, "preload_dlls"):
            runtime.preload_dlls()  # finds CUDA's libraries where torch's wheels have them
        providers = list(dict.fromkeys([provider, DEVICES[CPU]]))
        session = runtime.InferenceSession(str(path), sess_options=options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no class of their own
        return None, short(error)
    if provider not in session.get_providers():
        return None, "its libraries are missing"
    return session, ""


def port(value: Any) -> Port:
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in value.shape)
    return Port(name=value.name, shape=shape, half=value.type == "tensor(float16)")


def short(error: Exception) -> str:
    """The first line of an error, without onnxruntime's prefix."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return line.removeprefix("[ONNXRuntimeError] : ")[:160]
