"""The page of `bench real`: one HTML file that needs nothing else, with its pictures inside and every word escaped."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image
from torch import Tensor

from ..dreamoving_core.metrics.scorecard import MEASURES, Scorecard
from ..dreamoving_core.metrics.scorecard_text import number
from ..dreamoving_core.version import VERSION
from ..dreamoving_core.video.pixels import to_bytes

WIDEST = 480  # pixels of a picture on the page
STYLE = """
body{margin:2rem auto;max-width:64rem;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;background:#fff;color:#222}
h1,h2{line-height:1.2}h2{margin-top:3rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}th,td{padding:.4rem .6rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}
th.n,td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}td.best{font-weight:bold}.quiet{color:#666}
.row{display:flex;flex-wrap:wrap;gap:.5rem}.row img{max-height:14rem;max-width:100%}img.plot{max-width:100%}
"""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One video: its scorecard, plot `h w 3`, worst frames `n h w 3`, and some frames `h w 3` to look at."""

    name: str
    card: Scorecard
    rate: float
    plot: Tensor
    worst: Tensor
    frames: Sequence[Tensor]


def page(sections: Sequence[Section], *, reference: Tensor | None, settings: Mapping[str, str]) -> str:
    """The whole document. Its policy lets no browser fetch anything."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    title = "Scorecard of " + ", ".join(section.name for section in sections)
    parts = [
        "<!doctype html>", '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
        "<h1>Scorecard</h1>", overview(sections), given(reference, settings),
        *(section_of(section) for section in sections), meanings(),
        f'<p class="quiet">Made by DreaMoving {escape(VERSION)} for ComfyUI, <code>run.py bench real</code>.</p></body></html>',
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def overview(sections: Sequence[Section]) -> str:
    """A row per figure, a column per video; the best of several is bold."""
    head = "".join(f'<th class="n">{escape(section.name)}</th>' for section in sections)
    rows = []
    for name, measure in MEASURES.items():
        values = [section.card.figures[name].value for section in sections]
        known = [value for value in values if value is not None]
        best = (max if measure.higher else min)(known) if len(known) > 1 else None
        cells = "".join(cell(value, best=best is not None and value == best) for value in values)
        better = "more is better" if measure.higher else f"{measure.ideal:g} is perfect"
        rows.append(f'<tr><td>{name}<br><span class="quiet">{measure.unit}, {better}</span></td>{cells}</tr>')
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def cell(value: float | None, *, best: bool) -> str:
    text = "-" if value is None else number(value)
    return f'<td class="n{" best" if best else ""}">{text}</td>'


def given(reference: Tensor | None, settings: Mapping[str, str]) -> str:
    """What the videos were judged by."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in settings.items()
    )
    shown = (
        "" if reference is None else f'<div class="row">{image(reference[0], words="the reference")}</div>'
    )
    return f"<h2>Judged by</h2>{shown}<table>{rows}</table>"


def section_of(section: Section) -> str:
    """One video in full."""
    card = section.card
    rows = []
    for name, figure in card.figures.items():
        value = "not measured" if figure.value is None else f"{number(figure.value)} {MEASURES[name].unit}"
        worst = ", ".join(map(str, figure.worst))
        rows.append(
            f'<tr><td>{name}</td><td class="n">{value}</td><td>{escape(figure.how)}</td><td>{worst}</td></tr>'
        )
    strip = "".join(image(frame, words="a frame") for frame in section.frames)
    worst = "".join(image(frame, words="one of the worst frames") for frame in section.worst)
    return (
        f"<h2>{escape(section.name)}</h2><p>{card.num_frames} frames, {card.width} x {card.height} pixels, "
        f'{section.rate:g} per second</p><div class="row">{strip}</div>'
        f"<table><tr><th></th><th></th><th>by what</th><th>worst frames</th></tr>{''.join(rows)}</table>"
        f"<h3>Over the frames</h3>{image(section.plot, words='plot of each figure over the frames', plot=True)}"
        f'<h3>The worst frames</h3><div class="row">{worst}</div>'
    )


def meanings() -> str:
    """What each number says."""
    rows = "".join(
        f"<tr><td>{name}</td><td>{escape(measure.about)}</td></tr>" for name, measure in MEASURES.items()
    )
    return (
        f"<h2>What the numbers mean</h2><table>{rows}</table><p>Frames count from 0. Compare videos of the same dance: "
        "a quicker dance has another flicker.</p>"
    )


def image(frame: Tensor, *, words: str, plot: bool = False) -> str:
    """An `img` with its picture inside: PNG for a plot, else JPEG."""
    picture = Image.fromarray(to_bytes(frame, number=1))
    if picture.width > WIDEST and not plot:
        picture = picture.resize(
            (WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS
        )
    file = io.BytesIO()
    picture.save(file, **({"format": "PNG", "optimize": True} if plot else {"format": "JPEG", "quality": 85}))
    kind = "png" if plot else "jpeg"
    data = base64.b64encode(file.getvalue()).decode("ascii")
    cls = ' class="plot"' if plot else ""
    return f'<img{cls} alt="{escape(words)}" src="data:image/{kind};base64,{data}">'
