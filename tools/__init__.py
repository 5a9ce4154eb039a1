"""What `run.py` does before and around ComfyUI. Standard library only, but for `inside.py`, which runs in the environment."""
