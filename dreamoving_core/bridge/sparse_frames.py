"""Which frames of a clip the pictures of a SparseCtrl belong to. Frame 0 is the first of the whole clip, windows or not."""

import re
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True, kw_only=True)
class SparseFrames:
    """Where pictures stand: at `numbers` (from 0; -1 is the last frame), spread evenly, or picture i on frame i."""

    numbers: tuple[int, ...] = ()
    spread: bool = False

    def places(self, pictures: int, num_frames: int) -> list[int]:
        """The frame of each picture. Raises InputError for counts that do not fit, and frames that do not exist."""
        if pictures > num_frames:
            raise InputError(
                f"SparseCtrl got {pictures} pictures for a video of {num_frames} frames. "
                f"Give at most {num_frames} pictures, or make the video longer."
            )
        if self.numbers:
            return self._numbered(pictures, num_frames)
        if self.spread and pictures > 1:
            return [round(i * (num_frames - 1) / (pictures - 1)) for i in range(pictures)]
        return list(range(pictures))

    def _numbered(self, pictures: int, num_frames: int) -> list[int]:
        text = ", ".join(map(str, self.numbers))
        if pictures != len(self.numbers):
            raise InputError(
                f"Set Sparse Frames names {len(self.numbers)} frames ({text}), but Apply ControlNet got {pictures} "
                "pictures. Give one picture for each frame that is named."
            )
        places = [number + num_frames if number < 0 else number for number in self.numbers]
        for number, place in zip(self.numbers, places, strict=True):
            if not 0 <= place < num_frames:
                raise InputError(
                    f"Set Sparse Frames names frame {number}, but the video has {num_frames} frames: 0 to "
                    f"{num_frames - 1}, or -1 to -{num_frames} counted from the end. Change the number."
                )
            if places.count(place) > 1:
                raise InputError(
                    f"Set Sparse Frames puts {places.count(place)} pictures on frame {place} ({text}; the video has "
                    f"{num_frames} frames). Name each frame once."
                )
        return places


def parse_frames(text: str) -> tuple[int, ...]:
    """`"0, 16, -1"` to numbers. Raises InputError for anything that is no list of whole numbers."""
    parts = [part for part in re.split(r"[\s,;]+", text.strip()) if part]
    if not parts or not all(re.fullmatch(r"[+-]?\d{1,9}", part) for part in parts):
        raise InputError(
            f"frames must be whole numbers with commas between them, got {text!r}. Write for example 0, 16, -1."
        )
    return tuple(int(part) for part in parts)
