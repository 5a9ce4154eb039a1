"""Sampling a clip, and the context windows for clips longer than the motion model learnt."""

from comfy_api.latest import io

from ..dreamoving_core.bridge.sampling import (
    NOISES,
    SAMPLERS,
    SCHEDULERS,
    SamplingSettings,
    empty_latents,
    sample_video,
)
from ..dreamoving_core.bridge.windows import FUSE_METHODS, SCHEDULES, WindowSettings, with_windows


class DreaMovingContextWindows(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingContextWindows",
            display_name="Set Context Windows",
            category="DreaMoving/sampling",
            description="Denoises a long clip a few frames at a time, in windows that overlap. Works with every sampler; "
            "every ControlNet sees the poses of its own window.",
            search_aliases=["long video", "context options", "sliding window"],
            inputs=[
                io.Model.Input("model", tooltip="The model to sample in windows, motion already applied."),
                io.Int.Input(
                    "context_length",
                    default=16,
                    min=1,
                    max=4096,
                    tooltip="Frames in one window: as many as the motion model was trained on (16 for AnimateDiff). "
                    "Clips that are not longer are sampled at once.",
                ),
                io.Int.Input(
                    "context_overlap",
                    default=4,
                    min=0,
                    max=4095,
                    tooltip="Frames that a window shares with the next. More hides seams better and takes longer.",
                ),
                io.Combo.Input(
                    "schedule",
                    options=SCHEDULES,
                    default=SCHEDULES[0],
                    tooltip="standard_static: the same windows at every step. standard_uniform: they shift from step to "
                    "step, which hides seams. looped_uniform: they wrap around the end. batched: no overlap.",
                ),
                io.Combo.Input(
                    "fuse_method",
                    options=FUSE_METHODS,
                    default="pyramid",
                    tooltip="How frames in two windows are mixed. pyramid: the middle of a window counts most.",
                ),
                io.Boolean.Input(
                    "closed_loop",
                    default=False,
                    advanced=True,
                    tooltip="Make the last frames run into the first. Only for looped_uniform.",
                ),
                io.Boolean.Input(
                    "freenoise",
                    default=False,
                    advanced=True,
                    tooltip="Start later windows from the first window's noise in another order: steadier looks over a "
                    "long clip, less variety of movement.",
                ),
            ],
            outputs=[io.Model.Output(tooltip="The model, to be sampled in windows.")],
        )

    @classmethod
    def execute(
        cls, model, context_length, context_overlap, schedule, fuse_method, closed_loop=False, freenoise=False
    ) -> io.NodeOutput:
        settings = WindowSettings(
            context_length=context_length,
            context_overlap=context_overlap,
            schedule=schedule,
            fuse_method=fuse_method,
            closed_loop=closed_loop,
            freenoise=freenoise,
        )
        return io.NodeOutput(with_windows(model, settings))


class DreaMovingSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DreaMovingSampler",
            display_name="Sample Video",
            category="DreaMoving/sampling",
            description="Makes a clip from noise, or changes one. The stock KSampler plus what a clip needs: a number of "
            "frames, context windows that ControlNets follow, shared noise, a preview that moves.",
            search_aliases=["ksampler", "animatediff sampler", "video sampler"],
            inputs=[
                io.Model.Input("model", tooltip="The model, with motion and Content Guider applied."),
                io.Conditioning.Input("positive", tooltip="What the video shows, with its ControlNets."),
                io.Conditioning.Input(
                    "negative", tooltip="What it must not show, with the same ControlNets."
                ),
                io.Int.Input(
                    "frames", default=16, min=1, max=4096, tooltip="How many frames. Unused with a latent."
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=16,
                    max=16384,
                    step=8,
                    tooltip="In pixels, a multiple of 8. Unused with a latent.",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=16,
                    max=16384,
                    step=8,
                    tooltip="In pixels, a multiple of 8. Unused with a latent.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Which noise the clip starts from. The same seed gives the same clip; more frames leave the "
                    "noise of the earlier ones as it was.",
                ),
                io.Int.Input("steps", default=25, min=1, max=10000, tooltip="Denoising steps: 20 to 30."),
                io.Float.Input(
                    "cfg",
                    default=7.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="How strictly the prompt is followed: 6 to 8. 1 ignores the negative and is twice as fast.",
                ),
                io.Combo.Input(
                    "sampler_name", options=SAMPLERS, default="euler", tooltip="The sampling method."
                ),
                io.Combo.Input(
                    "scheduler",
                    options=SCHEDULERS,
                    default="normal",
                    tooltip="How noise falls from step to step.",
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="With a latent: how much of it is made anew, from 0 (nothing) to 1 (all).",
                ),
                io.Int.Input(
                    "context_length",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="Frames in one window for long clips: 16 for AnimateDiff. 0: no windows, or those that the "
                    "model brings.",
                ),
                io.Int.Input(
                    "context_overlap",
                    default=4,
                    advanced=True,
                    min=0,
                    max=4095,
                    tooltip="Frames that a window shares with the next. More hides seams better and takes longer.",
                ),
                io.Combo.Input(
                    "noise",
                    options=NOISES,
                    default="independent",
                    tooltip="independent: every frame starts from its own noise. shared: all start from the same, for a "
                    "steadier picture with less movement.",
                ),
                io.Boolean.Input(
                    "preview",
                    default=True,
                    advanced=True,
                    tooltip="Show the clip while it is made, another frame at each step, by the method chosen in ComfyUI's "
                    "settings. Off is a little faster.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="A clip to change (set denoise below 1), or an empty latent. Frames and size come from it.",
                ),
                io.Float.Input(
                    "cfg_end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    advanced=True,
                    tooltip="Up to which share of the sampling cfg works. The steps after it follow the positive alone: "
                    "twice as fast, with less flicker and softer contrast. 1: in all steps.",
                ),
            ],
            outputs=[io.Latent.Output(tooltip="The clip as latents, one per frame: connect VAE Decode.")],
        )

    @classmethod
    def execute(
        cls, model, positive, negative, frames, width, height, seed, steps, cfg, sampler_name, scheduler, denoise,
        context_length, context_overlap, noise, preview, latent=None, cfg_end_percent=1.0,
    ) -> io.NodeOutput:  # fmt: skip
        settings = SamplingSettings(
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            denoise=denoise,
            noise=noise,
            cfg_end_percent=cfg_end_percent,
        )
        if latent is None:
            latent = empty_latents(model, width=width, height=height, num_frames=frames)
        if context_length:
            windows = WindowSettings(context_length=context_length, context_overlap=context_overlap)
            model = with_windows(model, windows)
        clip = sample_video(
            model, latent, positive=positive, negative=negative, settings=settings, preview=preview
        )
        return io.NodeOutput(clip)


NODES = [DreaMovingContextWindows, DreaMovingSampler]
