"""Tiny's detectors as .onnx files with YOLOX's and DWPose's inputs and outputs. Norms go into the convolutions.

Weights are stored in half precision and widened when the file is opened: half the size, the same speed. The graph is
written node by node; `onnx` is needed here and nowhere else.
"""

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import MissingPackageError
from ..tiny.files import PERSON_DETECTOR, POINT_DETECTOR
from .detector_networks import (
    CLASSES,
    NUM_POINTS,
    PERSON_SIZE,
    POSE_SIZE,
    TINIEST,
    ConvBlock,
    PersonNetwork,
    PointNetwork,
    Pyramid,
    Residual,
    peak,
)

OPSET = 17
IR_VERSION = 8  # what onnxruntime 1.12 and newer read
SURE = 20.0  # a logit whose sigmoid is 1


class Graph:
    """An ONNX graph that grows; values are named by number."""

    def __init__(self, onnx: ModuleType):
        self.onnx, self.nodes, self.weights = onnx, [], []

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Adds a node; the name of its output."""
        output = name or f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, values: np.ndarray | Tensor) -> str:
        """A weight; floats are stored in half precision."""
        array = np.asarray(values.detach() if isinstance(values, Tensor) else values)
        name = f"w{len(self.weights)}"
        if array.dtype != np.float32:
            self.weights.append(self.onnx.numpy_helper.from_array(array, name))
            return name
        self.weights.append(self.onnx.numpy_helper.from_array(array.astype(np.float16), name))
        return self.op("Cast", name, to=self.onnx.TensorProto.FLOAT)

    def number(self, value: float) -> str:
        """A single float, in full precision."""
        name = f"w{len(self.weights)}"
        self.weights.append(self.onnx.numpy_helper.from_array(np.float32(value), name))
        return name

    def axes(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def conv(self, x: str, weight: Tensor, bias: Tensor, *, stride: int = 1) -> str:
        kernel, pad = list(weight.shape[2:]), weight.shape[2] // 2
        parts = x, self.constant(weight), self.constant(bias)
        return self.op("Conv", *parts, kernel_shape=kernel, strides=[stride] * 2, pads=[pad] * 4)

    def block(self, block: ConvBlock, x: str) -> str:
        norm = block.norm
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = block.conv.weight * scale[:, None, None, None]
        x = self.conv(x, weight, norm.bias - norm.running_mean * scale, stride=block.conv.stride[0])
        return self.op("Relu", x) if block.relu else x

    def residual(self, residual: Residual, x: str) -> str:
        return self.op("Relu", self.op("Add", x, self.block(residual.second, self.block(residual.first, x))))

    def pyramid(self, pyramid: Pyramid, x: str) -> list[str]:
        x, found = self.block(pyramid.stem, x), []
        for down, stage in zip(pyramid.downs, pyramid.stages, strict=True):
            x = self.block(down, x)
            for residual in stage:
                x = self.residual(residual, x)
            found.append(x)
        merged = [self.op("Relu", self.block(pyramid.laterals[-1], found[-1]))]
        for i in reversed(range(len(found) - 1)):
            doubled = self.op("Resize", merged[0], "", self.constant_scales(), mode="nearest",
                              coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
            sideways = self.op("Relu", self.op("Add", self.block(pyramid.laterals[i], found[i]), doubled))
            merged.insert(0, self.residual(pyramid.merges[i], sideways))
        return merged

    def constant_scales(self) -> str:
        name = f"w{len(self.weights)}"
        scales = np.array([1, 1, 2, 2], np.float32)
        self.weights.append(self.onnx.numpy_helper.from_array(scales, name))
        return name

    def model(self, name: str, inputs: dict[str, list], outputs: dict[str, list]) -> Any:
        """The finished file, checked."""
        kind, helper = self.onnx.TensorProto.FLOAT, self.onnx.helper
        takes = [helper.make_tensor_value_info(key, kind, shape) for key, shape in inputs.items()]
        gives = [helper.make_tensor_value_info(key, kind, shape) for key, shape in outputs.items()]
        graph = helper.make_graph(self.nodes, name, takes, gives, self.weights)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="dreamoving"
        )
        self.onnx.checker.check_model(model)
        return model


def point_model(network: PointNetwork) -> Any:
    """`input` n 3 h w -> `simcc_x` n 133 2w, `simcc_y` n 133 2h: the peaks of sure points are about 1."""
    graph, (width, height) = Graph(onnx_package()), POSE_SIZE
    finest = graph.pyramid(network.pyramid, "input")[0]
    heat = graph.conv(finest, network.heat.weight, network.heat.bias)
    share_of_all = graph.op(
        "Exp", graph.op("Sub", heat, graph.op("ReduceMax", heat, axes=[2, 3], keepdims=1))
    )
    for name, axis, spread in (("simcc_x", 2, network.columns), ("simcc_y", 3, network.rows)):
        summed = graph.op("ReduceSum", share_of_all, graph.axes(axis), keepdims=0)
        marginal = graph.op("Log", graph.op("Add", summed, graph.number(TINIEST)))
        share = graph.op("Softmax", graph.op("MatMul", marginal, graph.constant(spread)), axis=-1)
        graph.op("Mul", share, graph.number(1 / peak()), name=name)
    outputs = {"simcc_x": ["n", NUM_POINTS, 2 * width], "simcc_y": ["n", NUM_POINTS, 2 * height]}
    return graph.model("points", {"input": ["n", 3, height, width]}, outputs)


def person_model(network: PersonNetwork) -> Any:
    """`images` 1 3 s s, BGR 0..255 -> `output` 1 n 85, raw cells as YOLOX writes them; only persons are known."""
    graph = Graph(onnx_package())
    scaled = graph.op("Sub", graph.op("Div", "images", graph.number(128)), graph.number(1))
    features = graph.pyramid(network.pyramid, scaled)[1:]
    rows = []
    for head, x in zip(network.heads, features, strict=True):
        silent = torch.zeros(CLASSES, *head.weight.shape[1:])
        classes = torch.full((CLASSES,), -SURE)
        classes[0] = SURE
        cells = graph.conv(x, torch.cat([head.weight, silent]), torch.cat([head.bias, classes]))
        boxes = graph.op("Slice", cells, graph.axes(0), graph.axes(4), graph.axes(1))
        scores = graph.op("Slice", cells, graph.axes(4), graph.axes(5 + CLASSES), graph.axes(1))
        columns = graph.op("Concat", boxes, graph.op("Sigmoid", scores), axis=1)
        rows.append(graph.op("Reshape", columns, graph.axes(1, 5 + CLASSES, -1)))
    graph.op("Transpose", graph.op("Concat", *rows, axis=2), perm=[0, 2, 1], name="output")
    cells = sum((PERSON_SIZE // stride) ** 2 for stride in (8, 16, 32))
    shape = [1, 3, PERSON_SIZE, PERSON_SIZE]
    return graph.model("person", {"images": shape}, {"output": [1, cells, 5 + CLASSES]})


@torch.no_grad()
def export_detectors(person: PersonNetwork, points: PointNetwork, folder: Path) -> None:
    """Writes both files, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    models = {PERSON_DETECTOR: person_model(person.eval()), POINT_DETECTOR: point_model(points.eval())}
    for name, model in models.items():
        part = folder / f"{name}.part"
        part.write_bytes(model.SerializeToString())
        os.replace(part, folder / name)


def onnx_package() -> ModuleType:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise MissingPackageError(
            f"Writing .onnx files needs onnx, which cannot be imported here ({error}). Install it into ComfyUI's Python "
            "with: pip install onnx"
        ) from error
    return onnx
