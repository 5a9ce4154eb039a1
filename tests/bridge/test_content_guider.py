"""The Content Guider on a real ComfyUI model, against Eq. 1 as slow loops, diffusers, and blocks built in."""

import copy
import math

import comfy.context_windows
import comfy.samplers
import pytest
import torch
from content_reference import SlowEq1, with_slow_patches
from dreamoving.dreamoving_core.bridge import content_attention
from dreamoving.dreamoving_core.bridge.content_attention import ImageTerm
from dreamoving.dreamoving_core.bridge.content_call import RunCache
from dreamoving.dreamoving_core.bridge.content_guider import (
    apply_content_guider,
    attention_sites,
    content_attention_patches,
    copy_text_keys_and_values,
    load_content_guider,
    numbered_widths,
)
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.models.backend import scaled_dot_product_attention
from dreamoving.dreamoving_core.models.content_guider import (
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
    ImageTokens,
    metadata_from_config,
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from small_host import conditioning, sample_latents, small_model, unet_state_dict
from torch.utils.checkpoint import checkpoint

FRAMES = 4


@pytest.fixture(scope="module")
def base():
    return small_model()


@pytest.fixture(scope="module")
def loaded(base):
    return load(make_guider(base.model.diffusion_model))


def make_guider(unet, *, seed=0, depth=1):
    encoder = EncoderConfig(
        feature_width=80, context_dim=64, tokens=5, dim=64, depth=depth, heads=1, dim_head=64
    )
    branches = dict.fromkeys(("face", "cloth"), BranchConfig(encoder=encoder))
    torch.manual_seed(seed)
    return ContentGuider(ContentGuiderConfig(sites=numbered_widths(unet), **branches))


def load(guider):
    return load_content_guider(guider.state_dict(), metadata_from_config(guider.config))


def tokens(branch, *, rows=1, seed=0, negative=True, count=5):
    generator = torch.Generator().manual_seed(seed + len(branch))
    positive = 2 * torch.randn(rows, count, 64, generator=generator)
    blank = 2 * torch.randn(1, count, 64, generator=generator)
    return ImageTokens(branch=branch, positive=positive, negative=blank if negative else None)


def slow(base, loaded, image_tokens, **settings):
    sites = attention_sites(base.model.diffusion_model)
    settings = {"alpha": [1.0] * 64, **settings}
    pair = (image_tokens.positive, image_tokens.negative)
    return with_slow_patches(base, loaded.guider, sites, image_tokens.branch, pair, **settings)


def sample(model, **settings):
    return sample_latents(model, **{"frames": FRAMES, **settings})


def relative(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


def slots(model):
    return model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})


# --- Eq. 1 ---


def test_every_cross_attention_has_ip_adapters_number(base):
    keys = {n: site.key for n, site in attention_sites(base.model.diffusion_model).items()}

    places = (
        [("input", i) for i in (1, 2, 4, 5, 7, 8)] + [("output", i) for i in range(3, 12)] + [("middle", 0)]
    )
    assert keys == {2 * i + 1: (*place, 0) for i, place in enumerate(places)}


def test_sampling_equals_eq_1_in_slow_loops(base, loaded):
    face = tokens("face")

    found = sample(apply_content_guider(base, loaded, face=face, alpha_f=0.7))
    expected = sample(slow(base, loaded, face, alpha=[0.7] * FRAMES))

    assert relative(found, expected) < 1e-5
    assert relative(found, sample(base)) > 1e-2


def test_two_branches_add_up(base, loaded):
    face, cloth = tokens("face"), tokens("cloth", count=9)
    sites = attention_sites(base.model.diffusion_model)
    reference = base.clone()
    for n, site in sites.items():
        first, second = (
            SlowEq1(loaded.guider.branch(x.branch), n, (x.positive, x.negative), alpha=[a] * FRAMES)
            for x, a in ((face, 0.8), (cloth, 0.3))
        )
        nothing = SlowEq1(loaded.guider.branch("face"), n, (None, None), alpha=[])

        def both(q, k, v, eo, first=first, second=second, nothing=nothing):
            return first(q, k, v, eo) + second(q, k, v, eo) - nothing(q, k, v, eo)

        reference.set_model_attn2_replace(both, *site.key)

    found = sample(apply_content_guider(base, loaded, face=face, cloth=cloth, alpha_f=0.8, alpha_c=0.3))

    assert relative(found, sample(reference)) < 1e-5


def test_alphas_of_zero_are_bit_identical_to_text_only_and_add_no_patch(base, loaded):
    model = apply_content_guider(
        base, loaded, face=tokens("face"), cloth=tokens("cloth"), alpha_f=0.0, alpha_c=[0.0, 0.0]
    )

    assert torch.equal(sample(model), sample(base))
    assert slots(model) == {}
    assert model.wrappers == base.wrappers


def test_a_branch_with_alpha_zero_adds_no_term(base, loaded):
    model = apply_content_guider(base, loaded, face=tokens("face"), cloth=tokens("cloth"), alpha_c=0)

    assert {len(patch.terms) for patch in slots(model).values()} == {1}


def test_a_negative_without_tokens_is_left_to_the_text(base, loaded):
    face = tokens("face", negative=False)

    found = sample(apply_content_guider(base, loaded, face=face))

    assert relative(found, sample(slow(base, loaded, face))) < 1e-5


# --- chunks and roles ---


def test_conditionings_computed_one_by_one_give_the_same_latents(base, loaded, monkeypatch):
    model = apply_content_guider(base, loaded, face=tokens("face"))
    together = sample(model)
    chunks = []

    def note(options):
        chunks.append(options["cond_or_uncond"])
        return 1e30

    monkeypatch.setattr(type(base.model), "memory_required", lambda *_args, **_options: 1e30)
    model.set_model_input_block_patch(lambda h, options: (chunks.append(options["cond_or_uncond"]), h)[1])
    apart = sample(model)

    assert {tuple(x) for x in chunks} == {(0,), (1,)}
    assert relative(apart, together) < 1e-5


def test_without_guidance_the_negative_tokens_are_never_used(base, loaded):
    face = tokens("face")
    other = ImageTokens(branch="face", positive=face.positive, negative=face.negative + 1)

    found = [sample(apply_content_guider(base, loaded, face=x), cfg=1.0) for x in (face, other)]

    assert torch.equal(*found)


def test_three_conditionings_each_get_the_tokens_of_their_role(base, loaded):
    face = tokens("face")
    positive = conditioning(seed=1) + conditioning(seed=5)

    found = sample(apply_content_guider(base, loaded, face=face), positive=positive)

    assert relative(found, sample(slow(base, loaded, face), positive=positive)) < 1e-5


def test_a_guider_that_numbers_its_conditionings_otherwise_still_gets_the_right_roles(base, loaded):
    """DualCFG calls negative 0, the second prompt 1 and the positive 2."""
    from comfy_extras.nodes_custom_sampler import Guider_DualCFG

    def denoise(model):
        guider = Guider_DualCFG(model)
        guider.set_conds(conditioning(seed=1), conditioning(seed=5), conditioning(seed=2))
        guider.set_cfg(3.0, 2.0)
        sampler = comfy.samplers.sampler_object("euler")
        noise = torch.randn(FRAMES, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            return guider.sample(
                noise, torch.zeros_like(noise), sampler, torch.tensor([9.0, 4.0, 0.0]), disable_pbar=True
            )

    face = tokens("face")

    found = denoise(apply_content_guider(base, loaded, face=face))

    assert relative(found, denoise(slow(base, loaded, face, positive=(1, 2)))) < 1e-5
    assert relative(found, denoise(slow(base, loaded, face, positive=(0,)))) > 1e-3


# --- over time ---


def test_the_guidance_begins_and_ends_at_its_percents(base, loaded):
    face = tokens("face")
    sampling = base.get_model_object("model_sampling")
    sigmas = tuple(sampling.percent_to_sigma(x) for x in (0.3, 0.7))

    found = sample(apply_content_guider(base, loaded, face=face, start_percent=0.3, end_percent=0.7), steps=5)

    assert relative(found, sample(slow(base, loaded, face, sigmas=sigmas), steps=5)) < 1e-5
    assert relative(found, sample(slow(base, loaded, face), steps=5)) > 1e-3


def test_each_frame_has_its_own_alpha(base, loaded):
    face, alpha = tokens("face"), [0.0, 0.5, 1.0, 0.2]

    found = sample(apply_content_guider(base, loaded, face=face, alpha_f=alpha))

    assert relative(found, sample(slow(base, loaded, face, alpha=alpha))) < 1e-5
    assert relative(found[:1], sample(base)[:1]) < 1e-5  # no motion blocks here: a frame is on its own


def test_each_frame_can_have_its_own_tokens(base, loaded):
    face = tokens("face", rows=FRAMES)

    found = sample(apply_content_guider(base, loaded, face=face))

    assert relative(found, sample(slow(base, loaded, face))) < 1e-5


def windowed(model, *, anchor):
    handler = comfy.context_windows.IndexListContextHandler(
        context_schedule=comfy.context_windows.get_matching_context_schedule("standard_static"),
        fuse_method=comfy.context_windows.get_matching_fuse_method("pyramid"),
        context_length=4,
        context_overlap=1,
        context_stride=1,
        closed_loop=False,
        dim=0,
        freenoise=False,
        causal_window_fix=anchor,
    )
    model = model.clone()
    model.model_options["context_handler"] = handler
    return model


@pytest.mark.parametrize("anchor", [False, True], ids=["no anchor", "anchor"])
def test_under_context_windows_each_frame_keeps_its_alpha_mask_and_tokens(base, loaded, anchor):
    face = tokens("face", rows=10)
    generator = torch.Generator().manual_seed(3)
    alpha = torch.rand(10, generator=generator).tolist()
    mask = torch.rand(10, 16, 16, generator=generator)
    guided = apply_content_guider(base, loaded, face=face, alpha_f=alpha, face_mask=mask)

    found = sample(windowed(guided, anchor=anchor), frames=10, steps=1)
    expected = sample(
        windowed(slow(base, loaded, face, alpha=alpha, mask=mask), anchor=anchor), frames=10, steps=1
    )

    assert relative(found, expected) < 1e-5
    whole = sample(guided, frames=10, steps=1)
    if not anchor:
        assert relative(found, whole) < 1e-5  # frames are on their own, so windows change nothing


def test_animatediff_evolveds_windows_are_followed_too():
    from dreamoving.dreamoving_core.bridge.content_call import model_call

    options = {"cond_or_uncond": [1, 0], "ad_params": {"sub_idxs": [7, 2, 5], "full_length": 9}}

    call = model_call(6, torch.device("cpu"), options)

    assert call.take(torch.arange(9)).tolist() == [7, 2, 5]
    assert call.total_frames == 9
    assert call.roles == ("negative", "positive")


# --- masks ---


@pytest.mark.parametrize("rows", [1, FRAMES])
def test_a_soft_mask_acts_where_it_is_bright_at_every_level(base, loaded, rows):
    face = tokens("face")
    mask = torch.rand(rows, 40, 24, generator=torch.Generator().manual_seed(4))

    found = sample(apply_content_guider(base, loaded, face=face, face_mask=mask))

    assert relative(found, sample(slow(base, loaded, face, mask=mask))) < 1e-5


def test_a_black_mask_leaves_the_text_alone(base, loaded):
    found = sample(apply_content_guider(base, loaded, face=tokens("face"), face_mask=torch.zeros(1, 8, 8)))

    assert relative(found, sample(base)) < 1e-5


# --- other packs, clones ---


class Foreign:
    """Another pack's patch, which keeps what stood in the slot."""

    def __init__(self, previous=None):
        self.previous, self.moved, self.cleaned = previous, [], 0

    def __call__(self, q, k, v, options):
        from comfy.ldm.modules.attention import optimized_attention

        out = (
            self.previous(q, k, v, options)
            if self.previous
            else optimized_attention(q, k, v, options["n_heads"])
        )
        return out + 0.1 * q

    def to(self, target):
        self.moved.append(target)
        return self

    def cleanup(self):
        self.cleaned += 1


def with_foreign(model):
    model = model.clone()
    for site in attention_sites(model.model.diffusion_model).values():
        model.set_model_attn2_replace(Foreign(slots(model).get(site.key)), *site.key)
    return model


def test_another_packs_patch_adds_up_in_either_order(base, loaded):
    face = tokens("face")
    reference = slow(base, loaded, face)
    for key, patch in list(slots(reference).items()):
        reference.set_model_attn2_replace(Foreign(patch), *key)
    expected = sample(reference)

    ours_last = apply_content_guider(with_foreign(base), loaded, face=face)
    ours_first = with_foreign(apply_content_guider(base, loaded, face=face))

    assert relative(sample(ours_last), expected) < 1e-5
    assert relative(sample(ours_first), expected) < 1e-5


def test_a_patch_that_names_no_block_inside_the_transformer_is_kept(base, loaded):
    other = base.clone()
    other.set_model_attn2_replace(Foreign(), "middle", 0)
    other.set_model_attn2_replace(Foreign(), "input", 1)

    model = apply_content_guider(other, loaded, face=tokens("face"))

    assert slots(model)["middle", 0, 0].previous is slots(other)["middle", 0]
    assert slots(model)["input", 1, 0].previous is slots(other)["input", 1]


def test_what_stands_below_our_patch_is_still_moved_and_cleaned(base, loaded):
    foreign = with_foreign(base)
    model = apply_content_guider(foreign, loaded, face=tokens("face"))

    sample(model, steps=1)

    for patch in slots(foreign).values():
        assert patch.moved
        assert patch.cleaned


def test_what_ipadapter_plus_adds_to_our_patch_stays_in_its_clone(base, loaded):
    face = tokens("face")
    ours = apply_content_guider(base, loaded, face=face)
    before = sample(ours)
    theirs = ours.clone()
    for patch in slots(theirs).values():
        patch.add(
            lambda out, q, k, v, options, weight, **_: weight * q, weight=0.1, sigma_start=1e9, sigma_end=0.0
        )
        patch.add(lambda out, q, k, v, options, **_: 1e3 * q, sigma_start=-1.0, sigma_end=-2.0)

    assert relative(sample(theirs), sample(with_foreign(ours))) < 1e-5
    assert torch.equal(sample(ours), before)


def test_applying_again_neither_stacks_nor_touches_what_came_before(base, loaded):
    face = tokens("face")
    plain = sample(base)
    first = apply_content_guider(base, loaded, face=face, alpha_f=1.0)
    once = sample(first)

    second = apply_content_guider(base, loaded, face=face, alpha_f=0.5)
    sample(second)

    assert torch.equal(sample(first), once)
    assert torch.equal(sample(apply_content_guider(base, loaded, face=face, alpha_f=1.0)), once)
    assert torch.equal(sample(base), plain)


def test_clones_share_nothing_that_can_change(base, loaded):
    face, cloth = tokens("face"), tokens("cloth")
    once = apply_content_guider(base, loaded, face=face, alpha_f=[0.1, 0.9])
    model = apply_content_guider(once, loaded, cloth=cloth, face=face, alpha_f=[0.5, 0.2])
    clone = model.clone().clone()

    for key, patch in slots(model).items():
        twin = slots(clone)[key]
        for one, other in (
            (twin, patch),
            (twin.previous, patch.previous),
            (patch.previous, slots(once)[key]),
        ):
            assert one is not other
            assert one.cache is not other.cache
            assert one.added is not other.added
    assert torch.equal(sample(clone), sample(model))


def test_two_guiders_in_a_row_both_act(base, loaded):
    face = tokens("face")

    twice = apply_content_guider(
        apply_content_guider(base, loaded, face=face, alpha_f=0.3), loaded, face=face, alpha_f=0.4
    )

    assert relative(sample(twice), sample(slow(base, loaded, face, alpha=[0.7] * FRAMES))) < 1e-5


# --- once per run ---


def test_keys_and_values_are_computed_once_and_placed_once_per_run(base, loaded, monkeypatch):
    computed, placed = [], []
    hooks = [
        layer.register_forward_hook(lambda *_: computed.append(1))
        for layer in loaded.guider.face.ip_adapter.values()
    ]
    original = ImageTerm._placed
    monkeypatch.setattr(ImageTerm, "_placed", lambda *args: (placed.append(1), original(*args))[1])

    model = apply_content_guider(base, loaded, face=tokens("face"))
    assert len(computed) == 2 * 16  # positive and negative
    sample(model, steps=4)
    assert len(computed) == 2 * 16
    assert len(placed) == 16
    sample(model, steps=2)
    assert len(placed) == 2 * 16
    for hook in hooks:
        hook.remove()


def test_the_run_leaves_no_tensors_behind(base, loaded):
    model = apply_content_guider(
        base, loaded, face=tokens("face"), alpha_f=[0.1, 0.9], face_mask=torch.ones(1, 8, 8)
    )

    sample(model, steps=1)

    assert all(patch.cache._made == {} for patch in slots(model).values())


def test_attentions_work_nothing_out_that_their_call_could(base, loaded, monkeypatch):
    """Otherwise each of them would read sigma from the device."""
    model = apply_content_guider(base, loaded, face=tokens("face"), start_percent=0.1)

    def refuse(*_):
        raise AssertionError("worked out inside the U-Net")

    stock = sample(base, steps=2)
    monkeypatch.setattr(content_attention, "model_call", refuse)
    assert not torch.equal(sample(model, steps=2), stock)  # the second step is behind start_percent


def test_the_guiders_weights_may_be_gone_when_sampling(base):
    loaded = load(make_guider(base.model.diffusion_model))
    model = apply_content_guider(base, loaded, face=tokens("face"))
    before = sample(model)

    for parameter in loaded.guider.parameters():
        parameter.data.fill_(float("nan"))

    assert torch.equal(sample(model), before)


def one_level_model():
    """Four cross-attentions: compiling takes long."""
    from dreamoving.dreamoving_core.bridge.tiny import build_model
    from dreamoving.dreamoving_core.tiny.config import TinyConfig

    config = TinyConfig(model_channels=32, channel_mult=(1,), num_res_blocks=1, attention_levels=(True,))
    return build_model(config, unet_state_dict(config), v_prediction=False)


def pytorch_attention(_chosen, q, k, v, heads, **_options):
    """ComfyUI's choice on a GPU."""
    return scaled_dot_product_attention(q, k, v, heads)


def test_a_compiled_unet_with_cores_guard_filter_sees_every_role_step_and_mask(monkeypatch):
    """Core drops all guards on transformer_options: what is read there inside the U-Net would be frozen."""
    from comfy_api.torch_helpers import set_torch_compile_wrapper
    from comfy_extras.nodes_torch_compile import skip_torch_compile_dict

    base = one_level_model()
    loaded = load(make_guider(base.model.diffusion_model))
    how = {"face_mask": torch.rand(FRAMES, 16, 16), "alpha_f": [0.2, 0.4, 0.6, 0.8], "end_percent": 0.5}
    model = apply_content_guider(base, loaded, face=tokens("face"), **how)
    monkeypatch.setattr(type(base.model), "memory_required", lambda *_args, **_options: 1e30)
    model.model_options["transformer_options"]["optimized_attention_override"] = pytorch_attention
    expected = sample(model, steps=3)

    compiled = model.clone()
    set_torch_compile_wrapper(compiled, backend="eager", options={"guard_filter_fn": skip_torch_compile_dict})

    assert relative(sample(compiled, steps=3), expected) < 1e-5


def test_a_patch_that_hides_ours_from_the_compiler_is_refused_in_words(base, loaded):
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    hidden = with_foreign(apply_content_guider(base, loaded, face=tokens("face")))
    set_torch_compile_wrapper(hidden, backend="eager")

    with pytest.raises(InputError, match="cannot see through the attention that ComfyUI chose"):
        sample(hidden, steps=1)
    hidden.model_options["transformer_options"]["optimized_attention_override"] = pytorch_attention
    with pytest.raises(InputError, match="cannot see through the Foreign of another node"):
        sample(hidden, steps=1)


# --- weights in other precisions ---


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_guider_in_half_precision_guides_alike(base, loaded, dtype):
    face = tokens("face")
    state = {key: value.to(dtype) for key, value in loaded.guider.state_dict().items()}
    half = load_content_guider(state, metadata_from_config(loaded.config))

    found = sample(apply_content_guider(base, half, face=face))

    assert half.guider.face.ip_adapter["1"].to_k_ip.weight.dtype == dtype
    assert relative(found, sample(apply_content_guider(base, loaded, face=face))) < 2e-2


def test_a_unet_in_bfloat16_is_guided(loaded):
    model = small_model(dtype=torch.bfloat16)

    guided = sample(
        apply_content_guider(
            model, loaded, face=tokens("face"), alpha_f=[0.1, 0.9], face_mask=torch.ones(8, 8)
        )
    )

    assert torch.isfinite(guided).all()
    assert relative(guided, sample(model)) > 1e-2


# --- training ---


class BuiltIn(torch.nn.Module):
    """Cross-attention with both image branches inside, in plain torch."""

    def __init__(self, attention, branches):
        super().__init__()
        self.attention, self.branches, self.given = attention, branches, {}

    def forward(self, x, context=None, value=None, transformer_options=None):
        heads = self.attention.heads
        q = self.attention.to_q(x)

        def attend(k, v):
            split = [t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v)]
            return torch.nn.functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(-2)

        out = attend(self.attention.to_k(context), self.attention.to_v(context))
        for name, layer in self.branches.items():
            image_tokens, alpha = self.given[name]
            out = out + alpha * attend(layer.to_k_ip(image_tokens), layer.to_v_ip(image_tokens))
        return self.attention.to_out(out)


def trained_parts():
    """A U-Net whose parameters learn, a guider, a batch of different people, and where the numbers end up."""
    unet = copy.deepcopy(small_model().model.diffusion_model).requires_grad_(True)
    guider = make_guider(unet, seed=3)
    generator = torch.Generator().manual_seed(0)
    draw = [torch.randn(s, generator=generator) for s in ((3, 4, 8, 8), (3, 6, 64), (3, 9, 80), (3, 9, 80))]
    return unet, guider, draw


def gradients(loss, unet, guider, latents):
    loss.backward()
    found = {f"unet.{k}": p.grad for k, p in unet.named_parameters() if "branches" not in k}
    found = {k.replace("attn2.attention.", "attn2."): v for k, v in found.items()}
    found |= {f"guider.{k}": p.grad for k, p in guider.named_parameters()}
    return {**found, "latents": latents.grad}


def built_in_gradients():
    unet, guider, (latents, context, face, cloth) = trained_parts()
    latents.requires_grad_(True)
    given = {
        "face": (guider.encode("face", face), 0.8),
        "cloth": (guider.encode("cloth", cloth), ALPHA_C[:, None, None]),
    }
    modules = {id(site.attention): n for n, site in attention_sites(unet).items()}
    for block in [m for m in unet.modules() if hasattr(m, "attn2")]:
        n = str(modules[id(block.attn2)])
        branches = torch.nn.ModuleDict({name: guider.branch(name).ip_adapter[n] for name in given})
        block.attn2 = BuiltIn(block.attn2, branches)
        block.attn2.given = given
    out = unet(latents, torch.tensor([10.0, 500.0, 900.0]), context=context)
    return gradients(out.square().mean(), unet, guider, latents)


ALPHA_C = torch.tensor([0.5, 0.0, 1.0])


@pytest.mark.parametrize("checkpointed", [False, True], ids=["plain", "checkpointed"])
def test_gradients_through_the_patches_equal_those_of_branches_built_in(checkpointed):
    unet, guider, (latents, context, face, cloth) = trained_parts()
    latents.requires_grad_(True)
    patches = content_attention_patches(
        guider,
        unet,
        face=guider.encode("face", face),
        cloth=guider.encode("cloth", cloth),
        alpha_f=0.8,
        alpha_c=ALPHA_C,
    )
    if checkpointed:
        for block in [m for m in unet.modules() if hasattr(m, "attn2")]:
            block.forward = checkpointing(block.forward)

    options = {"patches_replace": {"attn2": patches}}
    out = unet(latents, torch.tensor([10.0, 500.0, 900.0]), context=context, transformer_options=options)
    found = gradients(out.square().mean(), unet, guider, latents)

    expected = built_in_gradients()
    assert found.keys() == expected.keys()
    whole = math.sqrt(sum(float((found[k] - v).square().sum()) for k, v in expected.items()))
    whole /= math.sqrt(sum(float(v.square().sum()) for v in expected.values()))
    assert whole < 1e-6
    assert all(float(found[k].abs().max()) > 0 for k in found if "guider" in k)


def checkpointing(forward):
    def run(x, context=None, transformer_options=None):
        options = dict(transformer_options)  # the U-Net goes on writing into its own
        return checkpoint(forward, x, context, options, use_reentrant=False)

    return run


def test_a_row_per_clip_serves_all_its_frames():
    unet, guider, (latents, context, *_) = trained_parts()
    latents, context = torch.cat([latents, latents]), torch.cat([context, context])
    rows = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(7))

    def run(face, alpha):
        patches = content_attention_patches(guider, unet, face=face, alpha_f=alpha)
        with torch.no_grad():
            options = {"patches_replace": {"attn2": patches}}
            return unet(latents, torch.full((6,), 100.0), context=context, transformer_options=options)

    per_clip = run(rows, torch.tensor([0.3, 0.9]))
    per_frame = run(rows.repeat_interleave(3, 0), torch.tensor([0.3] * 3 + [0.9] * 3))

    assert relative(per_clip, per_frame) < 1e-5


def test_a_branch_started_from_the_text_reads_tokens_as_text():
    unet, guider, (_, context, *_) = trained_parts()

    copy_text_keys_and_values(guider, unet)

    site = attention_sites(unet)[31]
    k, v = guider.face.key_values(context)[31]
    assert torch.equal(k, site.attention.to_k(context))
    assert torch.equal(v, site.attention.to_v(context))


# --- refusals ---


def test_what_does_not_fit_is_refused_in_words(base, loaded):
    face, cloth = tokens("face"), tokens("cloth")
    wide = ImageTokens(branch="face", positive=torch.zeros(1, 5, 768), negative=None)

    def refuse(text, **settings):
        with pytest.raises(InputError, match=text):
            apply_content_guider(base, loaded, **settings)

    refuse("face input needs face tokens 64 wide, got cloth tokens 64 wide", face=cloth)
    refuse("got face tokens 768 wide. Encode the face picture with this", face=wide)
    refuse(
        "alpha of the face must be a finite number at every frame, got nan", face=face, alpha_f=float("nan")
    )
    refuse("0 <= start <= end <= 1, got 0.8 and 0.2", face=face, start_percent=0.8, end_percent=0.2)
    refuse(
        "face mask must be a MASK of finite numbers", face=face, face_mask=torch.full((1, 4, 4), float("nan"))
    )
    refuse(r"at least one frame, got the shape \(0, 4, 4\)", face=face, face_mask=torch.zeros(0, 4, 4))


def test_counts_that_fit_neither_one_nor_the_clip_are_refused_in_words(base, loaded):
    three = apply_content_guider(base, loaded, face=tokens("face", rows=3))
    masked = apply_content_guider(base, loaded, face=tokens("face"), face_mask=torch.ones(3, 4, 4))

    with pytest.raises(
        InputError, match="face tokens are of 3 pictures, one per frame, but the clip has 4 frames"
    ):
        sample(three)
    with pytest.raises(InputError, match="face mask has 3 frames, the clip has 4"):
        sample(masked)
    assert torch.isfinite(sample(base)).all()


def test_a_guider_for_another_base_model_is_refused_in_words(base):
    guider = make_guider(base.model.diffusion_model)
    config = ContentGuiderConfig(sites=((1, 320), (3, 640)), face=guider.config.face)

    with pytest.raises(
        InputError, match=r"expects 2 cross-attentions of widths 320/640, the model has 16 .* 32/64/128"
    ):
        apply_content_guider(base, load(ContentGuider(config)), face=tokens("face"))


def test_a_damaged_file_is_refused_in_words(base):
    guider = make_guider(base.model.diffusion_model)
    state, header = guider.state_dict(), metadata_from_config(guider.config)
    short = {k: v for k, v in state.items() if k != "face.ip_adapter.5.to_v_ip.weight"}
    odd = {**state, "face.ip_adapter.5.to_v_ip.weight": torch.zeros(3, 3)}

    with pytest.raises(
        WeightsError, match=r"1 tensors are missing, first face\.ip_adapter\.5\.to_v_ip\.weight"
    ):
        load_content_guider(short, header)
    with pytest.raises(WeightsError, match=r"damaged: (.|\n)*size mismatch"):
        load_content_guider(odd, header)


def test_a_run_cache_makes_each_thing_once():
    cache, made = RunCache(), []

    found = [cache.get("a", lambda: made.append(1) or len(made)) for _ in range(3)]
    cache.clear()

    assert found == [1, 1, 1]
    assert cache.get("a", lambda: made.append(1) or len(made)) == 2
