"""Context windows: a long clip is denoised a few frames at a time, each ControlNet seeing the frames of its window.

The windows are ComfyUI's own (`comfy.context_windows`) over the batch axis, which is our frame axis. Core leaves the
pictures of a ControlNet whole, so every window would see the first poses (ComfyUI#9238); here they follow the window.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import comfy.context_windows as core
import comfy.patcher_extension
import torch
from comfy.controlnet import ControlBase
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..errors import InputError
from .control_frames import at_frames, refuse_unfit_count, refuse_unsound
from .prompt_travel import refuse_unfit_travel
from .video_control import VideoControlNet

KEY = "dreamoving_windows"

SCHEDULES = [
    core.ContextSchedules.STATIC_STANDARD,
    core.ContextSchedules.UNIFORM_STANDARD,
    core.ContextSchedules.UNIFORM_LOOPED,
    core.ContextSchedules.BATCHED,
]
FUSE_METHODS = list(core.ContextFuseMethods.LIST_STATIC)


@dataclass(frozen=True, kw_only=True)
class WindowSettings:
    """Lengths are in frames. A clip of at most `context_length` frames is sampled at once, without windows."""

    context_length: int = 16  # [AD] clips of 16 frames in training
    context_overlap: int = 4  # [AD] users' common habit; DreaMoving's paper gives none
    schedule: str = core.ContextSchedules.STATIC_STANDARD
    fuse_method: str = core.ContextFuseMethods.PYRAMID
    closed_loop: bool = False
    freenoise: bool = False

    def __post_init__(self):
        length, overlap = self.context_length, self.context_overlap
        if length < 1:
            raise InputError(f"A context window needs at least 1 frame, got {length}. Try 16.")
        if not 0 <= overlap < length:
            raise InputError(
                f"Windows of {length} frames can share 0 to {length - 1} frames with the next one, got an overlap of "
                f"{overlap}. A quarter of the window is a good start: {length // 4}."
            )
        if self.schedule not in SCHEDULES:
            raise InputError(
                f"The schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}. Choose one of these."
            )
        if self.fuse_method not in FUSE_METHODS:
            raise InputError(
                f"The fuse method must be one of {', '.join(FUSE_METHODS)}, got {self.fuse_method!r}. Choose one of these."
            )


def with_windows(model: ModelPatcher, settings: WindowSettings) -> ModelPatcher:
    """A clone of `model` that any sampler runs in windows; windows set before are replaced."""
    model = follow_windows(model)
    model.model_options["context_handler"] = core.IndexListContextHandler(
        context_schedule=core.get_matching_context_schedule(settings.schedule),
        fuse_method=core.get_matching_fuse_method(settings.fuse_method),
        context_length=settings.context_length,
        context_overlap=settings.context_overlap,
        context_stride=1,
        closed_loop=settings.closed_loop,
        dim=0,
        freenoise=settings.freenoise,
        causal_window_fix=False,  # a causal VAE's remedy; here it would only lengthen every window by one frame
    )
    core.create_prepare_sampling_wrapper(model)
    core.create_sampler_sample_wrapper(model)
    return model


def follow_windows(model: ModelPatcher) -> ModelPatcher:
    """A clone of `model` whose ControlNets follow the context windows, whichever node set them, and end clean."""
    model = model.clone()
    model.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, KEY)
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, _outer_sample)
    return model


def _outer_sample(executor, noise: Tensor, *args, **kwargs) -> Tensor:
    refuse_unfit_travel(executor.class_obj.conds, noise.shape[0])
    with _controls_of_one_run(executor.class_obj, noise):
        return executor(noise, *args, **kwargs)


@contextmanager
def _controls_of_one_run(guider, noise: Tensor) -> Iterator[None]:
    """Around one sampling run of `guider`; whatever happens inside, its ControlNets end as they were."""
    controls = list(_controls(guider.conds.values()))
    control_frames = ControlFrames()
    handler = guider.model_options.get("context_handler")
    if isinstance(handler, core.IndexListContextHandler) and handler.dim == 0 and noise.ndim == 4:
        guider.model_options["context_handler"] = _following(handler, control_frames)
        if noise.shape[0] > handler.context_length:
            _refuse_easycache(guider.model_patcher)
            _refuse_evolved(guider.model_patcher)
            for control in controls:
                refuse_unfit_control(control, noise.shape[0])
    try:
        yield
    except BaseException:
        for control in controls:  # core does this only at the end of a run that succeeds
            control.cleanup()
        raise
    finally:
        control_frames.restore()


def refuse_unfit_control(control: ControlBase, num_frames: int) -> None:
    """Raise InputError unless the pictures of `control` fit the whole clip."""
    if control.cond_hint_original is None:
        return
    if isinstance(control, VideoControlNet):
        control.refuse_unfit(num_frames)
    else:
        refuse_unfit_count(control.cond_hint_original, num_frames)
        refuse_unsound(control.cond_hint_original)


def _following(handler: core.IndexListContextHandler, control_frames: "ControlFrames"):
    """A copy of `handler` for one run, that shows each window's control frames before the window is computed."""
    handler = copy.copy(handler)
    handler.callbacks = {
        kind: {k: list(v) for k, v in by_key.items()} for kind, by_key in handler.callbacks.items()
    }

    def on_window(handler, model, x_in, conds, timestep, model_options, window_idx, window, *devices):
        for control in _controls(conds):
            control_frames.show(control, window)

    comfy.patcher_extension.add_callback_with_key(
        core.IndexListCallbacks.EVALUATE_CONTEXT_WINDOWS, KEY, on_window, handler.callbacks
    )
    return handler


class ControlFrames:
    """Lends every ControlNet of one run the control frames of one window after the other."""

    def __init__(self):
        self._whole: dict[int, tuple[ControlBase, Tensor, list[Tensor]]] = {}

    def show(self, control: ControlBase, window: core.IndexListContextWindow) -> None:
        """Give `control` the frames of `window`, its causal anchor included. A Video ControlNet takes its own."""
        if isinstance(control, VideoControlNet) or control.cond_hint_original is None:
            return
        remembered = (control, control.cond_hint_original, control.extra_concat_orig)
        _, whole, masks = self._whole.setdefault(id(control), remembered)
        control.cond_hint_original = _in_window(whole, window)
        control.extra_concat_orig = [_in_window(mask, window) for mask in masks]
        control.cond_hint = None

    def restore(self) -> None:
        """Give every ControlNet its whole clip back; nothing prepared for a window outlives the run."""
        for control, whole, masks in self._whole.values():
            control.cond_hint_original = whole
            control.extra_concat_orig = masks
            control.cond_hint = None
        self._whole.clear()


def _in_window(frames: Tensor, window: core.IndexListContextWindow) -> Tensor:
    if frames.shape[0] != window.total_frames:
        return frames
    return at_frames(frames, window.get_tensor(torch.arange(window.total_frames), dim=0).tolist())


def _controls(conds) -> Iterator[ControlBase]:
    """Every ControlNet once: chained ones, and the copies for other GPUs."""
    seen = set()
    for cond in (c for group in conds if group is not None for c in group):
        control = cond.get("control")
        while control is not None:
            for instance in (control, *control.multigpu_clones.values()):
                if id(instance) not in seen:
                    seen.add(id(instance))
                    yield instance
            control = control.previous_controlnet


def _refuse_easycache(model: ModelPatcher) -> None:
    if model.get_wrappers(WrappersMP.DIFFUSION_MODEL, "easycache"):
        raise InputError(
            "EasyCache cannot work with context windows: it would reuse one window's result in another. "
            "Use LazyCache instead, or remove EasyCache."
        )


def _refuse_evolved(model: ModelPatcher) -> None:
    """AnimateDiff-Evolved counts frames once per run, and would stop with an error about shapes or indices."""
    settings = model.get_attachment("ADE_params")
    own_windows = settings is not None and settings.context_options.context_length is not None
    if own_windows or model.get_additional_models_with_key("ADE"):
        raise InputError(
            f"AnimateDiff-Evolved's {'context options' if own_windows else 'motion models'} cannot work in ComfyUI's "
            "context windows. Load the motion file with Load Motion Model, or use Evolved Sampling's context options alone."
        )
