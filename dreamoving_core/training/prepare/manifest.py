"""What is finished, one line of JSON per clip and per file, in an order that does not depend on who was faster.

A line is written when everything it tells of lies in its place, so the manifest is what a cut run goes on from. It
holds no time and no path outside the folder: the same videos and settings give the same bytes.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from ...errors import InputError

NAME = "manifest.jsonl"
SETTINGS = "settings.json"


class Manifest:
    """`lines` so far; `clips` and `videos` that are done by name."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.lines: list[dict[str, Any]] = []
        text = self.path.read_bytes() if self.path.is_file() else b""
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:  # the power went while a line was written
            with self.path.open("r+b") as file:
                file.truncate(len(whole))
        for number, line in enumerate(whole.decode("utf-8").splitlines(), start=1):
            try:
                self.lines.append(json.loads(line))
            except ValueError as error:
                raise InputError(
                    f"Line {number} of {self.path} is no JSON ({error}). Restore the file, or remove it: prepare then begins anew."
                ) from error
        self.clips = {key(line) for line in self.lines if "start" in line}
        self.videos = {line["video"]: line["bytes"] for line in self.lines if "start" not in line}

    def add(self, line: dict[str, Any]) -> None:
        """On the disk when this returns."""
        text = json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n"
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.lines.append(line)
        if "start" in line:
            self.clips.add(key(line))
        else:
            self.videos[line["video"]] = line["bytes"]


def key(line: dict[str, Any]) -> tuple[str, int]:
    """What a line of a clip tells of: its video, and the frame it starts at."""
    return line["video"], line["start"]


def refuse_other_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Writes the settings of a new set; InputError when the set was begun with others, which it names."""
    path = folder / SETTINGS
    if not path.is_file():
        part = path.with_suffix(".part")
        part.write_text(json.dumps(settings, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(part, path)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    other = sorted(name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name))
    if other:
        told = "; ".join(f"{n} was {before.get(n)}, is now {settings.get(n)}" for n in other)
        raise InputError(
            f"The set in {folder} was begun with other settings: {told}. Use those again, or another --out: half a set of "
            "each would be neither."
        )


def summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of the whole set: what it holds, and what was left out and why."""
    clips = [line for line in lines if "start" in line]
    kept = [line for line in clips if not line["reason"]]
    files = [line for line in lines if "start" not in line]
    seconds = [line["frames"] / fraction(line["rate"]) for line in kept if "rate" in line]
    out = [line for line in (*clips, *files) if line["reason"]]
    return {
        "files": len(files),
        "clips": len(seconds),
        "pictures": len(kept) - len(seconds),
        "minutes": round(sum(seconds) / 60, 2),
        "captions": dict(Counter(line["caption"] or "none" for line in kept)),
        "with_face": sum("face_frame" in line for line in kept),
        "with_cloth": sum("cloth_frame" in line for line in kept),
        "reasons": dict(Counter(kind_of(line) for line in out).most_common()),
        "notes": [f"{line['video']}: {line['note']}" for line in files if line.get("note")],
        "left_out": out,
    }


def kind_of(line: dict[str, Any]) -> str:
    """The reason without its numbers."""
    return line["reason"].split(":")[0].split(" in ")[0] if "start" in line else "files that cannot be read"


def fraction(rate: str) -> float:
    above, _, below = rate.partition("/")
    return float(above) / float(below or 1)


def table(found: dict[str, Any]) -> list[str]:
    """The same for people."""
    captions = ", ".join(f"{count} by {source}" for source, count in found["captions"].items())
    kept = f"{found['clips']} clips ({found['minutes']:g} minutes) and {found['pictures']} pictures"
    lines = [
        f"{found['files']} files: {kept} kept",
        f"captions: {captions or 'none'}; face: {found['with_face']}, clothes: {found['with_cloth']}",
        *(f"{count:6d} left out: {reason}" for reason, count in found["reasons"].items()),
        *(f"   note: {note}" for note in found["notes"]),
        "",
    ]
    for line in found["left_out"]:
        place = f" from frame {line['start']} on" if line.get("start") is not None and "rate" in line else ""
        lines.append(f"{line['video']}{place}: {line['reason']}")
    return lines
