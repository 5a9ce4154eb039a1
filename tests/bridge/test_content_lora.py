"""The LoRA inside FaceID files: when it acts, and that it leaves nothing behind. Its numbers: test_content_parity.py."""

import pytest
import torch
from dreamoving.dreamoving_core.bridge.content_guider import (
    apply_content_guider,
    load_content_guider,
    numbered_widths,
)
from dreamoving.dreamoving_core.bridge.content_lora import attention_weights, lora_branches
from dreamoving.dreamoving_core.models.content_guider import (
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
    ImageTokens,
    metadata_from_config,
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from small_host import sample_latents, small_model

FACEID = EncoderConfig(kind="id_mlp", context_dim=64, identity_width=24, identity_hidden=48, tokens=4)
BASE = EncoderConfig(kind="clip_linear", feature_width=40, context_dim=64, tokens=4)


@pytest.fixture(scope="module")
def base():
    return small_model()


def load(base, *, seed=0, face=FACEID, cloth=BASE):
    """A guider with a FaceID face and base clothes, and a LoRA for every attention."""
    unet = base.model.diffusion_model
    config = ContentGuiderConfig(
        sites=numbered_widths(unet), face=BranchConfig(encoder=face), cloth=BranchConfig(encoder=cloth)
    )
    torch.manual_seed(seed)
    guider = ContentGuider(config)
    lora = {}
    weights = base.model.state_dict()
    for pair, key in attention_weights(unet).items():
        width, read = weights[key].shape
        lora[f"{pair}_lora.down.weight"] = torch.randn(2, read) / read**0.5
        lora[f"{pair}_lora.up.weight"] = torch.randn(width, 2)
    return load_content_guider(guider.state_dict(), metadata_from_config(config), lora=lora)


def tokens(branch):
    generator = torch.Generator().manual_seed(len(branch))
    return ImageTokens(
        branch=branch, positive=torch.randn(1, 4, 64, generator=generator), negative=torch.randn(1, 4, 64)
    )


def patched(model):
    """How strongly each weight is changed by how many patches."""
    return {key: [patch[0] for patch in patches] for key, patches in model.patches.items()}


def test_every_attention_is_changed_in_q_k_v_and_out(base):
    guided = apply_content_guider(base, load(base), face=tokens("face"))

    assert len(patched(guided)) == 128
    assert set(map(tuple, patched(guided).values())) == {(1.0,)}
    assert "diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_out.0.weight" in guided.patches
    assert base.patches == {}


@pytest.mark.parametrize("alpha", [0, 0.0, [0.0, 0.0]])
def test_a_face_at_zero_has_neither_tokens_nor_lora(base, alpha):
    off = apply_content_guider(base, load(base), face=tokens("face"), alpha_f=alpha)

    assert off.patches == {}
    assert torch.equal(sample_latents(off, frames=2), sample_latents(base, frames=2))


def test_clothes_that_were_trained_without_the_lora_do_not_bring_it(base):
    loaded = load(base)
    both = {"face": tokens("face"), "cloth": tokens("cloth")}

    assert lora_branches(loaded.config) == {"face"}
    assert apply_content_guider(base, loaded, **both, alpha_f=0, alpha_c=1).patches == {}
    assert len(apply_content_guider(base, loaded, **both, alpha_f=1, alpha_c=0).patches) == 128


def test_the_lora_follows_its_own_strength_and_not_alpha(base):
    loaded = load(base)

    weak = apply_content_guider(base, loaded, face=tokens("face"), alpha_f=0.3, lora_strength=0.6)

    assert set(map(tuple, patched(weak).values())) == {(0.6,)}


def test_at_lora_strength_zero_the_weights_stay_and_the_face_acts(base):
    guided = apply_content_guider(base, load(base), face=tokens("face"), lora_strength=0.0)

    assert guided.patches == {}
    assert len(guided.model_options["transformer_options"]["patches_replace"]["attn2"]) == 16


def test_two_people_from_one_file_bring_its_lora_once(base):
    first, again, other = load(base), load(base), load(base, seed=5)

    guided = apply_content_guider(base, first, face=tokens("face"))
    twice = apply_content_guider(guided, again, face=tokens("face"))
    thrice = apply_content_guider(twice, other, face=tokens("face"))

    assert set(map(tuple, patched(twice).values())) == {(1.0,)}
    assert set(map(tuple, patched(thrice).values())) == {(1.0, 1.0)}


def test_sampling_with_the_lora_leaves_the_base_model_as_it_was(base):
    before = {key: value.clone() for key, value in base.model.state_dict().items()}
    guided = apply_content_guider(base, load(base), face=tokens("face"))

    with_lora = sample_latents(guided, frames=2)
    without = sample_latents(
        apply_content_guider(base, load(base), face=tokens("face"), lora_strength=0), frames=2
    )

    assert (with_lora - without).abs().max() > 1e-2
    plain = sample_latents(base, frames=2)
    assert torch.equal(plain, sample_latents(small_model(), frames=2))
    after = base.model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
