"""Names and shapes of one weight file, with the questions by which formats are told apart, and one such format."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CROSS_DIMENSIONS = {768: "SD1.5", 1024: "SD2", 2048: "SDXL"}  # width of the text tokens

Shapes = Mapping[str, tuple[int, ...]]


class Layout:
    """Names and shapes of one file, with the questions that the rows ask."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.text = "\n".join(shapes)

    def has(self, *patterns: str) -> bool:
        """Whether every pattern is found somewhere in the names."""
        return all(re.search(pattern, self.text, re.MULTILINE) for pattern in patterns)

    def size(self, pattern: str, axis: int) -> int | None:
        """The length of `axis` of the first tensor whose name matches."""
        for key, shape in self.shapes.items():
            if re.search(pattern, key) and len(shape) > axis:
                return shape[axis]
        return None

    def motion_widths(self) -> tuple[int, ...]:
        """Channels of the motion blocks on the way down, per level; () without such blocks."""
        widths = {}
        for key, shape in self.shapes.items():
            if match := re.search(
                r"down_blocks\.(\d+)\.motion_modules\.\d+\.(?:temporal_transformer\.)?proj_in\.weight$", key
            ):
                widths[int(match.group(1))] = shape[0]
        return tuple(widths[level] for level in sorted(widths))

    @property
    def base(self) -> str:
        """SD1.5, SD2, SDXL or another width, by the text tokens that the cross-attention takes."""
        if self.has(r"label_emb\.0\.0\.weight|add_embedding\.linear_1"):
            return "SDXL"
        width = self.size(r"attn2\.to_k\.weight$|\.to_k_ip\.weight$", 1)
        return CROSS_DIMENSIONS.get(width or 0, f"{width}-wide")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One format. Without a `node` it is refused, and then `remedy` says where it belongs or what to get instead."""

    kind: str  # for code
    title: str  # for people, with its article: "an SDXL motion model"
    evidence: str  # how it shows, in words; `fits` is the same in code
    fits: Callable[[Layout], bool]
    node: str = ""  # display name of the node that loads it
    remedy: str = ""  # an instruction; with a node "" stands for "Use {node}."
    files: str = ""  # public files of this format
    licence: str = ""  # what the authors put such files under
