"""What made each of Tiny's files: the stages that trained it, and what it descends from that was not trained here."""

from dataclasses import dataclass

import torch

from ..tiny import files
from .stages import HANDED_ON, SCHEDULES, STAGES, Settings, with_settings
from .warm_start import DONE, Parent, Results

TRAINED_BY = {
    files.UNET: ("base",),
    files.TEXT: ("base",),
    files.VISION: ("image_encoder", "image_styles"),
    files.AUTOENCODER: ("autoencoder", "decoder"),
    files.MOTION: ("motion16", "long_frame", "expression"),
    files.CONTROL_POSE: ("base", "video_control"),
    files.CONTROL_DEPTH: ("base", "video_control"),
    files.CONTENT_GUIDER: ("image_encoder", "base", "content_guider"),
    files.STYLE_LORA: ("style_lora",),
}
BEGUN_BY = {files.AUTOENCODER: "autoencoder", files.MOTION: "motion16"}  # whatever was there before is gone
# other files of the pack's that a file may descend from
ALSO_FROM = {
    files.CONTROL_POSE: files.MOTION,
    files.CONTROL_DEPTH: files.MOTION,
    files.STYLE_LORA: files.UNET,
}


@dataclass(frozen=True, kw_only=True)
class Made:
    """Steps that a file was trained here, and the files that this started from."""

    steps: int = 0
    parents: tuple[Parent, ...] = ()


def made(name: str, results: Results, settings: Settings) -> Made:
    """Of one of Tiny's files, by its name."""
    here = [stage for stage in TRAINED_BY[name] if results.own(stage).exists()]
    from_elsewhere = [] if BEGUN_BY.get(name) in here else results.parents()
    return Made(
        steps=sum(steps_taken(stage, results, settings) for stage in here),
        parents=tuple(parent for parent in from_elsewhere if may_descend(name, parent["name"])),
    )


def may_descend(name: str, parent: str) -> bool:
    """Whether a file of Tiny takes something from a file of the pack, or from what another run's stage left behind."""
    if not parent.endswith(DONE):
        return parent in (name, ALSO_FROM.get(name))
    stage = parent.removesuffix(DONE)
    return stage in TRAINED_BY[name] or (stage in HANDED_ON and name != files.AUTOENCODER)


def steps_taken(stage: str, results: Results, settings: Settings) -> int:
    """As its last checkpoint says; where it kept none, as the settings do."""
    checkpoint = results.folder / f"{stage}.pt"
    if checkpoint.exists():
        return torch.load(checkpoint, weights_only=True, mmap=True, map_location="cpu")["step"]
    return with_settings(SCHEDULES[stage], settings).steps


def motion_frames(results: Results, settings: Settings) -> int:
    """The longest clips that the motion blocks have seen here; in what comes from elsewhere, those of the whole chain."""
    here = [STAGES[name] for name in TRAINED_BY[files.MOTION] if results.own(name).exists()]
    frames = [with_settings(stage, settings).frames for stage in here]
    return max(frames, default=STAGES["long_frame"].frames)
