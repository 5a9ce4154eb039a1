"""Comparisons of figures over the clips and noises that both sides have."""

import statistics
from collections.abc import Sequence

from ..dreamoving_core.metrics.intervals import Interval, bootstrap, bootstrap_ratio
from ._quality_rows import NO_NOISE, Runs

Values = dict[str, Runs]  # a figure's name: its runs


def matched(values: Values, *names: str) -> list[list[list[float]]]:
    """For each figure, its values of every clip: one inner list per clip that all have, in it one value per noise that
    all have. What was made without noise stands beside every noise. Empty lists where nothing matches."""
    figures = [values.get(name, {}) for name in names]
    found: list[list[list[float]]] = [[] for _ in names]
    for clip in sorted(set.intersection(*(set(runs) for runs in figures))):
        noisy = [set(runs[clip]) for runs in figures if set(runs[clip]) != {NO_NOISE}]
        noises = sorted(set.intersection(*noisy)) if noisy else [NO_NOISE]
        for runs, clips in zip(figures, found, strict=True):
            if noises:
                clips.append([runs[clip].get(noise, runs[clip].get(NO_NOISE)) for noise in noises])
    return found


def matched_means(values: Values, names: Sequence[str]) -> dict[str, float]:
    """Means of figures that are judged together; empty where one was not measured, or never beside the others."""
    found = dict(zip(names, matched(values, *names), strict=True))
    if not all(found.values()):
        return {}
    return {name: statistics.fmean(map(statistics.fmean, clips)) for name, clips in found.items()}


def paired(values: Values, first: str, second: str) -> tuple[Interval, Interval] | None:
    """Difference (first minus second) and ratio of two figures over what both have; None without any."""
    above, below = matched(values, first, second)
    if not above:
        return None
    means = [statistics.fmean(a) - statistics.fmean(b) for a, b in zip(above, below, strict=True)]
    return bootstrap([[difference] for difference in means]), bootstrap_ratio(above, below)


def excess_cut(values: Values, on: str, off: str, floor: str) -> Interval | None:
    """By how much motion cuts the excess over the floor: 1 - (on - floor) / (off - floor), over what all three have."""
    with_motion, without, least = matched(values, on, off, floor)
    if not least:
        return None

    def excess(clips: list[list[float]]) -> list[list[float]]:
        return [
            [v - f for v, f in zip(runs, low, strict=True)] for runs, low in zip(clips, least, strict=True)
        ]

    ratio = bootstrap_ratio(excess(with_motion), excess(without))
    return Interval(mean=1 - ratio.mean, low=1 - ratio.high, high=1 - ratio.low)


def pooled(values: Values, names: Sequence[str]) -> Runs:
    """The mean of several figures as one, over the clips and noises that all have."""
    clips = set.intersection(*(set(values[name]) for name in names))
    return {
        clip: {
            noise: statistics.fmean(values[name][clip][noise] for name in names)
            for noise in set.intersection(*(set(values[name][clip]) for name in names))
        }
        for clip in clips
    }
