"""Context windows in a real ComfyUI. Frame i of a control clip is grey i/255, so that a network's input tells its frames."""

import pytest
import torch
from small_control import SIZE, fresh_model, pictures, video_control, weights
from small_control import stock_control as stock_control_of
from small_host import conditioning, sample_latents, small_model

FRAMES = 18


def windows_model(model=None, **settings):
    from dreamoving.dreamoving_core.bridge.windows import WindowSettings, with_windows

    settings = {"context_length": 8, "context_overlap": 2, **settings}
    return with_windows(model or fresh_model(), WindowSettings(**settings))


def core_windows_model(*, length=8, overlap=2, anchor):
    """What the stock Context Windows (Manual) node makes of a model."""
    from comfy_extras.nodes_context_windows import ContextWindowsManualNode

    return ContextWindowsManualNode.execute(
        small_model(),
        length,
        overlap,
        "standard_static",
        1,
        False,
        "pyramid",
        0,
        False,
        causal_window_fix=anchor,
    )[0]


def stock_control():
    return stock_control_of(weights())


def numbered_pictures(frames=FRAMES, *, size=8 * SIZE):
    grey = torch.arange(frames, dtype=torch.float32) / 255
    return grey[:, None, None, None].expand(frames, size, size, 3).clone()


def controlled(*controls, frames=FRAMES, draw=numbered_pictures):
    """Both prompts with `controls` chained by the stock node, and the control objects they carry, last one first."""
    import nodes

    positive, negative = conditioning(seed=1), conditioning(seed=2)
    for control in controls:
        positive, negative = nodes.ControlNetApplyAdvanced().apply_controlnet(
            positive, negative, control, draw(frames), 1.0, 0.0, 1.0
        )
    chain, control = [], positive[0][1].get("control")
    while control is not None:
        chain.append(control)
        control = control.previous_controlnet
    return (positive, negative), chain


def record_frames(control, frames):
    """A list that fills with the frames which each call of this control's network gets."""
    calls, features = [], []

    def read(module, args, kwargs):
        if "hint" in kwargs:
            calls.append((kwargs["hint"][:, 0, 0, 0] * 255).round().int().tolist())
            return
        if not features:
            clip = numbered_pictures(frames).movedim(-1, 1)
            features.append(torch.cat([module.encode_hint(picture[None]) for picture in clip]))
        distance = (kwargs["hint_features"][:, None] - features[0][None]).flatten(2).abs().amax(dim=2)
        calls.append(distance.argmin(dim=1).tolist())

    control.control_model.register_forward_pre_hook(read, with_kwargs=True)
    return calls


def record_windows(model):
    """The same model, and a list that fills with the frames which each call of its U-Net computes."""
    from comfy.patcher_extension import WrappersMP

    calls = []

    def read(executor, x, t, c_concat, c_crossattn, control, transformer_options, **kwargs):
        window = transformer_options.get("context_window")
        whole = list(range(x.shape[0] // len(transformer_options["cond_or_uncond"])))
        if window is None:
            calls.append(whole)
        else:
            calls.append(window.get_tensor(torch.arange(window.total_frames), dim=0).tolist())
        return executor(x, t, c_concat, c_crossattn, control, transformer_options, **kwargs)

    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "record", read)
    return model, calls


def failing(model, error, *, at_call):
    """The same model, whose U-Net raises at its `at_call`-th call."""
    from comfy.patcher_extension import WrappersMP

    count = []

    def fail(executor, *args, **kwargs):
        count.append(1)
        if len(count) == at_call:
            error()
        return executor(*args, **kwargs)

    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "fail", fail)
    return model


def stock_sampler(model, conds=(None, None), frames=FRAMES, *, steps=1):
    return sample_latents(model, *conds, frames=frames, size=SIZE, steps=steps)


def our_sampler(model, conds, frames=FRAMES, *, steps=1):
    from dreamoving.dreamoving_core.bridge.sampling import SamplingSettings, sample_video

    settings = SamplingSettings(steps=steps, cfg=2.0)
    latent = {"samples": torch.zeros(frames, 4, SIZE, SIZE)}
    with torch.inference_mode():
        return sample_video(model, latent, positive=conds[0], negative=conds[1], settings=settings)["samples"]


def difference(latents, other):
    """The largest, relative to the largest number."""
    return float((latents - other).abs().max() / other.abs().max())


def matches_windows(seen, windows):
    """One call of the control for each call of the U-Net; conds computed together repeat the frames."""
    return len(seen) == len(windows) and all(
        frames[: len(window)] == window and frames == window * (len(frames) // len(window))
        for frames, window in zip(seen, windows, strict=True)
    )


SETUPS = {
    "our windows, stock sampler": (
        lambda: windows_model(context_length=32, context_overlap=8),
        stock_sampler,
    ),
    "our windows, our sampler": (lambda: windows_model(context_length=32, context_overlap=8), our_sampler),
    "core's windows, our sampler": (
        lambda: core_windows_model(length=32, overlap=8, anchor=False),
        our_sampler,
    ),
    "core's windows with anchor, our sampler": (
        lambda: core_windows_model(length=32, overlap=8, anchor=True),
        our_sampler,
    ),
}


@pytest.mark.parametrize("name", SETUPS)
def test_in_96_frames_both_kinds_of_controlnet_see_the_poses_of_every_window_of_32(name):
    make, sampler = SETUPS[name]
    conds, (ours, stock) = controlled(stock_control(), video_control(), frames=96)
    seen_by_stock, seen_by_ours = record_frames(stock, 96), record_frames(ours, 96)
    model, windows = record_windows(make())

    latents = sampler(model, conds, 96)

    assert torch.isfinite(latents).all()
    assert {frame for window in windows for frame in window} == set(range(96))
    assert max(map(len, windows)) == (33 if "anchor" in name else 32)
    assert matches_windows(seen_by_stock, windows)
    assert matches_windows(seen_by_ours, windows)


@pytest.mark.parametrize("anchor", [False, True])
def test_without_us_a_stock_controlnet_sees_the_first_poses_in_every_window(anchor):
    conds, (stock,) = controlled(stock_control())
    seen = record_frames(stock, FRAMES)
    model, windows = record_windows(core_windows_model(anchor=anchor))

    stock_sampler(model, conds)

    assert not matches_windows(seen, windows)
    assert max(frame for frames in seen for frame in frames) <= 8


@pytest.mark.parametrize(
    ("schedule", "fuse_method"),
    [
        ("standard_static", "pyramid"),
        ("standard_static", "flat"),
        ("standard_static", "relative"),
        ("standard_static", "overlap-linear"),
        ("standard_uniform", "pyramid"),
        ("looped_uniform", "pyramid"),
        ("batched", "pyramid"),
    ],
)
def test_frames_that_do_not_know_each_other_come_out_as_without_windows(schedule, fuse_method):
    conds, _ = controlled(stock_control(), draw=pictures)
    whole = stock_sampler(fresh_model(), conds, steps=2)

    windowed = stock_sampler(windows_model(schedule=schedule, fuse_method=fuse_method), conds, steps=2)

    assert difference(windowed, whole) < 3e-6


def test_core_alone_gives_frames_of_later_windows_the_wrong_poses():
    conds, _ = controlled(stock_control(), draw=pictures)
    whole = stock_sampler(fresh_model(), conds)

    windowed = stock_sampler(core_windows_model(anchor=False), conds)

    assert difference(windowed[:6], whole[:6]) < 3e-6
    assert difference(windowed[8:], whole[8:]) > 1e-3


@pytest.mark.parametrize("closed_loop", [False, True])
@pytest.mark.parametrize("schedule", ["standard_static", "standard_uniform", "looped_uniform", "batched"])
def test_every_frame_is_in_a_window_at_every_step(schedule, closed_loop):
    for frames, length, overlap in [
        (9, 8, 0),
        (17, 8, 7),
        (24, 16, 4),
        (25, 16, 15),
        (96, 32, 8),
        (33, 32, 31),
    ]:
        model = windows_model(
            context_length=length, context_overlap=overlap, schedule=schedule, closed_loop=closed_loop
        )
        handler = model.model_options["context_handler"]
        for handler._step in range(30):
            windows = handler.context_schedule.func(frames, handler, model.model_options)

            assert {frame for window in windows for frame in window} == set(range(frames))
            assert all(len(set(window)) == len(window) <= length for window in windows)


@pytest.mark.parametrize("frames", [1, 7, 8])
def test_a_clip_that_fits_one_window_is_sampled_at_once_bit_for_bit(frames):
    conds, _ = controlled(stock_control(), frames=frames)

    assert torch.equal(
        stock_sampler(windows_model(), conds, frames), stock_sampler(fresh_model(), conds, frames)
    )


def test_one_picture_holds_for_all_frames():
    conds, _ = controlled(stock_control(), frames=1)
    whole = stock_sampler(fresh_model(), conds)

    assert difference(stock_sampler(windows_model(), conds), whole) < 3e-6


def test_masks_of_an_inpainting_controlnet_follow_their_window_too():
    import comfy.context_windows
    from dreamoving.dreamoving_core.bridge.windows import ControlFrames

    control = stock_control()
    control.cond_hint_original = torch.arange(6.0)[:, None, None, None]
    control.extra_concat_orig = [torch.arange(6.0)[:, None, None, None], torch.ones(1, 1, 1, 1)]
    window = comfy.context_windows.IndexListContextWindow([4, 5, 0], total_frames=6)
    lent = ControlFrames()

    lent.show(control, window)

    assert control.cond_hint_original.flatten().tolist() == [4, 5, 0]
    assert [mask.flatten().tolist() for mask in control.extra_concat_orig] == [[4, 5, 0], [1]]

    lent.restore()

    assert control.cond_hint_original.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert control.extra_concat_orig[0].shape[0] == 6


def test_copies_of_a_controlnet_for_other_gpus_follow_the_windows():
    conds, (stock,) = controlled(stock_control())
    whole = stock.cond_hint_original
    twin = stock.deepclone_multigpu(torch.device("cpu"), autoregister=True)
    model, windows = record_windows(windows_model())
    shown = []
    stock.control_model.register_forward_pre_hook(
        lambda *_: shown.append(twin.cond_hint_original[:, 0, 0, 0])
    )

    stock_sampler(model, conds)

    assert matches_windows([(grey * 255).round().int().tolist() for grey in shown], windows)
    assert twin.cond_hint_original is whole


def cancel():
    import comfy.model_management

    comfy.model_management.interrupt_current_processing()


def run_out_of_memory():
    import comfy.model_management

    raise comfy.model_management.OOM_EXCEPTION("Allocation on device")


def fail_in_a_patch():
    raise RuntimeError("a patch failed")


@pytest.mark.parametrize("sampler", [stock_sampler, our_sampler])
@pytest.mark.parametrize(
    ("error", "text"),
    [(cancel, None), (run_out_of_memory, "Allocation"), (fail_in_a_patch, "a patch failed")],
)
def test_a_run_that_ends_inside_a_window_leaves_model_and_controls_as_they_were(sampler, error, text):
    base = small_model()
    weights = {k: v.clone() for k, v in base.model.state_dict().items()}
    conds, chain = controlled(stock_control(), video_control())
    clips = [control.cond_hint_original for control in chain]
    model = windows_model(base)
    clean = sampler(model, conds, FRAMES)

    with pytest.raises(BaseException, match=text) as raised:
        sampler(failing(model, error, at_call=2), conds, FRAMES)

    assert type(raised.value).__name__ in ("InterruptProcessingException", "OutOfMemoryError", "RuntimeError")
    for control, clip in zip(chain, clips, strict=True):
        assert control.cond_hint_original is clip
        assert control.cond_hint is None
        assert control.timestep_range is None
    assert base.model.state_dict().keys() == weights.keys()
    assert all(torch.equal(v, weights[k]) for k, v in base.model.state_dict().items())
    assert torch.equal(sampler(model, conds, FRAMES), clean)


def test_setting_windows_leaves_the_incoming_model_alone_and_replaces_earlier_windows():
    base = small_model()
    once = windows_model(base, freenoise=True)
    twice = windows_model(windows_model(base, context_length=4, freenoise=True), freenoise=True)

    assert "context_handler" not in base.model_options
    assert not any(base.wrappers.values())
    assert torch.equal(stock_sampler(twice), stock_sampler(once))
    assert not torch.equal(stock_sampler(once), stock_sampler(windows_model()))


def test_a_run_keeps_nothing_in_the_windows_of_the_model():
    model = windows_model(schedule="standard_uniform")
    handler = model.model_options["context_handler"]
    conds, _ = controlled(stock_control())

    stock_sampler(model, conds)

    assert model.model_options["context_handler"] is handler
    assert handler.callbacks == {}
    assert handler._step == 0


def test_a_wrong_number_of_control_frames_is_refused_before_sampling():
    from dreamoving.dreamoving_core.errors import InputError

    conds, _ = controlled(stock_control(), frames=20)
    model, calls = record_windows(windows_model())

    with pytest.raises(InputError, match="got 20 control images for a video of 18 frames"):
        stock_sampler(model, conds)

    assert calls == []


def test_easycache_is_refused_with_windows_and_free_without():
    from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
    from dreamoving.dreamoving_core.errors import InputError

    cached = EasyCacheNode.execute(windows_model(), 0.2, 0.15, 0.95, False)[0]
    lazy = LazyCacheNode.execute(windows_model(), 0.2, 0.15, 0.95, False)[0]

    with pytest.raises(InputError, match=r"EasyCache cannot work with context windows.*Use LazyCache"):
        stock_sampler(cached)
    assert torch.isfinite(stock_sampler(cached, frames=8)).all()
    assert torch.isfinite(stock_sampler(lazy)).all()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"context_length": 0}, "at least 1 frame, got 0"),
        ({"context_length": 8, "context_overlap": 8}, "can share 0 to 7 frames.*overlap of 8.*good start: 2"),
        ({"context_overlap": -1}, "got an overlap of -1"),
        ({"schedule": "spiral"}, "schedule must be one of standard_static.*got 'spiral'"),
        ({"fuse_method": "glue"}, "fuse method must be one of.*got 'glue'"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_words(settings, text):
    from dreamoving.dreamoving_core.errors import InputError

    with pytest.raises(InputError, match=text):
        windows_model(**settings)
