"""What tells one file from another."""

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Of the whole file as it lies on disk, in lower case."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
