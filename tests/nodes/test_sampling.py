"""The Sampler and Context Windows nodes in a real ComfyUI, beside the stock KSampler."""

import itertools

import pytest
import torch
from small_control import fresh_model
from small_host import conditioning, small_model
from small_motion import small_motion

SIZE = 32  # pixels


def sample(model=None, *, positive=None, negative=None, **inputs):
    """Latents from our node: 2 steps of 6 frames unless told otherwise."""
    from dreamoving.nodes.sampling import DreaMovingSampler

    defaults = {
        "frames": 6,
        "width": SIZE,
        "height": SIZE,
        "seed": 7,
        "steps": 2,
        "cfg": 2.0,
        "sampler_name": "euler",
    }
    defaults |= {"scheduler": "normal", "denoise": 1.0, "context_length": 0, "context_overlap": 4}
    defaults |= {"noise": "independent", "preview": True}
    with torch.inference_mode():
        output = DreaMovingSampler.execute(
            fresh_model() if model is None else model,
            conditioning(seed=1) if positive is None else positive,
            conditioning(seed=2) if negative is None else negative,
            **(defaults | inputs),
        )
    return output[0]


def stock(model=None, latent=None, *, frames=6, sampler_name="euler", denoise=1.0, seed=7):
    """What EmptyLatentImage and KSampler make of the same."""
    import nodes

    latent = nodes.EmptyLatentImage().generate(SIZE, SIZE, frames)[0] if latent is None else latent
    with torch.inference_mode():
        return nodes.KSampler().sample(
            fresh_model() if model is None else model,
            seed,
            2,
            2.0,
            sampler_name,
            "normal",
            conditioning(seed=1),
            conditioning(seed=2),
            latent,
            denoise=denoise,
        )[0]


def video(frames=6, *, seed=0, channels=4):
    return torch.randn(frames, channels, SIZE // 8, SIZE // 8, generator=torch.Generator().manual_seed(seed))


def moving(model=None, **settings):
    """A model with random motion blocks."""
    from dreamoving.dreamoving_core.bridge.motion import apply_motion

    model = model or fresh_model()
    return apply_motion(model, small_motion(model, **settings))


def with_patch(model, function):
    """The same model; `function(output)` gets what each call of the U-Net gives, and returns what to use."""
    from comfy.patcher_extension import WrappersMP

    model = model.clone()
    model.add_wrapper_with_key(
        WrappersMP.APPLY_MODEL, "test", lambda executor, *a, **k: function(executor(*a, **k))
    )
    return model


@pytest.mark.parametrize("sampler_name", ["euler", "euler_ancestral", "dpmpp_2m_sde"])
def test_it_equals_the_stock_ksampler_bit_for_bit(sampler_name):
    ours = sample(sampler_name=sampler_name)

    assert ours["samples"].shape == (6, 4, 4, 4)
    assert torch.equal(ours["samples"], stock(sampler_name=sampler_name)["samples"])


def test_it_equals_the_stock_ksampler_with_motion():
    motion = sample(moving())["samples"]

    assert torch.equal(motion, stock(moving())["samples"])
    assert not torch.allclose(motion, sample()["samples"])


def test_video_to_video_equals_the_stock_ksampler_with_mask_and_frame_numbers():
    latent = {
        "samples": video(),
        "noise_mask": torch.ones(6, 1, SIZE, SIZE),
        "batch_index": [2, 3, 5, 8, 9, 11],
    }
    latent["noise_mask"][:, :, :16] = 0

    ours = sample(latent=latent, denoise=0.5, frames=99, width=1, height=1)

    expected = stock(latent=latent, denoise=0.5)
    assert torch.equal(ours["samples"], expected["samples"])
    assert ours.keys() == expected.keys()
    assert not torch.allclose(ours["samples"], video())


def test_an_empty_latent_of_the_stock_node_is_taken():
    import nodes

    latent = nodes.EmptyLatentImage().generate(SIZE, SIZE, 3)[0]

    ours = sample(latent=latent)

    assert torch.equal(ours["samples"], stock(frames=3)["samples"])
    assert ours.keys() == {"samples"}


def stock_in_two_parts(model, *, guided, steps=4, cfg=8.0):
    """Two stock samplers in a row: the first `guided` steps with guidance, the others with cfg 1."""
    import nodes

    conditions = conditioning(seed=1), conditioning(seed=2)
    latent = nodes.EmptyLatentImage().generate(SIZE, SIZE, 6)[0]
    for first, last, scale in ((0, guided, cfg), (guided, steps, 1.0)):
        settings = (7, steps, scale, "euler", "normal", *conditions, latent, first, last)
        add, keep = ("enable" if condition else "disable" for condition in (first == 0, last < steps))
        with torch.inference_mode():
            latent = nodes.KSamplerAdvanced().sample(model, add, *settings, keep)[0]
    return latent["samples"]


@pytest.mark.parametrize(("end", "guided"), [(0.25, 1), (0.5, 2), (0.75, 3)])
def test_guidance_that_ends_early_is_that_of_two_stock_samplers_in_a_row(end, guided):
    ours = sample(moving(), steps=4, cfg=8.0, cfg_end_percent=end)["samples"]
    whole = sample(moving(), steps=4, cfg=8.0)["samples"]
    near = {"rtol": 1e-4, "atol": 1e-4}

    torch.testing.assert_close(ours, stock_in_two_parts(moving(), guided=guided), **near)
    assert not torch.allclose(ours, whole, **near)


def test_guidance_that_never_begins_is_cfg_1_and_guidance_that_never_ends_is_plain_cfg():
    assert torch.equal(sample(cfg_end_percent=0.0)["samples"], sample(cfg=1.0)["samples"])
    assert torch.equal(sample(cfg_end_percent=1.0)["samples"], stock()["samples"])


def test_steps_after_the_end_of_guidance_evaluate_the_positive_alone_and_the_model_keeps_nothing():
    sizes = []

    def seen(output):
        sizes.append(len(output))
        return output

    model = with_patch(fresh_model(), seen)
    sample(model, steps=4, cfg_end_percent=0.5)

    assert sizes == [12, 12, 6, 6]  # 6 frames, two sides
    assert "sampler_calc_cond_batch_function" not in model.model_options


def test_guidance_ends_in_context_windows_and_where_another_pack_evaluates_both_sides():
    import comfy.samplers

    sides = []

    def evaluated(args):
        sides.append([condition is not None for condition in args["conds"]])
        names = ("model", "conds", "input", "sigma", "model_options")
        return comfy.samplers.calc_cond_batch(*(args[name] for name in names))

    model = moving()
    model.set_model_sampler_calc_cond_batch_function(evaluated)
    windows = {"frames": 10, "steps": 2, "context_length": 4, "context_overlap": 2, "cfg_end_percent": 0.5}

    patched = sample(model, **windows)["samples"]

    assert sides == [[True, True], [True, False]]
    assert torch.equal(patched, sample(moving(), **windows)["samples"])
    assert not torch.equal(patched, sample(moving(), **windows | {"cfg_end_percent": 1.0})["samples"])


def test_denoise_0_returns_the_video_as_it_is():
    assert torch.equal(sample(latent={"samples": video()}, denoise=0.0)["samples"], video())


def test_one_frame_is_a_still_as_the_stock_ksampler_makes_it():
    assert torch.equal(sample(frames=1)["samples"], stock(frames=1)["samples"])


def test_more_frames_leave_the_earlier_ones_as_they_were():
    assert torch.equal(noise_of(9, noise="independent")[:5], noise_of(5, noise="independent"))
    assert torch.equal(noise_of(9, noise="shared")[:5], noise_of(5, noise="shared"))


def noise_of(frames, *, noise, height=6, width=10):
    from dreamoving.dreamoving_core.bridge.sampling import video_noise

    return video_noise(torch.zeros(frames, 4, height, width), seed=3, noise=noise)


def test_in_sizes_that_16_does_not_divide_only_the_last_16_numbers_depend_on_the_frames():
    few, many = (noise_of(frames, noise="independent", height=5, width=5) for frames in (5, 9))

    changed = (few != many[:5]).flatten().nonzero().flatten()

    assert few.numel() % 16 != 0
    assert len(changed) == 16
    assert changed.min() == few.numel() - 16


def test_independent_noise_differs_between_frames_and_shared_noise_does_not():
    independent, shared = noise_of(5, noise="independent"), noise_of(5, noise="shared")

    assert all(not torch.equal(a, b) for a, b in itertools.combinations(independent, 2))
    assert all(torch.equal(frame, independent[0]) for frame in shared)


def test_shared_noise_makes_equal_frames_where_nothing_else_tells_them_apart():
    shared, independent = sample(noise="shared")["samples"], sample(noise="independent")["samples"]

    torch.testing.assert_close(shared, shared[:1].expand_as(shared), rtol=1e-5, atol=1e-4)
    assert (independent[1] - independent[0]).abs().max() > 1


def test_its_windows_are_those_of_the_context_windows_node():
    from dreamoving.nodes.sampling import DreaMovingContextWindows

    windows = DreaMovingContextWindows.execute(moving(), 4, 2, "standard_static", "pyramid", False, False)[0]
    whole = sample(moving(), frames=10)["samples"]

    ours = sample(moving(), frames=10, context_length=4, context_overlap=2)["samples"]

    assert torch.equal(ours, stock(windows, frames=10)["samples"])
    assert torch.equal(ours, sample(windows, frames=10)["samples"])
    assert not torch.allclose(ours, whole)


def test_a_window_longer_than_the_clip_changes_nothing():
    assert torch.equal(sample(moving(), context_length=16)["samples"], sample(moving())["samples"])


def test_a_window_longer_than_the_positions_of_the_motion_model_is_refused_in_words():
    from dreamoving.dreamoving_core.errors import InputError

    model = moving(stored_rows=4)

    with pytest.raises(InputError, match=r"up to 4 frames at once, got 5"):
        sample(model, frames=10, context_length=5, context_overlap=1)
    assert torch.isfinite(sample(model, frames=10, context_length=4, context_overlap=1)["samples"]).all()


def cancel(output):
    import comfy.model_management

    comfy.model_management.interrupt_current_processing()
    return output


def run_out_of_memory(output):
    import comfy.model_management

    raise comfy.model_management.OOM_EXCEPTION("Allocation on device")


def break_down(output):
    return output * torch.nan


@pytest.mark.parametrize("failure", [cancel, run_out_of_memory, break_down])
def test_after_a_cancel_an_error_or_nan_the_next_run_is_as_the_first(failure):
    base = small_model()
    model = moving(base)
    plain, first = sample(base)["samples"], sample(model)["samples"]
    keys = list(base.model.state_dict())

    with pytest.raises(BaseException) as raised:  # noqa: PT011
        sample(with_patch(model, failure))

    assert type(raised.value).__name__ in ("InterruptProcessingException", "OutOfMemoryError", "InputError")
    assert list(base.model.state_dict()) == keys
    assert torch.equal(sample(model)["samples"], first)
    assert torch.equal(sample(base)["samples"], plain)


def test_a_cancel_takes_effect_within_the_step():
    from comfy.model_management import InterruptProcessingException

    calls = []

    def count(output):
        calls.append(1)
        return cancel(output)

    with pytest.raises(InterruptProcessingException):
        sample(with_patch(fresh_model(), count), steps=20)
    assert len(calls) == 1


def test_nan_is_refused_at_the_step_where_it_appears_with_the_likely_causes():
    from dreamoving.dreamoving_core.errors import InputError

    def in_frame_2(output):
        output[2::6] = torch.nan
        return output

    with pytest.raises(
        InputError, match=r"1 of 6 frames.*NaN\) at step 1 of 20, the first is frame 2.*fp16 overflow"
    ):
        sample(with_patch(fresh_model(), in_frame_2), steps=20)


def test_nan_in_the_video_is_refused_before_sampling():
    from dreamoving.dreamoving_core.errors import InputError

    broken = video()
    broken[4, 0, 0, 0] = torch.inf

    with pytest.raises(
        InputError, match=r"before sampling, the first is frame 4.*Check the video or the VAE"
    ):
        sample(latent={"samples": broken})


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"frames": 0}, "at least 1 frame, got 0.*16"),
        ({"width": 515}, "width must be a multiple of 8 pixels, got 515. Use 512 or 520"),
        ({"height": 4}, "height must be a multiple of 8 pixels, got 4. Use 8 or 16"),
        ({"steps": 0}, "at least 1 step, got 0"),
        ({"denoise": 1.5}, "denoise goes from 0 .* to 1 .*, got 1.5"),
        ({"cfg_end_percent": 1.5}, r"cfg_end_percent goes from 0 .* to 1 .*, got 1.5"),
        ({"noise": "pink"}, "noise must be one of independent, shared, got 'pink'"),
        ({"context_length": 4, "context_overlap": 4}, "can share 0 to 3 frames"),
        ({"latent": {"samples": torch.ones(2, 16, 4, 4)}}, "latents of 4 channels, got 16.*VAE that belongs"),
        (
            {"latent": {"samples": torch.ones(1, 4, 2, 4, 4)}},
            "one latent picture per frame.*got 5 dimensions",
        ),
        ({"latent": {"samples": torch.ones(0, 4, 4, 4)}}, "latent has 0 frames"),
    ],
)
def test_bad_input_is_refused_in_words(inputs, text):
    from dreamoving.dreamoving_core.errors import InputError

    with pytest.raises(InputError, match=text):
        sample(**inputs)


class Pictures:
    """Stands where ComfyUI's previewer does; a picture is the frame itself."""

    def decode_latent_to_preview_image(self, preview_format, x0):
        return preview_format, int(x0[0]), len(x0)


def previews(*, num_frames, total_steps, seconds_per_step):
    from dreamoving.dreamoving_core.bridge.preview import ClipPreview

    clip, clock = torch.arange(num_frames), itertools.count(0.0, seconds_per_step)
    preview = ClipPreview(Pictures(), interval=0.25, clock=lambda: next(clock))
    return [preview(step, total_steps, clip) for step in range(total_steps)]


def test_the_preview_plays_a_short_clip_and_strides_through_a_long_one():
    short = previews(num_frames=3, total_steps=7, seconds_per_step=1.0)
    long = previews(num_frames=96, total_steps=6, seconds_per_step=1.0)

    assert short == [("JPEG", frame, 1) for frame in [0, 1, 2, 0, 1, 2, 0]]
    assert [frame for _, frame, _ in long] == [0, 16, 32, 48, 64, 80]


def test_the_preview_is_throttled_but_shows_the_last_step():
    shown = previews(num_frames=50, total_steps=22, seconds_per_step=0.125)

    assert [step for step, picture in enumerate(shown) if picture] == [*range(0, 22, 2), 21]


@pytest.fixture
def sent_progress():
    """What ComfyUI would send to the browser: (value, total, preview)."""
    import comfy.utils

    sent, before = [], comfy.utils.PROGRESS_BAR_HOOK
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, preview, node_id=None: sent.append((value, total, preview))
    )
    yield sent
    comfy.utils.set_progress_bar_global_hook(before)


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("method", ["Latent2RGB", "NoPreviews"])
def test_progress_and_previews_reach_the_browser(sent_progress, preview, method, monkeypatch):
    import comfy.cli_args

    methods = comfy.cli_args.LatentPreviewMethod
    monkeypatch.setattr(comfy.cli_args.args, "preview_method", methods[method])

    sample(preview=preview)

    assert [(value, total) for value, total, _ in sent_progress][-1] == (2, 2)
    pictures = [picture for _, _, picture in sent_progress if picture]
    assert [(kind, image.size) for kind, image, _ in pictures] == ([("JPEG", (4, 4))] * len(pictures))
    assert bool(pictures) == preview


def test_ids_are_fixed_and_everything_has_a_tooltip():
    from dreamoving.nodes.sampling import NODES

    schemas = [node.GET_SCHEMA() for node in NODES]

    assert [schema.node_id for schema in schemas] == ["DreaMovingContextWindows", "DreaMovingSampler"]
    for schema in schemas:
        assert schema.category.startswith("DreaMoving/")
        assert all(slot.tooltip for slot in [*schema.inputs, *schema.outputs])
