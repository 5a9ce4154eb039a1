"""Where every random choice of ProcDance comes from: integer hashing, never a generator with hidden state.

A choice is a pure function of (version, key, name), so adding one choice never shifts another, and the same
seed gives the same dancer in every process, on every machine.
"""

import hashlib

VERSION = 1
SPLITS = ("train", "held_out")


class Draw:
    """Named choices for one key, such as ("person", "train", 7)."""

    def __init__(self, *key: str | int):
        self._key = f"procdance/{VERSION}/" + "/".join(str(part) for part in key)

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> float:
        """A float in [low, high)."""
        digest = hashlib.blake2b(f"{self._key}/{name}".encode(), digest_size=8).digest()
        return low + (high - low) * (int.from_bytes(digest, "big") >> 11) * 2.0**-53

    def integer(self, name: str, count: int) -> int:
        """An index in [0, count)."""
        return int(self.uniform(name) * count)

    def chance(self, name: str, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform(name) < probability


def is_held_out(*indices: int) -> bool:
    """Whether a combination of catalogue indices is reserved for the held-out split: one quarter of them.

    Only sums decide, so each single entry (a skin tone, a hue, an arm pose) occurs in both splits while a
    reserved combination never occurs in training.
    """
    return sum(indices) % 4 == 0
