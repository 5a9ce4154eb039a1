"""Who is who from frame to frame: people keep their number through crossings and while nobody sees them.

Axes: f frame, p person, j joint. Frames are matched by Hungarian assignment on the similarity of key points.
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from .pose_clip import PoseClip, figure_size, require_somebody

CHOICES = ("largest", "most central", "longest seen", "leftmost", "rightmost", "number")


@dataclass(frozen=True, kw_only=True)
class TrackSettings:
    """How far apart two poses of one person may be. All [ours], found on crossing and vanishing drawn dancers."""

    spread: float = 0.12  # of the figure's size: how far joints move between two frames
    lost: float = 0.2  # growth of the spread per frame in which nobody saw the person
    least: float = 0.05  # a lower similarity is somebody else
    memory: int = 30  # frames after which a lost person is a new one
    horizon: int = 8  # frames for which a lost person is taken to walk on as before
    history: int = 5  # frames from which the walk is estimated


@dataclass
class _Track:
    """One person so far: the latest pose `j 3`, its frame, and the places of the latest frames."""

    pose: np.ndarray
    last: int
    rows: dict[int, int] = field(default_factory=dict)  # frame -> person in that frame
    places: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def expected(self, frame: int, settings: TrackSettings) -> np.ndarray:
        ahead = min(frame - self.last, settings.horizon)
        moved = self.pose.copy()
        moved[:, :2] += ahead * self._velocity(settings)
        return moved

    def _velocity(self, settings: TrackSettings) -> np.ndarray:
        recent = self.places[-settings.history :]
        if len(recent) < 2:
            return np.zeros(2)
        (first, start), (last, end) = recent[0], recent[-1]
        return (end - start) / max(last - first, 1)

    def add(self, frame: int, person: int, pose: np.ndarray) -> None:
        seen = pose[:, 2] > 0
        self.pose, self.last = pose, frame
        self.rows[frame] = person
        self.places.append((frame, np.median(pose[seen, :2], axis=0)))


def similarity(one: np.ndarray, other: np.ndarray, *, spread: float) -> float:
    """Of two poses `j 3`, in [0, 1]: 1 for equal ones; over the joints that both have, 0 without any."""
    both = (one[:, 2] > 0) & (other[:, 2] > 0)
    size = max(float(figure_size(one)), float(figure_size(other)), 1.0)
    if not both.any():
        return 0.0
    distance = np.hypot(*(one[both, :2] - other[both, :2]).T) / (size * spread)
    return float(np.exp(-0.5 * distance**2).mean())


def track_people(clip: PoseClip, settings: TrackSettings | None = None) -> PoseClip:
    """The same poses with one person per column, in order of appearance and then from left to right.

    A person who is missing in a frame is zeros there. Nobody is left out, and frame n stays frame n.
    """
    settings = settings or TrackSettings()
    tracks: list[_Track] = []
    for frame, people in enumerate(clip.points):
        present = [p for p, person in enumerate(people) if (person[:, 2] > 0).any()]
        alive = [track for track in tracks if frame - track.last <= settings.memory]
        taken = _assign(alive, people, present, frame, settings)
        for person in sorted(set(present) - taken, key=lambda p: _left(people[p])):
            track = _Track(pose=people[person], last=frame)
            track.add(frame, person, people[person])
            tracks.append(track)
    points = np.zeros((len(clip.points), max(len(tracks), 1), *clip.points.shape[2:]))
    for column, track in enumerate(tracks):
        for frame, person in track.rows.items():
            points[frame, column] = clip.points[frame, person]
    return clip.with_points(points)


def _assign(alive, people, present, frame, settings) -> set[int]:
    """Give people to tracks; who was given."""
    if not alive or not present:
        return set()
    from scipy.optimize import linear_sum_assignment

    likeness = np.zeros((len(alive), len(present)))
    for i, track in enumerate(alive):
        expected = track.expected(frame, settings)
        spread = settings.spread * (1 + settings.lost * (frame - track.last - 1))
        for j, person in enumerate(present):
            likeness[i, j] = similarity(expected, people[person], spread=spread)
    given = set()
    for i, j in zip(*linear_sum_assignment(-likeness), strict=True):
        if likeness[i, j] >= settings.least:
            alive[i].add(frame, present[j], people[present[j]])
            given.add(present[j])
    return given


def pick_person(clip: PoseClip, who: str = "largest", *, number: int = 1) -> PoseClip:
    """One person of a tracked clip, `f 1 j 3`; `number` counts from 1 and is for "number" alone.

    Largest and most central are means over the frames in which the person is seen, weighted by how many those are.
    Raises InputError for nobody at all, an unknown choice, and a number that nobody has.
    """
    require_somebody(clip, what="the poses")
    if who not in CHOICES:
        raise InputError(f"The person is chosen by one of {', '.join(CHOICES)}, got {who!r}.")
    count = clip.points.shape[1]
    if who == "number":
        if not 1 <= number <= count:
            people = "1 person" if count == 1 else f"{count} people"
            raise InputError(f"There is no person number {number}: {people} were found. Choose 1 to {count}.")
        chosen = number - 1
    else:
        chosen = int(np.argmax(_scores(clip, who)))
    return clip.with_points(clip.points[:, chosen : chosen + 1])


def main_person(clip: PoseClip) -> PoseClip:
    """`f 1 j 3`: who is seen, where no frame shows more than one, whatever the leaps; else the largest of those tracked."""
    seen = clip.seen.any(axis=2)
    if seen.sum(axis=1).max() > 1:
        return pick_person(track_people(clip), "largest")
    frames = np.arange(len(clip.points))
    return clip.with_points(clip.points[frames, seen.argmax(axis=1)][:, None])


def _scores(clip: PoseClip, who: str) -> np.ndarray:
    """One number per person; the highest is chosen."""
    seen = clip.seen.any(axis=2)
    frames = seen.sum(axis=0)
    if who == "largest":
        return figure_size(clip.points).sum(axis=0)
    if who == "longest seen":
        return frames.astype(float)
    middle = _middles(clip)
    x = np.where(seen, middle[..., 0], 0).sum(axis=0) / np.maximum(frames, 1)
    if who in ("leftmost", "rightmost"):
        return np.where(frames > 0, -x if who == "leftmost" else x, -np.inf)
    centre = np.array([clip.width, clip.height]) / 2
    away = np.hypot(*np.moveaxis(middle - centre, -1, 0)) / np.hypot(*centre)
    return np.where(seen, 1 - away.clip(0, 1), 0).sum(axis=0)


def _middles(clip: PoseClip) -> np.ndarray:
    """Mean place of the seen joints, `f p 2`."""
    weight = clip.seen[..., None]
    return (clip.points[..., :2] * weight).sum(axis=2) / np.maximum(weight.sum(axis=2), 1)


def _left(person: np.ndarray) -> float:
    return float(person[person[:, 2] > 0, 0].mean())
