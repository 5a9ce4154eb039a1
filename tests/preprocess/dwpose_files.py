"""Files with the real interfaces of yolox_l.onnx and dw-ll_ucoco_384.onnx that see paint: no weights, exact answers.

The "detector" takes what is bluer than red for a person, one in each half of its picture; with red and blue exchanged it
sees nobody. The "pose network" looks for 133 colours; so index, channel and padding mistakes all show.
"""

import itertools

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BODY = (0, 0, 255)  # a painted person's ground colour, RGB
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
GRID = {"left": (5, 3), "right": (7, 2)}  # cells that answer: column and row, on strides 8 and 16


def colours():
    """133 colours, RGB, far from each other and from the ground."""
    levels = [20, 67, 114, 161, 208, 255]
    found = [c for c in itertools.product(levels, levels, [20, 80, 140, 200]) if c[0] + c[1] > 60]
    return np.array(found[::1][:133], np.float64)


def save(path, nodes, inputs, outputs, weights):
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


class Builder:
    def __init__(self):
        self.nodes, self.weights = [], []

    def op(self, kind, *inputs, name=None, **attributes):
        name = name or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def put(self, values, dtype=np.float32):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def whole(self, values):
        return self.put(values, np.int64)


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def one_box(b, person, *, side, size):
    """Left, top, right, bottom of the True pixels of `person` 1 h w, and how many there are."""
    first, last = (0, size // 2) if side == "left" else (size // 2, size)
    half = b.op("Slice", person, b.whole([first]), b.whole([last]), b.whole([2]))
    columns = b.op("ReduceMax", half, axes=[0, 1], keepdims=0)
    rows = b.op("ReduceMax", half, axes=[0, 2], keepdims=0)
    edges = []
    for marks, start, length in ((columns, first, size // 2), (rows, 0, size)):
        place = b.put(np.arange(start, start + length))
        unseen = b.op("Mul", b.op("Sub", b.put(1), marks), b.put(1e6))
        edges.append(b.op("ReduceMin", b.op("Add", place, unseen), axes=[0], keepdims=1))
        edges.append(
            b.op("ReduceMax", b.op("Sub", b.op("Add", place, b.put(1)), unseen), axes=[0], keepdims=1)
        )
    left, right, top, bottom = edges
    count = b.op("ReduceMax", columns, axes=[0], keepdims=1)
    return left, top, right, bottom, count


def person_file(path, *, size=640, suppressed=False):
    """A YOLOX file: raw cells, or the five columns of a file with the suppression inside."""
    b = Builder()
    blue = b.op("Slice", "images", b.whole([0]), b.whole([1]), b.whole([1]))
    red = b.op("Slice", "images", b.whole([2]), b.whole([3]), b.whole([1]))
    bluer = b.op("Greater", b.op("Sub", blue, red), b.put(100))
    person = b.op("Squeeze", b.op("Cast", bluer, to=TensorProto.FLOAT), b.whole([1]))
    boxes = {side: one_box(b, person, side=side, size=size) for side in GRID}
    if suppressed:
        rows = [b.op("Concat", *box, axis=0) for box in boxes.values()]
        output = b.op("Concat", *(b.op("Unsqueeze", row, b.whole([0])) for row in rows), axis=0)
        b.op("Unsqueeze", output, b.whole([0]), name="dets")
        return save(
            path, b.nodes, [value("images", [1, 3, size, size])], [value("dets", [1, None, 5])], b.weights
        )
    total, parts, reached = sum((size // s) ** 2 for s in (8, 16, 32)), [], 0
    for (side, box), stride, before in zip(boxes.items(), (8, 16), (0, (size // 8) ** 2), strict=True):
        left, top, right, bottom, count = box
        row = []
        for low, high, cell in ((left, right, GRID[side][0]), (top, bottom, GRID[side][1])):
            middle = b.op("Div", b.op("Add", low, high), b.put(2.0 * stride))
            row.append(b.op("Sub", middle, b.put(cell)))
        for low, high in ((left, right), (top, bottom)):
            extent = b.op("Max", b.op("Sub", high, low), b.put(1.0))
            row.append(b.op("Log", b.op("Div", extent, b.put(float(stride)))))
        row += [b.op("Mul", count, b.put(0.9)), count, b.put(np.zeros(79))]
        blank = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
        gap = before + size // stride * GRID[side][1] + GRID[side][0] - reached
        parts.append(b.op("ConstantOfShape", b.whole([gap, 85]), value=blank))
        parts.append(b.op("Unsqueeze", b.op("Concat", *row, axis=0), b.whole([0])))
        reached += gap + 1
    blank = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
    parts.append(b.op("ConstantOfShape", b.whole([total - reached, 85]), value=blank))
    b.op("Unsqueeze", b.op("Concat", *parts, axis=0), b.whole([0]), name="output")
    return save(
        path, b.nodes, [value("images", [1, 3, size, size])], [value("output", [1, total, 85])], b.weights
    )


def points_file(path, *, size=(288, 384), batch="n", points=133):
    """A SimCC file: the score of a place falls with the distance of its colour."""
    width, height = size
    wanted = (colours()[:points] - MEAN) / STD
    b = Builder()
    squared = b.op("ReduceSum", b.op("Mul", "input", "input"), b.whole([1]), keepdims=1)
    dots = b.op("Conv", "input", b.put(2 * wanted[:, :, None, None]), b.put(-(wanted**2).sum(1)))
    near = b.op("Exp", b.op("Mul", b.op("Sub", dots, squared), b.put(40.0)))
    smooth = near
    for _ in range(3):  # together a small bell, whose peak over a dot is the dot's middle
        smooth = b.op("AveragePool", smooth, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    smooth = b.op("Mul", smooth, b.put(3.0))
    for name, axis in (("simcc_x", 2), ("simcc_y", 3)):
        line = b.op("ReduceMax", smooth, axes=[axis], keepdims=0)
        scales = b.put([1, 1, 2])
        b.op("Resize", line, "", scales, mode="nearest", name=name)
    shapes = {"simcc_x": [batch, points, 2 * width], "simcc_y": [batch, points, 2 * height]}
    outputs = [value(name, shape) for name, shape in shapes.items()]
    return save(path, b.nodes, [value("input", [batch, 3, height, width])], outputs, b.weights)


def painted(people, *, width, height, dot=3):
    """A picture `h w 3` uint8 RGB on grey: people are `133 2` places, each a dot on a blue ground around them all."""
    picture = np.full((height, width, 3), 90, np.uint8)
    rows, columns = np.mgrid[:height, :width]
    for points in people:
        low, high = points.min(0) - 2 * dot, points.max(0) + 2 * dot
        inside = (columns >= low[0]) & (columns <= high[0]) & (rows >= low[1]) & (rows <= high[1])
        picture[inside] = BODY
        for (x, y), colour in zip(points, colours(), strict=False):
            picture[(columns - x) ** 2 + (rows - y) ** 2 <= dot**2] = colour
    return picture


def scattered(seed, *, left, top, width, height, dot=3):
    """133 places on a shaken grid, none over another."""
    draw = np.random.default_rng(seed)
    across = int(np.ceil(np.sqrt(133 * width / height)))
    down = int(np.ceil(133 / across))
    grid = [(x, y) for y in range(down) for x in range(across)][:133]
    spacing = np.array([width / across, height / down])
    places = (np.array(grid) + 0.5) * spacing + draw.uniform(-1, 1, (133, 2)) * (spacing / 2 - dot - 1).clip(
        min=0
    )
    return places[draw.permutation(133)] + (left, top)
