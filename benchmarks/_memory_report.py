"""Rows and tables of the memory benchmark. Sizes in GiB."""

from typing import Any

from torch import nn

from ._live_tensors import LiveTensors

GIB = 1024**3
OWNERS = ("core", "controlnets", "motion", "guider")
WIDTHS = ("channels", "out_channels", "in_channels")
ROWS = (
    "hint encoder",
    "ResBlock",
    "SpatialTransformer",
    "MotionModule",
    "Upsample",
    "Downsample",
    "ResnetBlock",
    "AttnBlock",
)


def module_rows(counter: LiveTensors, names: dict[nn.Module, str]) -> list[dict[str, Any]]:
    """Peaks by network, kind of block and width, the largest of each first."""
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for module, name in names.items():
        kind = "hint encoder" if name.endswith(".input_hint_block") else type(module).__name__
        if kind not in ROWS or name not in counter.modules:
            continue
        width = next(
            (getattr(module, key) for key in WIDTHS if isinstance(getattr(module, key, None), int)), 0
        )
        network, found = name.split(".")[0], counter.modules[name]
        row = rows.setdefault(
            (network, kind, width),
            {
                "network": network,
                "block": kind,
                "width": width,
                "calls": 0,
                "alive_gib": 0.0,
                "added_gib": 0.0,
            },
        )
        row["calls"] += found.calls
        row["alive_gib"] = max(row["alive_gib"], gib(found.alive))
        row["added_gib"] = max(row["added_gib"], gib(found.added))
    return sorted(rows.values(), key=lambda row: -row["alive_gib"])


def largest(counter: LiveTensors, *, count: int = 16) -> list[dict[str, Any]]:
    """The largest tensors alive at the peak."""
    found = sorted(counter.at_peak, key=lambda allocation: -allocation.nbytes)[:count]
    return [
        {
            "gib": gib(a.nbytes),
            "shape": list(a.shape),
            "dtype": str(a.dtype).removeprefix("torch."),
            "operation": a.operation,
            "module": a.module,
            "owner": owner(a.module),
        }
        for a in found
    ]


def print_tables(report: dict[str, Any]) -> None:
    settings, details = report["settings"], report["details"]
    print(
        f"{settings['frames']} frames, {settings['size']} x {settings['size']}, float16, CFG; GiB, weights apart\n"
    )
    for name, value in report["figures"].items():
        print(f"{name:36} {value:8.3f}")
    for case in ("stock", "full"):
        print(f"\nalive at the peak of '{case}', largest first")
        for row in details["largest_at_peak"][case]:
            shape = " ".join(map(str, row["shape"]))
            print(f"  {row['gib']:7.3f}  {shape:20} {row['operation']:14} {row['owner']:11} {row['module']}")
    print("\nby kind of block ('full'): most alive while it ran, most that one call added")
    for row in [*details["modules"]["full"], *details["vae_modules"]]:
        label = f"{row['network']} {row['block']} {row['width']}"
        print(f"  {label:34} {row['alive_gib']:8.3f} {row['added_gib']:8.3f}")


def owner(module: str) -> str:
    """Whose code holds a tensor: core's (U-Net, sampler, VAE), core's blocks in our ControlNets, our motion or guider."""
    parts = module.split(".")
    if "motion" in parts[:2]:
        return "motion"
    return {"guider": "guider", "pose": "controlnets", "depth": "controlnets"}.get(parts[0], "core")


def gib(count: float) -> float:
    return round(count / GIB, 4)
