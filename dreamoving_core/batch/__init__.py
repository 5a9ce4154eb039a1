"""Runs graphs on ComfyUI servers from outside: over HTTP only, standard library only, importable without torch."""
