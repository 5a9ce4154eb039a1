"""The Doctor: what this Python and this ComfyUI have, what they lack, what that means, and the command that mends it."""
