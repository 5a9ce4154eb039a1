"""The version of the pack, as pyproject.toml has it; installed packs are read without that file."""

VERSION = "0.1.0"
