"""The sets of ProcDance that Tiny learns from: what each shows, how much of it there is, and its file."""

from collections import Counter
from dataclasses import dataclass

from .dances import CLOSE_UPS, SHOTS, DanceSet
from .rendering import danced, draw_set
from .stages import Stage

DRAWN_FRAMES = 6000  # in all, of a set that is not listed below


@dataclass(frozen=True, kw_only=True)
class SetSpec:
    """Clips of so many frames (pictures, if it is 1) of the train split, in these shots in turn."""

    frames: int = 1
    shots: tuple[str, ...] = SHOTS
    style: int = 0

    @property
    def name(self) -> str:
        """Of its file, and of its latents'."""
        if self in SETS:
            return SETS[self][0]
        shots = "".join(f"_{count}{shot}" for shot, count in Counter(self.shots).items())
        return f"clips{self.frames}{'' if self.shots == SHOTS else shots}{f'_style{self.style}' * bool(self.style)}"

    @property
    def count(self) -> int:
        return SETS[self][1] if self in SETS else max(1, DRAWN_FRAMES // self.frames)

    def draw(self, count: int) -> DanceSet:
        clips = danced(count, self.frames, shots=self.shots, style=self.style)
        return draw_set(clips, list(range(count)))


SETS = {
    SetSpec(): ("pictures", 9000),
    SetSpec(frames=16): ("clips", 360),
    SetSpec(frames=64): ("long_clips", 96),
    SetSpec(frames=64, shots=CLOSE_UPS): ("long_close_ups", 120),
    SetSpec(style=1): ("cartoons", 3000),
}


def set_of(stage: Stage) -> SetSpec:
    """What a stage learns from."""
    return SetSpec(frames=stage.frames, shots=stage.shots, style=stage.style)
