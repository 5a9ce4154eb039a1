"""Where a run of Tiny takes what it did not train itself: another run's folder, or the weights that come with the pack."""

import logging
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..tiny import files
from ..weights.io import read_weights

log = logging.getLogger(__name__)

SHIPPED = "shipped"
StateDict = dict[str, Tensor]

# file of Tiny, prefix there, prefix among the networks of a run
NETWORKS = (
    (files.UNET, "", "base.diffusion_model."),
    (files.TEXT, "clip_l.transformer.", "text."),
    (files.VISION, "", "vision."),
    (files.CONTENT_GUIDER, "", "guider."),
    (files.MOTION, "", "motion."),
    (files.CONTROL_POSE, "", "controls.pose."),
    (files.CONTROL_DEPTH, "", "controls.depth."),
)
AUTOENCODER = ((files.AUTOENCODER, "taesd_", ""),)


def read_shipped(parts: tuple[tuple[str, str, str], ...], folder: Path = files.FOLDER) -> StateDict:
    """Tensors of Tiny's files in float32, under the names of a run."""
    found = {}
    for name, theirs, own in parts:
        for key, value in read_weights(folder / name).state_dict.items():
            if key.startswith(theirs):
                found[own + key.removeprefix(theirs)] = value.float() if value.is_floating_point() else value
    return found


class Results:
    """What stages have learned, by name: a run's own folder first, then the one that it starts from."""

    def __init__(self, folder: Path, warm_start: str | Path | None = None) -> None:
        self.folder, self.shipped = folder, str(warm_start) == SHIPPED
        self.other = Path(warm_start) if warm_start and not self.shipped else None
        if self.other is not None and not any(self.other.glob("*.done.pt")):
            raise InputError(
                f"There is nothing to start from in {self.other}: it holds no *.done.pt. Give the folder of a run, or "
                f"'{SHIPPED}' for the weights that come with the pack."
            )

    def folders(self) -> list[Path]:
        return [folder for folder in (self.folder, self.other) if folder is not None]

    def own(self, stage: str) -> Path:
        """Where this run puts what the stage learned."""
        return self.folder / f"{stage}.done.pt"

    def find(self, name: str) -> Path:
        """A file of the run: its own, else the other run's where it has one."""
        paths = [folder / name for folder in self.folders()]
        return next((path for path in paths if path.exists()), paths[0])

    def latest(self, stages: list[str]) -> StateDict | None:
        """What the last of `stages` that is done here handed on, else the other run's last; None when there is nothing."""
        for folder in self.folders():
            for stage in reversed(stages):
                if (path := folder / f"{stage}.done.pt").exists():
                    self.tell(stage, path)
                    return torch.load(path, weights_only=True, map_location="cpu")
        if not self.shipped:
            return None
        log.info("warm start: %s from the weights that come with the pack", ", ".join(stages))
        return read_shipped(AUTOENCODER if "autoencoder" in stages else NETWORKS)

    def needed(self, stages: list[str]) -> StateDict:
        """`latest`, or InputError."""
        found = self.latest(stages)
        if found is None:
            raise InputError(
                f"Stage '{stages[-1]}' has not been trained in {self.folder}. Run `python run.py train tiny --stage "
                f"{stages[-1]}` first, or start from another run with --warm-start."
            )
        return found

    def tell(self, stage: str, path: Path) -> None:
        if path.parent != self.folder:
            log.info("warm start: '%s' from %s", stage, path)
