"""AnimateDiff v1's norms: the U-Net's own GroupNorms over all frames of each clip, for the time of a call."""

import copy

import comfy.context_windows
import comfy.model_management
import pytest
import torch
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras import nodes_context_windows
from comfy_extras.nodes_torch_compile import skip_torch_compile_dict
from dreamoving.dreamoving_core.bridge.insertion import open_insertion, unet_of
from dreamoving.dreamoving_core.bridge.motion import apply_motion
from dreamoving.dreamoving_core.bridge.tiny import build_model
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from small_host import conditioning, sample_latents, small_model, unet_state_dict
from small_motion import built_in_model, same_weights, small_motion, weights_of

FRAMES, SIZE = 6, 4


def sample(model, *prompts, frames=FRAMES, **settings):
    return sample_latents(model, *prompts, frames=frames, size=SIZE, **settings)


def relative(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


class AcrossFrames(torch.nn.Module):
    """A group norm over the frames of each chunk, written out: mean and variance chunk by chunk, group by group."""

    def __init__(self, norm, count):
        super().__init__()
        self.norm = norm
        self.count = count  # a list, so that one function sets it for all

    def forward(self, hidden):
        chunks = []
        for clip in hidden.chunk(self.count[0]):
            groups = []
            for part in clip.chunk(self.norm.num_groups, dim=1):
                variance, mean = torch.var_mean(part, correction=0)
                groups.append((part - mean) / (variance + self.norm.eps).sqrt())
            weight, bias = self.norm.weight[:, None, None], self.norm.bias[:, None, None]
            chunks.append(torch.cat(groups, dim=1) * weight + bias)
        return torch.cat(chunks)


def v1_model(motion):
    """A MODEL whose U-Net owns the blocks and has such norms for good, at the places where guoyww's config puts them."""
    model = built_in_model(motion)
    unet, count = model.model.diffusion_model, [1]
    places = [(unet.out, 0)]
    for module in unet.modules():
        if type(module).__name__ == "ResBlock":
            places += [(module.in_layers, 0), (module.out_layers, 0)]
    assert len(places) == 2 * 22 + 1
    for sequence, index in places:
        sequence[index] = AcrossFrames(sequence[index], count)

    def chunks(executor, x, timesteps, context, y, control, options, **kwargs):
        count[0] = len(options["cond_or_uncond"])
        return executor(x, timesteps, context, y, control, options, **kwargs)

    model.add_wrapper_with_key("diffusion_model", "chunks", chunks)
    return model


@pytest.fixture(scope="module")
def shared():
    model = small_model()
    motion = small_motion(model, mid=False)
    return model, motion, v1_model(motion), weights_of(model)


@pytest.fixture
def base(shared):
    model, _, _, weights = shared
    before = sample(model, steps=1)
    yield model
    assert torch.equal(sample(model, steps=1), before)
    assert same_weights(model, weights)


@pytest.fixture
def motion(shared):
    return shared[1]


@pytest.fixture
def v1(shared):
    return shared[2]


def moving(base, motion, norms="on"):
    return apply_motion(base, motion, beta_schedule="keep", norms_across_frames=norms)


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_every_clip_of_a_batch_is_normed_by_itself_as_in_a_unet_built_so(base, motion, v1, chunks):
    positive = [cond for i in range(max(chunks - 1, 1)) for cond in conditioning(seed=1 + i)]
    prompts = (positive, conditioning(seed=9))
    cfg = 1.0 if chunks == 1 else 2.0

    found = sample(moving(base, motion), *prompts, cfg=cfg)

    assert relative(found, sample(v1, *prompts, cfg=cfg)) <= 2e-5
    assert relative(found, sample(moving(base, motion, "off"), *prompts, cfg=cfg)) > 1e-3


def test_conditionings_split_by_memory_give_the_same(base, motion, monkeypatch):
    together = sample(moving(base, motion))
    monkeypatch.setattr(base.model, "memory_required", lambda *args, **kwargs: 1e30)

    assert relative(sample(moving(base, motion)), together) <= 1e-5


def test_norms_span_the_context_window(base, motion, v1):
    def windows(model):
        return nodes_context_windows.ContextWindowsManualNode.execute(
            model, 4, 1, "standard_static", 1, False, "pyramid", 0, False, causal_window_fix=True
        )[0]

    found = sample(windows(moving(base, motion)), frames=9, steps=1)

    assert relative(found, sample(windows(v1), frames=9, steps=1)) <= 2e-5


def test_a_single_frame_knows_no_difference(base, motion):
    on, off = (sample(moving(base, motion, norms), frames=1) for norms in ("on", "off"))

    assert relative(on, off) <= 1e-5


@pytest.mark.parametrize(("info", "expected"), [({"norms_across_frames": "on"}, "on"), ({}, "off")])
def test_auto_is_what_the_file_was_trained_with(base, motion, info, expected):
    loaded = copy.copy(motion)
    object.__setattr__(loaded, "info", info)

    auto = sample(moving(base, loaded, "auto"), steps=1)

    assert torch.equal(auto, sample(moving(base, motion, expected), steps=1))


def test_clones_and_other_branches_keep_their_own_norms(base, motion):
    on, off = moving(base, motion), moving(base, motion, "off")
    alone = [sample(model, steps=1) for model in (on, off, base)]

    mixed = [sample(model, steps=1) for model in (off, base, on.clone().clone(), base, off)]

    for found, index in zip(mixed, [1, 2, 0, 2, 1], strict=True):
        assert torch.equal(found, alone[index])


@pytest.mark.parametrize("error", [ValueError, comfy.model_management.InterruptProcessingException])
def test_an_exception_in_the_middle_leaves_the_stock_norms(base, motion, error):
    def fail(hidden, skip, options):
        raise error("in the middle")

    failing = moving(base, motion)
    failing.set_model_output_block_patch(fail)
    unet = unet_of(base)
    before = [(m, m._modules) for m in unet.modules()]

    with pytest.raises(error, match="in the middle"):
        sample(failing, steps=1)

    assert all(module._modules is children for module, children in before)
    assert not any(wrapper.norm for wrapper in motion.patcher.model.clip_norms)


def test_the_steps_outside_the_range_have_stock_norms(base, motion):
    late = apply_motion(
        base, motion, beta_schedule="keep", norms_across_frames="on", start_percent=1.0, end_percent=1.0
    )

    assert torch.equal(sample(late, steps=1), sample(base, steps=1))


def test_gradients_go_through_the_norms(base, motion, v1):
    """Against the network with such norms built in."""
    x = torch.randn(4, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    steps, context = torch.full((4,), 500.0), torch.zeros(4, 7, 64)
    options = {"cond_or_uncond": [1, 0]}
    own, reference = unet_of(base), unet_of(v1)
    for module in v1.model.diffusion_model.modules():
        if hasattr(module, "num_frames"):
            module.num_frames = 2
        if isinstance(module, AcrossFrames):
            module.count[0] = 2
    wanted = x.clone().requires_grad_()
    reference(wanted, steps, context, transformer_options=options).square().sum().backward()
    given = x.clone().requires_grad_()

    with open_insertion(base, motion.patcher.model, num_frames=2, norms_across_frames=True):
        own(given, steps, context, transformer_options=options).square().sum().backward()

    assert relative(given.grad, wanted.grad) <= 1e-4
    own.zero_grad()
    reference.zero_grad()


@pytest.mark.slow
def test_torch_compile_sees_another_number_of_frames():
    config = TinyConfig(model_channels=32, channel_mult=(1,), attention_levels=(True,))  # compiles in seconds
    model = build_model(config, unet_state_dict(config), v_prediction=False)
    eager = apply_motion(model, small_motion(model), norms_across_frames="on")
    compiled = eager.clone(disable_dynamic=True)
    set_torch_compile_wrapper(
        model=compiled, backend="eager", options={"guard_filter_fn": skip_torch_compile_dict}
    )

    for frames, cfg in ((3, 2.0), (6, 1.0), (3, 2.0)):
        found = sample(compiled, frames=frames, cfg=cfg, steps=1)

        assert relative(found, sample(eager, frames=frames, cfg=cfg, steps=1)) <= 1e-5
