"""Motion survives what people put beside it: one test for each line of the survive list in docs/architecture.md.

Most compare with a U-Net that owns the blocks for good. Every test shares one base model, and after each of them that
base has its weights, names and latents of before.
"""

import gc

import comfy.memory_management
import comfy.model_management
import comfy.ops
import comfy.sd
import comfy.utils
import pytest
import torch
from comfy.patcher_extension import PatcherInjection
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras import nodes_context_windows, nodes_easycache, nodes_freelunch, nodes_pag, nodes_tomesd
from comfy_extras.nodes_model_merging import save_checkpoint
from comfy_extras.nodes_torch_compile import skip_torch_compile_dict
from dreamoving.dreamoving_core.bridge.content_guider import (
    apply_content_guider,
    load_content_guider,
    numbered_widths,
)
from dreamoving.dreamoving_core.bridge.insertion import fitting_config
from dreamoving.dreamoving_core.bridge.motion import apply_motion, load_motion
from dreamoving.dreamoving_core.bridge.tiny import build_model
from dreamoving.dreamoving_core.bridge.windows import WindowSettings, with_windows
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.models.content_guider import (
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
    ImageTokens,
    metadata_from_config,
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from small_control import apply as apply_control
from small_control import pictures, video_control
from small_host import conditioning, sample_latents, small_config, small_model, unet_state_dict
from small_motion import Calls, built_in_model, motion_weights, same_weights, small_motion, weights_of

FRAMES, SIZE = 6, 4


def sample(model, *prompts, frames=FRAMES, **settings):
    return sample_latents(model, *prompts, frames=frames, size=SIZE, **settings)


@pytest.fixture(scope="module")
def shared():
    model = small_model()
    return model, weights_of(model), sample(model)


@pytest.fixture(autouse=True)
def base(shared):
    """The base model that all tests share; clean after each, whatever happened to it."""
    model, weights, latents = shared
    yield model
    gc.collect()
    assert torch.equal(sample(model), latents)
    assert same_weights(
        model, weights
    )  # after loading: core leaves the last branch's LoRA in place until then


@pytest.fixture(scope="module")
def motion(shared):
    return small_motion(shared[0])


@pytest.fixture(scope="module")
def built_in(motion):
    return built_in_model(motion)


@pytest.fixture
def moving(base, motion):
    """The base with motion and its own betas, so that `built_in` is its equal."""
    return apply_motion(base, motion, beta_schedule="keep")


def windows(model, *, anchor=False, length=4):
    return nodes_context_windows.ContextWindowsManualNode.execute(
        model, length, 1, "standard_static", 1, False, "pyramid", 0, False, causal_window_fix=anchor
    )[0]


def relative(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


# ---- LoRA


def lora_for_every_layer(model, *, seed=5):
    """Rank-2 weights for each matrix and convolution of the U-Net, and the U-Net's weights with them added."""
    generator = torch.Generator().manual_seed(seed)
    lora, merged = {}, {}
    for key, weight in model.model.diffusion_model.state_dict().items():
        merged[key] = weight.clone()
        if weight.ndim < 2:
            continue
        down = torch.randn(2, *weight.shape[1:], generator=generator) * 0.02
        up = torch.randn(weight.shape[0], 2, *[1] * (weight.ndim - 2), generator=generator)
        name = "diffusion_model." + key.removesuffix(".weight")
        lora |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        merged[key] += (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    return lora, merged


def with_lora(model, lora):
    patched, _ = comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)
    assert len(patched.patches) == len(lora) // 2
    return patched


@pytest.mark.parametrize("windowed", [False, True])
def test_lora_on_every_layer_before_or_after_motion(base, motion, moving, windowed):
    lora, merged = lora_for_every_layer(base)
    wrap = windows if windowed else (lambda model: model)

    after = sample(wrap(with_lora(moving, lora)))
    before = sample(wrap(apply_motion(with_lora(base, lora), motion, beta_schedule="keep")))

    assert torch.equal(after, before)
    expected = sample(wrap(built_in_model(motion, state_dict=merged)))
    assert relative(after, expected) <= 1e-4
    assert relative(sample(wrap(moving)), expected) > 1e-2


# ---- graphs


def test_two_branches_of_one_base_in_one_graph(base, motion, moving):
    other = small_motion(base, seed=9)
    lora, _ = lora_for_every_layer(base)
    second = apply_motion(with_lora(base, lora), other)
    alone = [sample(model) for model in (moving, second, base)]

    mixed = [sample(model) for model in (second, base, moving, moving, base, second)]

    for found, expected in zip(mixed, [alone[i] for i in (1, 2, 0, 0, 2, 1)], strict=True):
        assert torch.equal(found, expected)


def test_three_clones_and_a_later_lora_loader(base, motion, built_in):
    strength = [0.2, 0.4, 0.6, 0.8, 1.0, 0.5]
    lora, _ = lora_for_every_layer(base)
    expected = sample(apply_motion(with_lora(base, lora), motion, strength=strength))

    clone = apply_motion(base, motion, strength=strength)
    for _ in range(3):
        clone = clone.clone()
        gc.collect()
    latents = sample(with_lora(clone, lora))

    assert torch.equal(latents, expected)
    assert not torch.equal(sample(clone), expected)


def test_checkpoint_save_of_the_patched_model_writes_the_stock_checkpoint(base, moving, tmp_path):
    sample(moving)  # loaded, patched, used

    for name, model in {"stock": base, "moving": moving}.items():
        save_checkpoint(model, filename_prefix=name, output_dir=str(tmp_path))

    stock, saved = (
        comfy.utils.load_torch_file(str(next(tmp_path.glob(f"{n}*")))) for n in ("stock", "moving")
    )
    assert saved.keys() == stock.keys()
    assert len([key for key in saved if key.startswith("model.diffusion_model.")]) == 686
    assert all(torch.equal(saved[key], stock[key]) for key in stock)


@pytest.mark.parametrize("error", [ValueError, comfy.model_management.InterruptProcessingException])
def test_an_exception_or_a_cancel_in_the_middle(moving, built_in, error):
    def fail(hidden, skip, options):
        if options["block"] == ("output", 5):
            raise error("in the middle")
        return hidden, skip

    failing = moving.clone()
    failing.set_model_output_block_patch(fail)

    with pytest.raises(error, match="in the middle"):
        sample(failing)

    assert torch.equal(sample(moving), sample(built_in))


# ---- batches


def test_cond_and_uncond_split_by_memory(base, motion, moving, monkeypatch):
    together = sample(moving)
    calls = Calls(motion)
    monkeypatch.setattr(base.model, "memory_required", lambda *args, **kwargs: 1e30)

    apart = sample(moving)

    assert [(c["batch"], c["num_frames"]) for c in calls] == [(FRAMES, FRAMES)] * 4
    assert relative(apart, together) <= 1e-5


@pytest.mark.parametrize("extra", [1, 2])
def test_more_than_two_conds(motion, moving, built_in, extra):
    positive = [cond for i in range(1 + extra) for cond in conditioning(seed=1 + i)]
    calls = Calls(motion)

    latents = sample(moving, positive, conditioning(seed=9))

    assert {(c["batch"], c["num_frames"]) for c in calls} == {((2 + extra) * FRAMES, FRAMES)}
    assert torch.equal(latents, sample(built_in, positive, conditioning(seed=9)))


def test_cfg_one_runs_a_single_cond(motion, moving, built_in):
    calls = Calls(motion)

    latents = sample(moving, cfg=1.0)

    assert {(c["batch"], c["num_frames"]) for c in calls} == {(FRAMES, FRAMES)}
    assert torch.equal(latents, sample(built_in, cfg=1.0))


# ---- windows


@pytest.mark.parametrize("anchor", [False, True])
def test_context_windows_with_and_without_the_anchor_frame(motion, moving, built_in, anchor):
    calls = Calls(motion)

    latents = sample(windows(moving, anchor=anchor), frames=9, steps=1)

    assert [c["num_frames"] for c in calls] == ([4, 5, 5] if anchor else [4, 4, 4])
    assert torch.equal(latents, sample(windows(built_in, anchor=anchor), frames=9, steps=1))
    assert relative(latents, sample(moving, frames=9, steps=1)) > 1e-3


# ---- other patches


def free_u(model):
    return nodes_freelunch.FreeU.execute(model, 1.3, 1.4, 0.9, 0.2)[0]


def pag(model):
    return nodes_pag.PerturbedAttentionGuidance.execute(model, 3.0)[0]


def tome(model):
    return nodes_tomesd.TomePatchModel.execute(model, 0.5)[0]


def lazy_cache(model):
    return nodes_easycache.LazyCacheNode.execute(model, 3.0, 0.0, 1.0, False)[0]


def easy_cache(model):
    return nodes_easycache.EasyCacheNode.execute(model, 3.0, 0.0, 1.0, False)[0]


@pytest.mark.parametrize("patch", [free_u, pag, tome, lazy_cache, easy_cache])
def test_patches_of_core_before_or_after_motion(base, motion, moving, built_in, patch):
    def run(model):
        torch.manual_seed(0)  # ToMe draws from the global generator
        return sample_latents(
            model, frames=3, size=16, steps=4
        )  # PAG needs more than one position in the middle

    after = run(patch(moving))

    assert torch.equal(after, run(patch(built_in)))
    assert torch.equal(after, run(apply_motion(patch(base), motion, beta_schedule="keep")))
    assert relative(after, run(moving)) > 1e-4


def test_lazy_cache_with_windows(moving, built_in):
    latents = sample(windows(lazy_cache(moving)), steps=4)

    assert torch.equal(latents, sample(windows(lazy_cache(built_in)), steps=4))


def test_easy_cache_with_windows_is_refused_in_words(moving):
    with pytest.raises(InputError, match="EasyCache cannot work with context windows"):
        sample(with_windows(easy_cache(moving), WindowSettings(context_length=4, context_overlap=1)))


# ---- another pack in the same graph


class Louder(torch.nn.Module):
    def forward(self, hidden):
        return 1.1 * hidden


def with_injection(model):
    """AnimateDiff-Evolved's way: modules that stay in the U-Net as long as the model is loaded."""

    def inject(patcher):
        for container in patcher.model.diffusion_model.input_blocks[1:3]:
            container.append(Louder())

    def eject(patcher):
        for container in patcher.model.diffusion_model.input_blocks[1:3]:
            for i in [i for i, child in enumerate(container) if isinstance(child, Louder)]:
                del container[i]

    model = model.clone()
    model.set_injections("another pack", [PatcherInjection(inject=inject, eject=eject)])
    return model


def test_another_packs_injection_in_the_same_graph(base, motion, moving, built_in):
    expected = sample(with_injection(built_in))

    after = with_injection(moving)
    before = apply_motion(with_injection(base), motion, beta_schedule="keep")

    assert torch.equal(sample(after), expected)
    assert torch.equal(sample(moving), sample(built_in))
    assert torch.equal(sample(before), expected)
    assert relative(expected, sample(moving)) > 1e-3


# ---- devices, dtypes, loading


def test_deepclone_multigpu_gives_the_other_device_its_own_blocks():
    model = small_model(v_prediction=True)
    moving = apply_motion(model, small_motion(model))

    other = moving.deepclone_multigpu(new_load_device=torch.device("cpu"))

    first, second = (m.get_additional_models_with_key("dreamoving_motion")[0].model for m in (moving, other))
    assert first is not second
    assert not {p.data_ptr() for p in first.parameters()} & {p.data_ptr() for p in second.parameters()}
    assert torch.equal(sample(other), sample(moving))


def rounded(state_dict, dtype):
    return {key: value.to(dtype).float() for key, value in state_dict.items()}


@pytest.mark.parametrize(
    ("base_dtype", "motion_dtype"),
    [
        (torch.float16, torch.float16),
        (torch.bfloat16, torch.bfloat16),
        (torch.float8_e4m3fn, torch.float8_e4m3fn),
        (torch.float32, torch.float16),
        (torch.float16, torch.float32),
    ],
)
def test_half_and_eighth_weights_are_cast_at_use(base_dtype, motion_dtype):
    model = small_model(dtype=base_dtype)
    moving = apply_motion(model, small_motion(model, dtype=motion_dtype), beta_schedule="keep")
    motion = moving.get_additional_models_with_key("dreamoving_motion")[0].model
    assert {p.dtype for p in motion.parameters()} == {motion_dtype}
    assert {p.dtype for p in model.model.diffusion_model.parameters()} == {base_dtype}

    latents = sample(moving, steps=1)

    config = small_config()
    exact = build_model(config, rounded(unet_state_dict(config), base_dtype), v_prediction=False)
    weights = rounded(motion_weights(fitting_config(exact)), motion_dtype)
    expected = apply_motion(exact, load_motion(weights, fitting_config(exact)), beta_schedule="keep")
    assert relative(latents, sample(expected, steps=1)) <= 1e-5


def test_loading_with_dynamic_vram_simulated_gives_the_same_weights(base, motion, moving, monkeypatch):
    """Layers then have no weights until a file is loaded, and keep the tensors of the file."""
    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True)
    assert comfy.ops.manual_cast.Linear(2, 2).weight is None
    lazy = small_motion(base)
    again = lazy.patcher.cached_patcher_init
    rebuilt = again[0](*again[1], disable_dynamic=True)
    monkeypatch.undo()

    expected = motion.patcher.model.state_dict()
    for patcher in (lazy.patcher, rebuilt):
        found = patcher.model.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert torch.equal(sample(apply_motion(base, lazy, beta_schedule="keep")), sample(moving))


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_torch_compile_with_the_guard_filter_of_cores_node(backend):
    """That filter drops guards on transformer_options; a frame count read from there would stay that of the first call."""
    config = TinyConfig(model_channels=32, channel_mult=(1,), attention_levels=(True,))  # compiles in seconds
    model = build_model(config, unet_state_dict(config), v_prediction=False)
    moving = apply_motion(model, small_motion(model))
    compiled = moving.clone(disable_dynamic=True)
    set_torch_compile_wrapper(
        model=compiled, backend=backend, options={"guard_filter_fn": skip_torch_compile_dict}
    )
    # the same shapes, once two videos of three frames and once one of six
    settings = [{"steps": 1, "frames": 3, "cfg": 2.0}, {"steps": 1, "frames": 6, "cfg": 1.0}]

    torch._dynamo.reset()
    found = [sample(compiled, **each) for each in settings]
    torch._dynamo.reset()

    for latents, each in zip(found, settings, strict=True):
        assert relative(latents, sample(moving, **each)) <= (0 if backend == "eager" else 1e-4)


# ---- beside our own ControlNets and Content Guider


def pose_and_depth(frames):
    prompts = apply_control(video_control(), pictures(frames, seed=1))
    return apply_control(video_control(), pictures(frames, seed=2), strength=0.7, conds=prompts)


@pytest.mark.parametrize("anchor", [False, True])
def test_windows_with_pose_and_depth_together(moving, built_in, anchor):
    prompts = pose_and_depth(frames=9)

    latents = sample(windows(moving, anchor=anchor), *prompts, frames=9, steps=1)

    expected = sample(windows(built_in, anchor=anchor), *prompts, frames=9, steps=1)
    assert torch.equal(latents, expected)
    assert relative(latents, sample(windows(moving, anchor=anchor), frames=9, steps=1)) > 1e-3


def small_guider(model):
    encoder = EncoderConfig(feature_width=80, context_dim=64, tokens=5, dim=64, depth=1, heads=1, dim_head=64)
    torch.manual_seed(0)
    sites = numbered_widths(model.model.diffusion_model)
    guider = ContentGuider(ContentGuiderConfig(sites=sites, face=BranchConfig(encoder=encoder)))
    return load_content_guider(guider.state_dict(), metadata_from_config(guider.config))


@pytest.mark.parametrize("anchor", [False, True])
def test_windows_with_content_guider_masks(base, motion, moving, built_in, anchor):
    guider = small_guider(base)
    tokens = ImageTokens(branch="face", positive=3 * torch.randn(1, 5, 64), negative=torch.randn(1, 5, 64))
    mask = torch.rand(9, 8 * SIZE, 8 * SIZE, generator=torch.Generator().manual_seed(1))

    def guided(model):
        return apply_content_guider(model, guider, face=tokens, face_mask=mask, alpha_f=1.5)

    latents = sample(windows(guided(moving), anchor=anchor), frames=9, steps=1)

    assert torch.equal(latents, sample(windows(guided(built_in), anchor=anchor), frames=9, steps=1))
    turned = apply_motion(guided(base), motion, beta_schedule="keep")
    assert torch.equal(latents, sample(windows(turned, anchor=anchor), frames=9, steps=1))
    assert relative(latents, sample(windows(moving, anchor=anchor), frames=9, steps=1)) > 1e-3
