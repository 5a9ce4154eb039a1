"""The picture on the sampler node while it works. ComfyUI's own shows frame 0 only; this one walks through the clip."""

import time
from collections.abc import Callable

import latent_preview
from comfy.model_patcher import ModelPatcher
from torch import Tensor

PREVIEW_INTERVAL = 0.25  # seconds; [ours] more often only slows the sampler and the browser down


class ClipPreview:
    """One frame of the clip per call, from the first to the last and again, at most one per `interval` seconds."""

    def __init__(
        self, previewer, *, interval: float = PREVIEW_INTERVAL, clock: Callable[[], float] = time.monotonic
    ):
        self._previewer = previewer
        self._interval = interval
        self._clock = clock
        self._last = float("-inf")

    def __call__(self, step: int, total_steps: int, x0: Tensor) -> tuple | None:
        """What a ProgressBar takes as a preview, or None. `x0`: the clip as it is foreseen, (f c h w)."""
        now = self._clock()
        if now - self._last < self._interval and step + 1 < total_steps:
            return None
        self._last = now
        frame = frame_at(step, total_steps, x0.shape[0])
        return self._previewer.decode_latent_to_preview_image("JPEG", x0[frame : frame + 1])


def frame_at(step: int, total_steps: int, num_frames: int) -> int:
    """A short clip is played frame by frame, a long one in strides, so that its end is seen too."""
    return step * max(1, num_frames // total_steps) % num_frames


def clip_preview(model: ModelPatcher) -> ClipPreview | None:
    """With the method that ComfyUI is set to; None when previews are off there."""
    previewer = latent_preview.get_previewer(model.load_device, model.get_model_object("latent_format"))
    return ClipPreview(previewer) if previewer is not None else None
