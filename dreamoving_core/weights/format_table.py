"""The tables of docs/weights.md that follow from the registry, between two marks, so that they cannot grow old."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import WeightsError
from .format_rows import ROWS
from .layout import Row
from .motion import assumptions

BEGIN = "<!-- written by: python -m dreamoving_core.weights formats docs/weights.md -->"
END = "<!-- end of what is written -->"

LAYOUTS = ((False, 24), (False, 32), (False, None), (True, 32), (True, 64), (True, 128), (True, None))


def table() -> str:
    """Markdown: what is read, what is refused with what to do instead, and the versions of motion models."""
    read = [row for row in ROWS if row.node]
    refused = [row for row in ROWS if not row.node]
    return "\n".join([
        "Read, the first that fits:", "",
        *rows(("kind", "is", "how it shows", "public files", "usual licence", "node"), read, columns_read), "",
        "Refused by name, with what to do next:", "",
        *rows(("kind", "is", "how it shows", "next"), refused, columns_refused), "",
        "Motion models, by what their tensors show and what is then assumed:", "",
        *rows(("middle block", "position rows", "taken for", "noise (betas)", "the U-Net's norms"), LAYOUTS, columns_motion),
    ])  # fmt: skip


def columns_read(row: Row) -> tuple[str, ...]:
    return (f"`{row.kind}`", row.title, row.evidence, row.files, row.licence, row.node)


def columns_refused(row: Row) -> tuple[str, ...]:
    return (f"`{row.kind}`", row.title, row.evidence, row.remedy)


def columns_motion(layout: tuple[bool, int | None]) -> tuple[str, ...]:
    mid, stored = layout
    version, betas, norms, _ = assumptions(stored, mid=mid, adapter=False)
    across = {"frame": "within each frame", "clip": "across frames"}
    return ("yes" if mid else "no", str(stored or "none"), version, betas, across[norms])


def rows(head: Sequence[str], found: Sequence[Any], columns: Callable[[Any], tuple[str, ...]]) -> list[str]:
    """Lines of one table; a bar inside a cell would end it."""
    cells = [head, ["---"] * len(head), *(columns(row) for row in found)]
    return ["| " + " | ".join(cell.replace("|", "\\|") or "-" for cell in line) + " |" for line in cells]


def with_table(text: str) -> str:
    """`text` with the tables between its marks renewed. Raises WeightsError when it has no such place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise WeightsError(
            f"There is no place for the table: put the lines {BEGIN} and {END} where it shall stand."
        )
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def write_table(path: Path) -> list[str]:
    """Renew the tables in a file; says whether that changed it."""
    try:
        old = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read ({error.strerror}). Check the path.") from error
    new = with_table(old)
    if new == old:
        return [f"{path.name} is as the registry says."]
    path.write_text(new, encoding="utf-8", newline="\n")
    return [f"{path.name} renewed from {len(ROWS)} formats."]
