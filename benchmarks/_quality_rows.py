"""What was measured so far, one line per result, so that a run which is cut goes on where it stopped."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..dreamoving_core.errors import InputError
from ._quality_scores import Scores

NO_NOISE = -1  # the noise seed of rows that were made without noise
Runs = dict[int, dict[int, float]]  # clip: noise: value


@dataclass(frozen=True, kw_only=True)
class Row:
    """The scores of one variant (its name and frames, "full/32") on one clip from one noise."""

    variant: str
    clip: int
    noise_seed: int
    scores: Scores

    @property
    def place(self) -> tuple[str, int, int]:
        return self.variant, self.clip, self.noise_seed


class Rows:
    """The rows of a folder, in memory and in `rows.jsonl`. `made_with` names the weights and settings behind them."""

    def __init__(self, folder: Path, *, made_with: dict) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "rows.jsonl"
        self.found: dict[tuple[str, int, int], Row] = {}
        settings = folder / "made_with.json"
        before = json.loads(settings.read_text(encoding="utf8")) if settings.is_file() else {}
        made_with = json.loads(json.dumps(made_with))  # as it is read back: lists, not tuples
        other = sorted(name for name in {*before} & {*made_with} if before[name] != made_with[name])
        if other:
            raise InputError(
                f"{folder} holds results with other {', '.join(other)}. Give another folder with --rows, or delete it."
            )
        self.made_with = {**before, **made_with}
        settings.write_text(json.dumps(self.made_with, indent=1) + "\n", encoding="utf8")
        for row in self._read():
            self.found[row.place] = row

    def _read(self) -> Iterator[Row]:
        if not self.path.is_file():
            return
        for line in self.path.read_text(encoding="utf8").splitlines():
            try:
                yield Row(**json.loads(line))
            except (ValueError, TypeError):  # the last line of a run that was cut while it wrote
                continue

    def add(self, row: Row) -> None:
        row = replace(row, scores={name: float(f"{value:.6g}") for name, value in row.scores.items()})
        self.found[row.place] = row
        whole = not self.path.is_file() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with self.path.open("a", encoding="utf8") as lines:
            lines.write(("" if whole else "\n") + json.dumps(vars(row)) + "\n")

    def __contains__(self, place: tuple[str, int, int]) -> bool:
        return place in self.found

    def scores(self, variant: str, metric: str) -> Runs:
        """{clip: {noise: value}} of a variant, "full/32"; empty when it was not measured."""
        values: Runs = {}
        for (name, clip, noise), row in sorted(self.found.items()):
            if name == variant and metric in row.scores:
                values.setdefault(clip, {})[noise] = row.scores[metric]
        return values

    def variants(self) -> list[str]:
        return sorted({variant for variant, _clip, _noise in self.found})

    def metrics(self, variant: str) -> list[str]:
        return sorted(
            {metric for (name, *_), row in self.found.items() if name == variant for metric in row.scores}
        )
