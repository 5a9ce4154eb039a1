"""Every error that the pack raises on purpose. The text says what was expected, what was found, what to do.

DreaMovingError
├── InputError            a value that a node was given: a count, a size, a range, NaN
├── WeightsError          a file that is not what was asked for, or is damaged
├── MissingPackageError   an optional package; names it and its install command
└── SetupError            the pack's own environment: ComfyUI, disk, network, port
"""


class DreaMovingError(Exception):
    """Anything that the pack refuses, in words for the person who can mend it."""


class InputError(DreaMovingError, ValueError):
    """A node's input is out of range or does not fit the others."""


class WeightsError(DreaMovingError, ValueError):
    """A model file is damaged, or is of another kind than the node needs."""


class MissingPackageError(DreaMovingError, ImportError):
    """An optional package is not installed."""


class SetupError(DreaMovingError, RuntimeError):
    """The environment cannot be prepared."""
