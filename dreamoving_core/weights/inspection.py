"""What a weight file is, in words: the loaders' own reading of it."""

from collections import Counter
from pathlib import Path

from ..catalogue.files import BY_SHA256
from .content_guider import read_content_guider
from .formats import Format, detect
from .io import WeightsFile, read_weights
from .judged import refuse_numbers
from .layout import Layout
from .motion import read_motion
from .motion_lora import read_motion_lora
from .video_controlnet import KINDS as CONTROL_KINDS
from .video_controlnet import read_video_controlnet


def inspect(path: Path, *, whole: bool = False) -> list[str]:
    """Lines of text, from names and shapes; `whole` reads the numbers too: SHA-256, NaN.

    Raises WeightsError where a loader would, with the loader's words.
    """
    file = read_weights(path, values=whole)
    found = detect(file.shapes)
    tensors = file.state_dict.values()
    dtypes = Counter(str(t.dtype).removeprefix("torch.") for t in tensors)
    lines = [
        f"{file.name}: {found.title}",
        f"  kind        {found.kind}",
        f"  size        {path.stat().st_size / 1e6:,.1f} MB, {len(file.state_dict)} tensors, "
        f"{sum(t.numel() for t in tensors) / 1e6:,.2f} million numbers ({', '.join(sorted(dtypes))})",
    ]
    said = details(file, found.kind) | {
        "serves": found.node or "no node of DreaMoving",
        "licence": licence(file, found),
    }
    if whole:
        if found.node:
            refuse_numbers(file.name, file.state_dict)
        said |= {"SHA-256": digest(file)}
    lines += [f"  {name:<11} {value}" for name, value in said.items() if value]
    lines.append(f"  next        {found.remedy}")
    lines += [f"  metadata    {key} = {value}" for key, value in sorted(file.metadata.items())]
    return lines


def licence(file: WeightsFile, found: Format) -> str:
    """The file's own word, else what such files usually are under."""
    own = file.metadata.get("license") or file.metadata.get("modelspec.license")
    if own:
        return f"{own} (it says so)"
    return (
        f"usually {found.licence}; its page decides"
        if found.licence
        else "not said in the file; its page decides"
    )


def digest(file: WeightsFile) -> str:
    """SHA-256, and which public file has it."""
    value = file.sha256() or ""
    known = BY_SHA256.get(value)
    return (
        f"{value}, as {known.name} of {known.repo} has"
        if known
        else f"{value}, none that the catalogue knows"
    )


def details(file: WeightsFile, kind: str) -> dict[str, str]:
    """What the kinds that DreaMoving runs have to say, by the loaders' own reading of them."""
    if kind == "motion_model":
        weights = read_motion(file)
        info = weights.info
        return {
            "version": info.version,
            "channels": f"down {weights.config.down}, mid {weights.config.mid}, up {weights.config.up}",
            "positions": "by formula" if info.positions is None else f"{info.positions} rows stored",
            "betas": info.betas,
            "notes": " ".join(info.notes),
            "not used": ", ".join(info.left_out[:5]),
        }
    if kind in CONTROL_KINDS:
        control = read_video_controlnet(file)
        return {
            "version": control.version,
            "base": control.base,
            "not used": ", ".join(control.left_out[:5]),
        }
    if kind in ("content_guider", "ip_adapter"):
        guider = read_content_guider(file)
        branches = guider.config.branches().items()
        tokens = [
            ", ".join(
                filter(
                    None,
                    (
                        f"{name}: {b.encoder.kind}",
                        f"{b.encoder.tokens} tokens",
                        b.feature and b.clip,
                        b.recogniser,
                    ),
                )
            )
            for name, b in branches
        ]
        return {
            "version": guider.version,
            "base": Layout(file.shapes).base,
            "branches": "; ".join(tokens),
            "LoRA": f"{len(guider.lora)} tensors, for the U-Net's attentions" if guider.lora else "",
            "notes": " ".join(guider.notes),
            "not used": ", ".join(guider.left_out[:5]),
        }
    if kind == "motion_lora":
        lora = read_motion_lora(file)
        return {"changes": f"{len(lora.layers)} layers", "not used": ", ".join(lora.left_out[:5])}
    return {}
