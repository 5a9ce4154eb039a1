"""What a person sees of a prepared set: a report in JSON and in words, and a sheet with every clip's pictures."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ...preprocess.draw_pose import draw_pose
from ...preprocess.pose_json import read_pose_json
from ...video.layout import contact_sheet
from ...video.pixels import to_floats
from ..dances import as_bytes
from ..folder_names import POINTS
from .manifest import summary, table

FOLDER = "report"
KEYS = "keys"  # key frames, below the report
CELL = 128  # pixels of a picture's height on the sheet
SHOWN = 48  # clips on the sheet, evenly spread over the set: a sheet of thousands opens nowhere [ours]


def write_report(folder: Path, lines: list[dict[str, Any]]) -> list[str]:
    """report.json, report.txt and contact.jpg in the set's report folder; the text comes back."""
    found = summary(lines)
    told = table(found)
    report = folder / FOLDER
    report.mkdir(exist_ok=True)
    atomically(
        report / "report.json", json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True).encode()
    )
    atomically(report / "report.txt", ("\n".join(told) + "\n").encode())
    kept = [line for line in lines if "clip" in line and not line["reason"]]
    if kept:
        step = max(1, len(kept) / SHOWN)
        shown = [kept[int(i * step)] for i in range(min(len(kept), SHOWN))]
        sheet = contact_sheet([row(folder, line) for line in shown], cell_height=CELL)
        part = report / "contact.part"
        Image.fromarray(as_bytes(sheet).numpy()).save(part, format="JPEG", quality=88)
        os.replace(part, report / "contact.jpg")
    return told


def row(folder: Path, line: dict[str, Any]) -> tuple[str, Tensor]:
    """One clip: its key frame, pose at that frame, face and clothes; a plain cell where one is missing."""
    name, number = line["clip"], line["key_frame"]
    key = to_floats(pixels(folder / FOLDER / KEYS / f"{name}.jpg"))
    cells = [key, pose(folder / f"{name}{POINTS}", number, key)]
    for part in ("face", "cloth"):
        path = folder / f"{name}.{part}.png"
        cells.append(to_floats(pixels(path)) if path.is_file() else torch.full((CELL, CELL, 3), 0.9))
    return f"{name}: {line['caption_text'] or 'no caption'}", torch.stack([squared(cell) for cell in cells])


def pixels(path: Path) -> np.ndarray:
    """`h w 3` uint8."""
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


def pose(path: Path, number: int, like: Tensor) -> Tensor:
    """The pose of one frame as a picture of the size of `like` (h w 3)."""
    if not path.is_file():
        return torch.full((CELL, CELL, 3), 0.9)
    frames = read_pose_json([path.read_text(encoding="utf-8")])
    height, width = like.shape[:2]
    return draw_pose(frames[number : number + 1], width=width, height=height)[0]


def squared(picture: Tensor) -> Tensor:
    """`h w 3` in the middle of a white `CELL CELL 3`."""
    height, width = picture.shape[:2]
    scale = CELL / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = interpolate(picture.movedim(-1, 0)[None], size, mode="bilinear", antialias=True)[0].movedim(0, -1)
    cell = torch.ones(CELL, CELL, 3)
    top, left = (CELL - size[0]) // 2, (CELL - size[1]) // 2
    cell[top : top + size[0], left : left + size[1]] = small.clamp(0, 1)
    return cell


def atomically(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
