"""The second of two gloo processes in test_two_processes.py; leaves its gradients in the folder that it is given."""

import importlib
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def main(folder: Path) -> None:
    sys.path += [str(TESTS), str(TESTS / "training")]
    importlib.import_module("conftest")  # finds ComfyUI and loads the pack
    import torch

    training = importlib.import_module("test_two_processes")
    torch.save(training.train_as(1, folder / "rendezvous"), folder / "second.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
