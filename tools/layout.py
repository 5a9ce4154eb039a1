"""Places a graph's nodes: one numbered frame per step, from left to right, the nodes of a step below one another."""

import contextlib
from collections.abc import Iterator
from typing import Any

from .graph import TITLE, Graph, Node

GAP = 30  # pixels between nodes
BETWEEN = 80  # between the columns of two steps
LONGEST = 1150  # a step goes on in another column below this
NOTE_WIDTH = 460
WIDTH = 330

# What nodes show below their widgets takes room: pictures, moving previews, text.
ROOM = {
    "LoadImage": 260,
    "LoadVideo": 260,
    "PreviewImage": 280,
    "PreviewAny": 160,
    "DreaMovingVideoCombine": 340,
    "DreaMovingSampler": 260,
    "DreaMovingReadPose": 240,
    "DreaMovingPoseExtract": 240,
    "DreaMovingTrackPerson": 240,
    "DreaMovingCleanPose": 240,
    "DreaMovingFitPose": 280,
    "DreaMovingResamplePose": 240,
    "DreaMovingMirrorPose": 240,
    "DreaMovingCropPose": 240,
    "DreaMovingCheckModels": 200,
    "DreaMovingScorecard": 640,
}


class Column:
    """Where the nodes of one step go."""

    def __init__(self, graph: Graph, *, left: int, width: int) -> None:
        self.graph, self.left, self.width, self.y = graph, left, width, 0
        self.nodes: list[Node] = []

    def node(self, type_: str, inputs: dict[str, Any] | None = None, **more: Any) -> Node:
        """Add a node below the last one; `more` as for `Graph.node`."""
        room = ROOM.get(type_, 0)
        node = self.graph.node(type_, inputs, pos=(self.left, self.y), width=self.width, room=room, **more)
        if self.y and self.y + node.size[1] > LONGEST:
            self.left, self.y = self.left + self.width + GAP, 0
            node.pos = (self.left, self.y)
        self.y += node.size[1] + TITLE + GAP
        self.nodes.append(node)
        return node


class Steps:
    """A graph that is described from left to right."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.left, self.number = graph, 0, 0

    @contextlib.contextmanager
    def step(self, title: str, *, width: int = WIDTH) -> Iterator[Column]:
        """The next step; its frame is drawn when all its nodes are there."""
        self.number += 1
        column = Column(self.graph, left=self.left, width=width)
        yield column
        self.graph.group(f"Step {self.number} - {title}", *column.nodes)
        self.left = column.left + column.width + BETWEEN

    def note(self, text: str, *, title: str = "Read me") -> None:
        """The note on the far left."""
        lines = sum(1 + len(line) // 62 for line in text.splitlines())
        self.graph.note(text, pos=(-NOTE_WIDTH - BETWEEN, 0), size=(NOTE_WIDTH, 60 + 22 * lines), title=title)
