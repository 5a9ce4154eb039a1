"""What a weight file is, from its tensors' names and shapes and its metadata. File names are never looked at.

The formats themselves are the rows of `format_rows.py`; the first row that fits wins.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import WeightsError
from .format_rows import ROWS
from .layout import Layout, Shapes

MAJOR = 1  # of every format that this version writes


@dataclass(frozen=True, kw_only=True)
class Format:
    """`kind` for code, `title` and `remedy` for people."""

    kind: str
    title: str
    remedy: str
    node: str = ""  # the node that loads it; "" when none of ours does
    licence: str = ""  # what such files are usually under; a hint, never a promise


UNKNOWN = Format(
    kind="unknown",
    title="a file of a kind that DreaMoving does not know",
    remedy="Check that it is the model that the node asks for.",
)


def detect(shapes: Shapes) -> Format:
    """What the tensors are. Never raises: an unknown file is of kind `unknown`."""
    layout = Layout(shapes)
    for row in ROWS:
        if row.fits(layout):
            remedy = row.remedy or f"Use {row.node}."
            return Format(kind=row.kind, title=row.title, remedy=remedy, node=row.node, licence=row.licence)
    return UNKNOWN


def expect(name: str, shapes: Shapes, *, kinds: tuple[str, ...], wanted: str) -> Format:
    """The file's format, or a WeightsError that says what the file is when it is none of `kinds`."""
    found = detect(shapes)
    if found.kind not in kinds:
        examples = "" if found.kind != "unknown" else f" (its first tensors: {', '.join(list(shapes)[:3])})"
        raise WeightsError(
            f"'{name}' is {found.title}{examples}, but {wanted} is needed here. {found.remedy}"
        )
    return found


def read_config(name: str, metadata: Mapping[str, str], *, expected: str) -> dict[str, Any]:
    """The JSON `config` of one of our own files; {} for a file that carries no DreaMoving metadata.

    Raises WeightsError for another `format`, an unknown major `format_version`, or a damaged config.
    """
    found = metadata.get("format")
    if found is None or not found.startswith("dreamoving."):
        return {}
    if found != expected:
        raise WeightsError(
            f"'{name}' says that it is '{found}', but '{expected}' is needed here. Choose another file."
        )
    version = metadata.get("format_version", "none")
    if version.split(".")[0] != str(MAJOR):
        raise WeightsError(
            f"'{name}' has format version {version}; this version of DreaMoving reads {MAJOR}. "
            "Update DreaMoving, or choose an older file."
        )
    try:
        config = json.loads(metadata.get("config", ""))
    except ValueError as error:
        raise WeightsError(
            f"The config in '{name}' is not valid JSON ({error}). Download the file again."
        ) from error
    if not isinstance(config, dict):
        raise WeightsError(f"The config in '{name}' is not a JSON object. Download the file again.")
    return config


def write_config(
    form: str, config: Mapping[str, Any], *, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Metadata of one of our own files: strings only, as safetensors wants them. `extra`: licence, parents, ..."""
    reserved = {"format", "format_version", "config"} & (extra or {}).keys()
    if reserved:
        raise WeightsError(
            f"The metadata keys {', '.join(sorted(reserved))} are the format's own. Choose other names."
        )
    return {
        "format": form,
        "format_version": str(MAJOR),
        "config": json.dumps(config, sort_keys=True),
        **(extra or {}),
    }


def provenance(
    *,
    license: str,
    parents: Sequence[Mapping[str, str]] = (),
    training_data: str = "",
    training_steps: int = 0,
    title: str = "",
) -> dict[str, str]:
    """Where weights come from, as `extra` of `write_config`: docs/weights.md says what each key means.

    `license` is an SPDX name; `parents` are the files that training started from: name, sha256, license.
    """
    found = {
        "license": license,
        "parents": json.dumps([dict(parent) for parent in parents]),
        "training_data": training_data,
        "training_steps": str(training_steps) if training_steps else "",
        "modelspec.title": title,
    }
    return {key: value for key, value in found.items() if value}


def refuse_unfit(name: str, wanted: Shapes, found: Shapes) -> None:
    """Raise WeightsError unless every wanted tensor is there in its shape and there are no others."""
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(found.keys() - wanted.keys())
    reshaped = sorted(k for k in wanted.keys() & found.keys() if tuple(wanted[k]) != tuple(found[k]))
    if not missing and not unexpected and not reshaped:
        return
    parts = [
        f"{len(missing)} tensors missing{listed(missing)}",
        f"{len(unexpected)} unexpected{listed(unexpected)}",
    ]
    if reshaped:
        key = reshaped[0]
        parts.append(
            f"{len(reshaped)} of another shape ({key}: {list(found[key])}, expected {list(wanted[key])})"
        )
    raise WeightsError(
        f"'{name}' does not fit: {', '.join(parts)}. Download it again, or choose another version."
    )


def listed(keys: list[str]) -> str:
    return f" ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})" if keys else ""
