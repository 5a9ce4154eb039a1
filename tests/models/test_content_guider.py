"""The Content Guider's networks: names, sizes, Eq. 1."""

import json
import math

import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.models.backend import Backend, scaled_dot_product_attention
from dreamoving.dreamoving_core.models.content_guider import (
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
    add_image_attention,
    config_from_state_dict,
    metadata_from_config,
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig, Resampler
from torch.autograd import gradcheck
from torch.utils.checkpoint import checkpoint

SITES = ((1, 32), (3, 64), (5, 32))
SMALL = {
    "feature_width": 96,
    "context_dim": 64,
    "tokens": 8,
    "dim": 48,
    "depth": 2,
    "heads": 4,
    "dim_head": 12,
}


def face_config(**changes):
    sizes = {**SMALL, "kind": "dm_face", "identity_width": 20, "identity_hidden": 24, **changes}
    return ContentGuiderConfig(sites=SITES, face=BranchConfig(encoder=EncoderConfig(**sizes)))


def both_branches():
    cloth = EncoderConfig(kind="clip_linear", feature_width=40, context_dim=64, tokens=4)
    return ContentGuiderConfig(
        sites=SITES,
        face=face_config().face,
        cloth=BranchConfig(encoder=cloth, uncond="zero_embed", crop="pad"),
    )


def full_size(kind, **changes):
    """The state dict of a full-size SD1.5 branch, without memory."""
    widths = [320] * 2 + [640] * 2 + [1280] * 5 + [640] * 3 + [320] * 3 + [1280]
    sites = tuple((2 * i + 1, width) for i, width in enumerate(widths))
    branch = BranchConfig(encoder=EncoderConfig(kind=kind, **changes))
    with torch.device("meta"):
        return ContentGuider(ContentGuiderConfig(sites=sites, face=branch)).state_dict()


def test_full_size_names_and_shapes_are_those_of_ip_adapter_plus():
    state = full_size("clip_resampler")
    proj = {k: tuple(v.shape) for k, v in state.items() if k.startswith("face.image_proj.")}
    keys = {k: tuple(v.shape) for k, v in state.items() if k.startswith("face.ip_adapter.")}

    assert len(proj) == 51
    outside = 16 * 768 + (1280 + 1) * 768 + (768 + 1) * 768 + 2 * 768
    layer = 4 * 768 + 4 * 768**2 + 2 * 768 + 8 * 768**2
    assert sum(math.prod(s) for s in proj.values()) == outside + 4 * layer
    assert proj["face.image_proj.latents"] == (1, 16, 768)
    assert proj["face.image_proj.layers.3.0.to_kv.weight"] == (1536, 768)
    assert proj["face.image_proj.layers.3.1.3.weight"] == (768, 3072)
    assert sum(math.prod(s) for s in keys.values()) == 19_169_280
    assert keys["face.ip_adapter.1.to_k_ip.weight"] == (320, 768)
    assert keys["face.ip_adapter.31.to_v_ip.weight"] == (1280, 768)
    assert len(state) == 51 + 32


def test_full_size_names_and_shapes_are_those_of_the_base_ip_adapter():
    state = full_size("clip_linear", feature_width=1024, tokens=4)
    proj = {k: tuple(v.shape) for k, v in state.items() if ".image_proj." in k}

    assert proj == {
        "face.image_proj.proj.weight": (3072, 1024),
        "face.image_proj.proj.bias": (3072,),
        "face.image_proj.norm.weight": (768,),
        "face.image_proj.norm.bias": (768,),
    }


def test_a_small_encoder_takes_its_widths_from_the_config():
    guider = ContentGuider(both_branches())

    assert guider.encode("face", torch.randn(3, 10, 96)).shape == (3, 8, 64)
    assert guider.encode("cloth", torch.randn(3, 40)).shape == (3, 4, 64)
    shapes = {n: k.shape for n, (k, _) in guider.face.key_values(torch.randn(2, 8, 64)).items()}
    assert shapes == {1: (2, 8, 32), 3: (2, 8, 64), 5: (2, 8, 32)}


def test_the_resampler_equals_a_slow_loop_over_heads_and_tokens():
    torch.manual_seed(0)
    config = EncoderConfig(**{**SMALL, "depth": 1})
    resampler = Resampler(config, Backend()).double()
    features = torch.randn(1, 5, 96, dtype=torch.double)
    attention, feed_forward = resampler.layers[0]

    patches, latents = resampler.proj_in(features), resampler.latents
    normed = attention.norm2(latents)
    seen = torch.cat([attention.norm1(patches), normed], dim=1)[0]
    q, (k, v) = attention.to_q(normed)[0], attention.to_kv(seen).split(48, dim=-1)
    gained = torch.zeros(8, 48, dtype=torch.double)
    for head in range(4):
        part = slice(12 * head, 12 * head + 12)
        for token in range(8):
            weights = torch.softmax(k[:, part] @ q[token, part] / 12**0.5, dim=0)
            gained[token, part] = weights @ v[:, part]
    latents = latents + attention.to_out(gained)
    expected = resampler.norm_out(resampler.proj_out(latents + feed_forward(latents)))

    assert torch.allclose(resampler(features), expected, atol=1e-12, rtol=0)


def test_an_untrained_identity_changes_nothing_and_learns():
    torch.manual_seed(0)
    guider = ContentGuider(face_config())
    features, identity = torch.randn(2, 5, 96), torch.randn(2, 20)

    with_identity = guider.encode("face", features, identity=identity)

    assert torch.equal(with_identity, guider.encode("face", features))
    with_identity.square().sum().backward()
    assert guider.face.id_proj[2].weight.grad.abs().max() > 0


def test_a_trained_identity_acts_on_the_pictures_that_have_one():
    torch.manual_seed(0)
    guider = ContentGuider(face_config())
    torch.nn.init.normal_(guider.face.id_proj[2].weight)
    torch.nn.init.normal_(guider.face.id_proj[2].bias)
    features, identity = torch.randn(2, 5, 96), torch.randn(2, 20)
    identity[1] = 0

    change = guider.encode("face", features, identity=identity) - guider.encode("face", features)

    assert change[0].abs().max() > 0.1
    assert torch.equal(change[1], torch.zeros(8, 64))


@pytest.mark.parametrize("config", [face_config(), both_branches()], ids=["face", "both"])
def test_a_file_with_its_header_gives_its_config_back(config):
    state = ContentGuider(config).state_dict()

    assert config_from_state_dict(state, metadata_from_config(config)) == config


def test_an_ip_adapter_plus_file_without_a_header_is_recognised_by_its_shapes():
    config = config_from_state_dict(full_size("clip_resampler"))

    assert config.face.encoder == EncoderConfig()
    assert (config.face.uncond, config.face.crop, config.face.feature) == (
        "zero_pixels",
        "center",
        "penultimate",
    )
    assert config.sites[0] == (1, 320)
    assert config.sites[-1] == (31, 1280)
    assert config.cloth is None


def test_a_base_ip_adapter_file_without_a_header_is_recognised_by_its_shapes():
    state = full_size("clip_linear", feature_width=1024, tokens=4)
    state = {key.replace("face.", "cloth."): value for key, value in state.items()}

    config = config_from_state_dict(state)

    assert (config.cloth.encoder.kind, config.cloth.encoder.tokens) == ("clip_linear", 4)
    assert (config.cloth.uncond, config.cloth.crop, config.cloth.feature) == (
        "zero_embed",
        "pad",
        "image_embeds",
    )


def test_a_file_of_another_kind_is_refused_in_words():
    state = ContentGuider(face_config()).state_dict()
    faceid = {
        "face.image_proj.proj.0.weight": torch.zeros(4, 4),
        "face.ip_adapter.1.to_k_ip.weight": torch.zeros(4, 4),
    }
    no_keys = {k: v for k, v in state.items() if ".ip_adapter." not in k}
    no_proj = {k: v for k, v in state.items() if k != "face.image_proj.proj_in.weight"}
    other = {k.replace("face.", "cloth."): v for k, v in full_size("clip_linear", feature_width=8).items()}

    with pytest.raises(WeightsError, match=r"no tensor begins with face\. or cloth\. .found lora\.a"):
        config_from_state_dict({"lora.a": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"not supported: found proj\.0\.weight"):
        config_from_state_dict(faceid)
    with pytest.raises(WeightsError, match="face branch is damaged: it has no ip_adapter"):
        config_from_state_dict(no_keys)
    with pytest.raises(WeightsError, match=r"image_proj\.proj_in\.weight is missing"):
        config_from_state_dict(no_proj)
    with pytest.raises(
        WeightsError, match="3 attentions of widths 32/64 against 16 attentions of widths 320/640/1280"
    ):
        config_from_state_dict({**state, **other})
    with pytest.raises(WeightsError, match="its tokens are 64 wide, its keys expect 32"):
        config_from_state_dict({k: v[:, :32] if "_ip." in k else v for k, v in state.items()})


def test_a_header_of_the_future_is_refused_in_words():
    config = face_config()
    state, header = ContentGuider(config).state_dict(), metadata_from_config(config)
    body = json.loads(header["config"])
    body["branches"]["face"]["uncond"] = "noise"

    with pytest.raises(WeightsError, match="format version 2; this pack reads version 1"):
        config_from_state_dict(state, {**header, "format_version": "2"})
    with pytest.raises(WeightsError, match="its config is no JSON"):
        config_from_state_dict(state, {**header, "config": "{"})
    with pytest.raises(WeightsError, match="asks for uncond = 'noise'; this pack knows zero_pixels"):
        config_from_state_dict(state, {**header, "config": json.dumps(body)})


def test_a_missing_branch_is_named():
    with pytest.raises(WeightsError, match="has no cloth branch, only: face"):
        ContentGuider(face_config()).branch("cloth")


def attention(q, k, v):
    return scaled_dot_product_attention(q, k, v, 2)


def decoupled(q, tokens, to_k, to_v, text):
    return add_image_attention(
        text, q, key_value=(tokens @ to_k, tokens @ to_v), strength=0.7, attention=attention
    )


def tensors(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator, dtype=torch.double, requires_grad=True) for s in shapes]


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_row_of_tokens_serves_its_group_of_pictures(rows):
    q, k, v, text = tensors((4, 6, 8), (rows, 3, 8), (rows, 3, 8), (4, 6, 8))
    expected = text.clone()
    for picture in range(4):
        row = picture * rows // 4
        expected[picture] += 0.7 * attention(q[picture, None], k[row, None], v[row, None])[0]

    found = add_image_attention(text, q, key_value=(k, v), strength=0.7, attention=attention)

    assert torch.allclose(found, expected, atol=1e-14, rtol=0)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_decoupled_attention_passes_gradcheck(checkpointed):
    inputs = tensors((4, 3, 4), (2, 3, 5), (5, 4), (5, 4), (4, 3, 4))

    def run(*args):
        return checkpoint(decoupled, *args, use_reentrant=False) if checkpointed else decoupled(*args)

    assert gradcheck(run, inputs)
