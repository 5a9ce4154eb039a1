"""A face pack of random networks with buffalo_l's inputs and outputs, a few kilobytes each. No face was ever in them.

The "detector" takes bright spots for faces; where it puts boxes and points depends on the picture, so that they are
turned and scaled. The "recogniser" is one convolution and one matrix.
"""

from pathlib import Path
from typing import Any

import numpy as np

STRIDES = (8, 16, 32)
ANCHORS = 2
POINTS = np.array(
    [-0.8, -0.6, 0.9, -0.5, 0.1, 0.1, -0.6, 0.9, 0.6, 0.8]
)  # eyes, nose, mouth: x, y in strides
IDENTITY = 512


def write_face_pack(folder: Path, *, seed: int = 0, other_networks: bool = True) -> None:
    """`det_10g.onnx` and `w600k_r50.onnx`, and, as in the real pack, a landmark network that nobody needs."""
    import onnx

    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(detector(rng), str(folder / "det_10g.onnx"))
    onnx.save(recogniser(rng), str(folder / "w600k_r50.onnx"))
    if other_networks:
        onnx.save(recogniser(rng, size=192, numbers=212), str(folder / "2d106det.onnx"))


def detector(rng: np.random.Generator) -> Any:
    """Nine outputs: scores, boxes and points at three strides; each row is an anchor."""
    from onnx import TensorProto, helper

    nodes, weights = [], []
    outputs: dict[str, list] = {"score": [], "box": [], "points": []}
    for stride in STRIDES:
        mean = np.zeros((ANCHORS, 3, stride, stride), np.float32)
        mean[0] = 20 / (3 * stride**2)  # the second anchor never fires
        varied = rng.normal(size=(ANCHORS * 14, 3, stride, stride)).astype(np.float32) / stride**2
        layers = {
            "score": (mean, np.array([-6, -9], np.float32), 1),
            "box": (varied[: ANCHORS * 4], np.tile([1.5, 1.7, 1.6, 1.9], ANCHORS).astype(np.float32), 4),
            "points": (varied[ANCHORS * 4 :], np.tile(POINTS, ANCHORS).astype(np.float32), 10),
        }
        for part, (weight, bias, columns) in layers.items():
            name = f"{part}_{stride}"
            weights += [
                tensor(f"{name}.weight", weight),
                tensor(f"{name}.bias", bias),
                tensor(f"{name}.shape", np.array([-1, columns], np.int64)),
            ]
            inputs = ["input.1", f"{name}.weight", f"{name}.bias"]
            nodes.append(
                helper.make_node(
                    "Conv", inputs, [f"{name}.map"], kernel_shape=[stride] * 2, strides=[stride] * 2
                )
            )
            last = f"{name}.map"
            if part == "score":
                nodes.append(helper.make_node("Sigmoid", [last], [f"{name}.on"]))
                last = f"{name}.on"
            nodes.append(helper.make_node("Transpose", [last], [f"{name}.rows"], perm=[0, 2, 3, 1]))
            nodes.append(helper.make_node("Reshape", [f"{name}.rows", f"{name}.shape"], [name]))
            # Each its own symbol: onnxruntime takes outputs of one symbol for equally large.
            shape = [f"rows_{name}", columns]
            outputs[part].append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    found = [value for part in outputs.values() for value in part]
    picture = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "height", "width"])
    return model(helper.make_graph(nodes, "detector", [picture], found, weights))


def recogniser(rng: np.random.Generator, *, size: int = 112, numbers: int = IDENTITY) -> Any:
    """One picture in, one vector out."""
    from onnx import TensorProto, helper

    weights = [
        tensor("conv.weight", rng.normal(size=(8, 3, 16, 16)).astype(np.float32) / 16),
        tensor("conv.bias", rng.normal(size=8).astype(np.float32)),
        tensor("gemm.weight", rng.normal(size=(8 * (size // 16) ** 2, numbers)).astype(np.float32) / size),
        tensor("gemm.bias", rng.normal(size=numbers).astype(np.float32) / 10),
    ]
    nodes = [
        helper.make_node(
            "Conv",
            ["input.1", "conv.weight", "conv.bias"],
            ["seen"],
            kernel_shape=[16, 16],
            strides=[16, 16],
        ),
        helper.make_node("Relu", ["seen"], ["positive"]),
        helper.make_node("Flatten", ["positive"], ["flat"]),
        helper.make_node("Gemm", ["flat", "gemm.weight", "gemm.bias"], ["683"]),
    ]
    picture = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["batch", 3, size, size])
    vector = helper.make_tensor_value_info("683", TensorProto.FLOAT, ["batch", numbers])
    return model(helper.make_graph(nodes, "recogniser", [picture], [vector], weights))


def tensor(name: str, values: np.ndarray) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(values, name)


def model(graph: Any) -> Any:
    from onnx import helper

    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def picture_with_a_spot(*, height: int = 480, width: int = 400, seed: int = 0) -> np.ndarray:
    """`h w 3` in [0, 1]: dark, with one bright spot that the detector takes for a face; as smooth as photographs are."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    coarse = 0.25 * torch.rand(1, 3, height // 16, width // 16, generator=generator)
    rows, columns = coarse.shape[-2:]
    coarse[..., int(rows * 0.3) : int(rows * 0.6), int(columns * 0.35) : int(columns * 0.75)] += 0.7
    picture = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return picture[0].movedim(0, -1).clamp(0, 1).numpy()
