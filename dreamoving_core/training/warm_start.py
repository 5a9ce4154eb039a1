"""Where a run of Tiny takes what it did not train itself: another run's folder, or the weights that come with the pack."""

import json
import logging
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..file_digest import sha256_of
from ..tiny import files
from ..weights.io import read_weights

log = logging.getLogger(__name__)

SHIPPED = "shipped"
DONE = ".done.pt"  # after a stage's name: what it learned
PARENTS = "parents.json"  # in a run's folder
StateDict = dict[str, Tensor]
Parent = dict[str, str]  # name and sha256 of a file

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
        self.taken: dict[Path, Parent] = {}
        self.other = Path(warm_start) if warm_start and not self.shipped else None
        if self.other is not None and not any(self.other.glob(f"*{DONE}")):
            raise InputError(
                f"There is nothing to start from in {self.other}: it holds no *.done.pt. Give the folder of a run, or "
                f"'{SHIPPED}' for the weights that come with the pack."
            )

    def folders(self) -> list[Path]:
        return [folder for folder in (self.folder, self.other) if folder is not None]

    def own(self, stage: str) -> Path:
        """Where this run puts what the stage learned."""
        return self.folder / f"{stage}{DONE}"

    def find(self, name: str) -> Path:
        """A file of the run: its own, else the other run's where it has one."""
        paths = [folder / name for folder in self.folders()]
        return next((path for path in paths if path.exists()), paths[0])

    def latest(self, stages: list[str]) -> StateDict | None:
        """What the last of `stages` that is done here handed on, else the other run's last; None when there is nothing."""
        for folder in self.folders():
            for stage in reversed(stages):
                if (path := folder / f"{stage}{DONE}").exists():
                    self.tell(stage, path)
                    return torch.load(path, weights_only=True, map_location="cpu")
        if not self.shipped:
            return None
        log.info(
            "warm start: %s from the weights that come with the pack", ", ".join(stages) or "all networks"
        )
        parts = AUTOENCODER if "autoencoder" in stages else NETWORKS
        for name, _, _ in parts:
            self.take(files.FOLDER / name)
        return read_shipped(parts)

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
            self.take(path)

    def take(self, path: Path) -> None:
        """Remember a file from elsewhere that something here starts from."""
        if path not in self.taken:
            self.taken[path] = {"name": path.name, "sha256": sha256_of(path)}

    def parents(self) -> list[Parent]:
        """What this run has ever taken from elsewhere."""
        path = self.folder / PARENTS
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return kept + [parent for parent in self.taken.values() if parent not in kept]

    def keep_parents(self) -> None:
        """Write them down beside what was learned from them."""
        if self.taken:
            (self.folder / PARENTS).write_text(json.dumps(self.parents(), indent=1), encoding="utf-8")
