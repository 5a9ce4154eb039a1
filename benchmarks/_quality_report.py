"""What the quality benchmark writes: JSON, a table, contact sheets and videos side by side."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..dreamoving_core.metrics.intervals import Interval
from ..dreamoving_core.procdance.palette import STYLES
from ._quality_bars import bars, beside, comparisons, floors_that_pass, unmeasured, verdict
from ._quality_figures import worst
from ._quality_pairs import Values
from ._quality_rows import Rows, Runs
from ._quality_truth import Subject
from ._quality_variants import Case, Variant

TABLE = "table.txt"  # beside the rows: every figure, bar and floor
SHOWN = 8  # clips on a contact sheet
BAR, LEFT = 16, 190  # pixels, for the words above the columns and before the rows
WORST = (
    "psnr_person",
    "joint_error",
    "cloth_error",
    "face_error",
    "background_error",
    "warp_error",
    "delta_flicker",
)
FILMS = (
    "full",
    "motion_on",
    "motion_off",
    "motion_windows",
    "face",
    "face_stage3",
    "peer",
)  # kept whole, as videos


def report(rows: Rows, figures: dict[str, Interval], values: Values, *, noise: str) -> dict:
    """Everything that was measured, ready for JSON; `table` is for people."""
    peers = [
        {
            "metric": metric,
            "difference": vars(difference),
            "ratio": vars(ratio),
            "verdict": verdict(metric, difference),
        }
        for metric, difference, ratio in comparisons(values)
    ]
    found = {
        "figures": {name: interval.mean for name, interval in figures.items()},
        "intervals": {name: [f.low, f.high] for name, f in figures.items()},
        "bars": [vars(bar) for bar in sorted(bars(values), key=lambda bar: bar.number)],
        "unmeasured": unmeasured(values),
        "beside": list(beside(values, noise=noise)),
        "floors": [{"what": text, "fails": fails} for text, fails in floors_that_pass(values)],
        "peer": peers,
        "worst": {name: worst(values[name], name) for name in WORST if name in values},
        "per_clip": values,
        "rows": [vars(row) for _, row in sorted(rows.found.items())],
    }
    return found | {"table": list(table(found, figures))}


def table(found: dict, figures: dict[str, Interval]) -> Iterator[str]:
    """The lines of a report."""
    for name, f in sorted(figures.items()):
        yield f"{name:44} {f.mean:9.4f}   [{f.low:.4f}, {f.high:.4f}]   {counted(found['per_clip'][name])}"
    yield ""
    yield from (f"{'holds' if b['holds'] else 'FAILS':6} {b['number']:2} {b['text']}" for b in found["bars"])
    yield from section("Not measured:", found["unmeasured"])
    yield from section("Beside the bars:", found["beside"])
    yield from section(
        "What must fail:", [f"{'fails' if f['fails'] else 'PASSES'} {f['what']}" for f in found["floors"]]
    )
    yield from section("Against the peer wiring:", [compared(peer) for peer in found["peer"]])
    yield from section(
        "The worst clips:",
        [f"{name:20} " + ", ".join(f"{clip}: {value:.4f}" for clip, value in clips) for name, clips in found["worst"].items()],
    )  # fmt: skip


def section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *lines] if lines else []


def compared(peer: dict) -> str:
    """One metric: the difference from the peer wiring and what it means."""
    d = peer["difference"]
    return f"{peer['verdict']:5} {peer['metric']}: {d['mean']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]"


def counted(runs: Runs) -> str:
    """How many clips a figure is the mean of, and how many results in all: "24 clips, 48 results"."""
    return f"{len(runs)} clips, {sum(len(values) for values in runs.values())} results"


def written(path: Path, found: dict, *, rows: Path) -> None:
    """Write the report, and its table beside the rows, each whole or not at all, whoever else measures these rows."""
    texts = {path: json.dumps(found, indent=1), rows / TABLE: "\n".join(found["table"])}
    for place, text in texts.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(f".{os.getpid()}")
        part.write_text(text + "\n", encoding="utf8")
        part.replace(place)


def keep_pictures(folder: Path, variant: Variant, case: Case, result: Tensor) -> None:
    """The result's middle frame, and all frames where a video will be made of them."""
    place = folder / "pictures" / f"{variant.name}_{variant.frames}"
    place.mkdir(parents=True, exist_ok=True)
    image(result[len(result) // 2]).save(place / f"{case.seed}.png")
    if variant.name in FILMS and case.index < SHOWN:
        np.save(place / f"{case.seed}.npy", as_bytes(result))


def sheets(folder: Path, cases: Sequence[Case], variants: Sequence[Variant]) -> Iterator[Path]:
    """One contact sheet per length (a row per variant, below the truth in its style; a column per clip) and one GIF per
    length, side by side."""
    shown = [case for case in cases if case.index < SHOWN and case.noise_seed == cases[0].noise_seed]
    for frames, shot in sorted({(v.frames, v.shot) for v in variants}):
        some = [v for v in variants if v.frames == frames and v.shot == shot]
        rows = []
        for style in sorted({v.style for v in some}):
            title = "truth" if style == 0 else f"truth, {STYLES[style]}"
            rows.append((title, [true_frame(case, frames, shot, style=style) for case in shown]))
            drawn = [v for v in some if v.style == style]
            rows += [(v.name, [kept_frame(folder, v, case) for case in shown]) for v in drawn]
        path = folder / f"sheet_{frames}{'' if shot == 'whole' else f'_{shot}'}.png"
        contact_sheet([row for row in rows if any(row[1])], [str(case.seed) for case in shown]).save(path)
        yield path
        films = [v for v in some if v.name in FILMS]
        yield from side_by_side(folder, films, shown, frames=frames, shot=shot)


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Image.Image | None]]], columns: Sequence[str]
) -> Image.Image:
    """Pictures in rows and columns with their names."""
    size = next(picture.size for _, row in rows for picture in row if picture)
    sheet = Image.new("RGB", (LEFT + size[0] * len(columns), BAR + size[1] * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for column, words in enumerate(columns):
        draw.text((LEFT + size[0] * (column + 0.5), BAR / 2), words, fill="black", font=font, anchor="mm")
    for number, (words, row) in enumerate(rows):
        draw.text((3, BAR + size[1] * (number + 0.5)), words, fill="black", font=font, anchor="lm")
        for column, picture in enumerate(row):
            if picture:
                sheet.paste(picture, (LEFT + size[0] * column, BAR + size[1] * number))
    return sheet


def side_by_side(
    folder: Path, films: Sequence[Variant], cases: Sequence[Case], *, frames: int, shot: str
) -> Iterator[Path]:
    """A GIF per clip: the truth and every film beside each other."""
    for case in cases[:4]:
        kept = [(v.name, folder / "pictures" / f"{v.name}_{v.frames}" / f"{case.seed}.npy") for v in films]
        kept = [(name, path) for name, path in kept if path.is_file()]
        if not kept:
            continue
        truth = Subject(seed=case.seed, frames=frames, shot=shot).truth.images
        clips = [("truth", as_bytes(truth)), *((name, np.load(path)) for name, path in kept)]
        pictures = [
            contact_sheet(
                [("", [Image.fromarray(clip[i]) for _, clip in clips])], [name for name, _ in clips]
            )
            for i in range(frames)
        ]
        path = folder / f"clip_{case.seed}_{frames}{'' if shot == 'whole' else f'_{shot}'}.gif"
        pictures = [p.crop((LEFT, 0, *p.size)) for p in pictures]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=83, loop=0)
        yield path


def true_frame(case: Case, frames: int, shot: str, *, style: int = 0) -> Image.Image:
    return image(Subject(seed=case.seed, frames=frames, shot=shot, style=style).truth.images[frames // 2])


def kept_frame(folder: Path, variant: Variant, case: Case) -> Image.Image | None:
    path = folder / "pictures" / f"{variant.name}_{variant.frames}" / f"{case.seed}.png"
    return Image.open(path).convert("RGB") if path.is_file() else None


def as_bytes(pictures: Tensor) -> np.ndarray:
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def image(frame: Tensor) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(as_bytes(frame)))
