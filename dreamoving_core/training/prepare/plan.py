"""Where clips are cut out of shots, and which frames are kept back for pictures of face and clothes.

Frames are counted from 0; every range holds its first frame and not its last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil

from ...errors import InputError

CANDIDATES = 8  # frames of a shot in which face and clothes are looked for [ours]


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """Seconds. `seconds`: shortest and longest clip. `guard` stays away from every transition on both sides.

    `reserve` of each shot is never trained: face and clothes are shown by these frames. 0: no such pictures.
    """

    seconds: tuple[float, float] = (8.0, 10.0)  # [DM §2.1]
    guard: float = 0.25  # [ours] a dissolve that the detector places too early or too late
    reserve: float = 1.0  # [ours] half of it before the clips, half after them

    def __post_init__(self) -> None:
        shortest, longest = self.seconds
        if not 0 < shortest <= longest or min(self.guard, self.reserve) < 0:
            raise InputError(
                f"Clips last from a shortest to a longest time, and nothing is negative; got {shortest:g} to {longest:g} s, "
                f"guard {self.guard:g} s, reserve {self.reserve:g} s. For example --seconds 8 10."
            )


@dataclass(frozen=True, kw_only=True)
class PlannedClip:
    """Clip `number` of its video: frames `start` to `stop`; `references` are frames of the same shot outside all clips."""

    number: int
    start: int
    stop: int
    references: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ShortShot:
    """A shot that holds no clip: what is left of it without the guards, and what it would have needed, in seconds."""

    start: int
    stop: int
    usable: float
    needed: float


def plan_clips(
    cuts: Sequence[int], frames: int, rate: Fraction, settings: PlanSettings
) -> tuple[list[PlannedClip], list[ShortShot]]:
    """Clips of a video of `frames` frames that begins a new shot at each of `cuts`.

    A shot gets as many clips as fit, equally long; what remains of it lies half before and half after them.
    """
    shortest, longest = ceil(settings.seconds[0] * rate), int(settings.seconds[1] * rate)
    longest = max(longest, shortest)
    guard, reserve = round(settings.guard * rate), ceil(settings.reserve * rate)
    clips: list[PlannedClip] = []
    short: list[ShortShot] = []
    for start, stop in pairwise([0, *cuts, frames]):
        first, last = start + guard * (start > 0), stop - guard * (stop < frames)
        count = (last - first - reserve) // shortest
        if count < 1:
            usable, needed = float(max(0, last - first) / rate), float((shortest + reserve) / rate)
            short.append(ShortShot(start=start, stop=stop, usable=usable, needed=needed))
            continue
        length = min(longest, (last - first - reserve) // count)
        begin = first + (last - first - count * length) // 2
        end = begin + count * length
        kept = spread([*range(first, begin), *range(end, last)] if reserve else [], CANDIDATES)
        for i in range(count):
            at = begin + i * length
            clips.append(PlannedClip(number=len(clips), start=at, stop=at + length, references=kept))
    return clips, short


def spread(numbers: Sequence[int], count: int) -> tuple[int, ...]:
    """At most `count` of them, evenly spread, the first and the last among them."""
    if len(numbers) <= count:
        return tuple(numbers)
    return tuple(numbers[round(i * (len(numbers) - 1) / (count - 1))] for i in range(count))
