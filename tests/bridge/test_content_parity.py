"""The Content Guider against diffusers' IP-Adapter: two loaded adapters are Eq. 1."""

import comfy.utils
import pytest
import torch
from dreamoving.dreamoving_core.bridge.content_guider import (
    apply_content_guider,
    load_content_guider,
    numbered_widths,
)
from dreamoving.dreamoving_core.models.content_guider import (
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
    ImageTokens,
    metadata_from_config,
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from small_host import small_config, small_model, unet_state_dict

diffusers = pytest.importorskip(
    "diffusers", reason="the oracle; python run.py test installs it on Python 3.11"
)

# diffusers infers these sizes and takes 64 per head, depth 4 and four times wide as given.
PLUS = EncoderConfig(feature_width=80, context_dim=64, tokens=6, dim=64, depth=4, heads=1, dim_head=64)
BASE = EncoderConfig(kind="clip_linear", feature_width=40, context_dim=64, tokens=4)
FULL_FACE = EncoderConfig(kind="clip_mlp", feature_width=80, context_dim=64, dim=80, tokens=9)
FACE_SIZES = {"context_dim": 64, "identity_width": 24, "identity_hidden": 48, "tokens": 4}
FACEID = EncoderConfig(kind="id_mlp", **FACE_SIZES)
PORTRAIT = EncoderConfig(kind="id_mlp", **{**FACE_SIZES, "tokens": 16})
LAYERS = {"feature_width": 80, "dim": 64, "depth": 4, "heads": 1, "dim_head": 64}
FACEID_PLUS = EncoderConfig(kind="id_clip_perceiver", **FACE_SIZES, **LAYERS)
FACEID_PLUS_V2 = EncoderConfig(kind="id_clip_perceiver", shortcut=True, **FACE_SIZES, **LAYERS)


def diffusers_unet():
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64, 128, 128),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=64,
        attention_head_dim=8,
        sample_size=16,
    )
    config = small_config()
    names = comfy.utils.unet_to_diffusers(config.unet_config())
    state = unet_state_dict(config)
    unet.load_state_dict({key: state[names[key]] for key in unet.state_dict()})
    return unet.eval()


def adapter_file(guider, name):
    """A branch as the IP-Adapter file that diffusers reads."""
    state = {k[len(name) + 1 :]: v for k, v in guider.state_dict().items() if k.startswith(name + ".")}
    return {
        part: {k[len(part) + 1 :]: v for k, v in state.items() if k.startswith(part + ".")}
        for part in ("image_proj", "ip_adapter")
    }


def inputs_of(branch):
    """[no picture, picture] of what a branch reads: features and identity, or None."""
    features = identity = None
    if branch.feature:
        patches = (9,) if branch.feature == "penultimate" else ()
        features = torch.randn(2, *patches, branch.encoder.feature_width)
    if branch.needs_identity:
        identity = torch.randn(2, branch.encoder.identity_width)
        identity[0] = 0
    return features, identity


@pytest.mark.parametrize(
    ("face", "cloth", "alphas"),
    [
        (PLUS, PLUS, (0.8, 0.35)),
        (BASE, PLUS, (0.3, 1.2)),
        (FULL_FACE, BASE, (0.6, 0.5)),
        (FACEID, FULL_FACE, (1.0, 0.4)),
        (PORTRAIT, FACEID, (0.7, 0.7)),
        (FACEID_PLUS, PLUS, (0.8, 0.35)),
        (FACEID_PLUS_V2, FACEID_PLUS, (0.8, 0.35)),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
@torch.no_grad()
def test_two_branches_equal_two_ip_adapters_of_diffusers(face, cloth, alphas):
    model, unet = small_model(), diffusers_unet()
    torch.manual_seed(1)
    config = ContentGuiderConfig(
        sites=numbered_widths(model.model.diffusion_model),
        face=BranchConfig(encoder=face),
        cloth=BranchConfig(encoder=cloth),
    )
    guider = ContentGuider(config).eval()
    for name, parameter in guider.named_parameters():
        if "norm" in name:
            parameter.add_(0.1 * torch.randn_like(parameter))
    latents, context = torch.randn(4, 4, 16, 24), torch.randn(4, 7, 64)
    inputs = {name: inputs_of(branch) for name, branch in config.branches().items()}

    unet._load_ip_adapter_weights(
        [adapter_file(guider, n) for n in ("face", "cloth")], low_cpu_mem_usage=False
    )
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = list(alphas)
    shown = []
    for (name, (features, identity)), layer in zip(
        inputs.items(), unet.encoder_hid_proj.image_projection_layers, strict=True
    ):
        read = features if identity is None else identity
        shown.append(read.repeat_interleave(2, 0)[:, None])
        if features is not None and identity is not None:
            layer.clip_embeds = features.repeat_interleave(2, 0)[:, None]
            layer.shortcut = getattr(config, name).encoder.shortcut
    timestep = torch.tensor([300.0])
    expected = unet(latents, timestep, context, added_cond_kwargs={"image_embeds": shown}).sample

    image_tokens = {}
    for name, (features, identity) in inputs.items():
        negative, positive = guider.encode(name, features, identity=identity).split(1)
        image_tokens[name] = ImageTokens(branch=name, positive=positive, negative=negative)
    guided = apply_content_guider(
        model,
        load_content_guider(guider.state_dict(), metadata_from_config(config)),
        **image_tokens,
        alpha_f=alphas[0],
        alpha_c=alphas[1],
    )
    options = {**guided.model_options["transformer_options"], "cond_or_uncond": [1, 0]}
    unguided = model.model.diffusion_model(latents, timestep, context)
    found = model.model.diffusion_model(latents, timestep, context, transformer_options=options)

    assert (found - expected).abs().max() < 1e-5
    assert (found - unguided).abs().max() > 1e-2


def random_lora(unet, *, rank=3):
    """FaceID's pairs for every attention of diffusers' U-Net, by their place in its list."""
    pairs = {}
    for n, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        layers = {"q": attention.to_q, "k": attention.to_k, "v": attention.to_v, "out": attention.to_out[0]}
        for part, layer in layers.items():
            width, read = layer.weight.shape
            pairs[f"{n}.to_{part}_lora.down.weight"] = torch.randn(rank, read) / read**0.5
            pairs[f"{n}.to_{part}_lora.up.weight"] = torch.randn(width, rank) / rank**0.5
    return pairs


@torch.no_grad()
def test_the_lora_inside_a_faceid_file_changes_the_unet_as_a_merge_by_hand_does():
    model, unet = small_model(), diffusers_unet()
    torch.manual_seed(2)
    config = ContentGuiderConfig(
        sites=numbered_widths(model.model.diffusion_model), face=BranchConfig(encoder=FACEID)
    )
    guider = ContentGuider(config).eval()
    lora = random_lora(unet)
    latents, context, timestep = torch.randn(2, 4, 16, 24), torch.randn(2, 7, 64), torch.tensor([300.0])
    identity = torch.randn(1, 24)

    for n, name in enumerate([*unet.attn_processors]):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        layers = {"q": attention.to_q, "k": attention.to_k, "v": attention.to_v, "out": attention.to_out[0]}
        for part, layer in layers.items():
            pair = f"{n}.to_{part}_lora"
            layer.weight += 0.7 * lora[f"{pair}.up.weight"] @ lora[f"{pair}.down.weight"]
    unet._load_ip_adapter_weights([adapter_file(guider, "face")], low_cpu_mem_usage=False)
    shown = [identity.repeat(2, 1)[:, None]]
    expected = unet(latents, timestep, context, added_cond_kwargs={"image_embeds": shown}).sample

    loaded = load_content_guider(guider.state_dict(), metadata_from_config(config), lora=lora)
    tokens = ImageTokens(
        branch="face", positive=guider.encode("face", None, identity=identity), negative=None
    )
    guided = apply_content_guider(model, loaded, face=tokens, lora_strength=0.7)
    options = {**guided.model_options["transformer_options"], "cond_or_uncond": [0]}
    guided.patch_model()
    found = guided.model.diffusion_model(latents, timestep, context, transformer_options=options)
    guided.unpatch_model()
    without = model.model.diffusion_model(latents, timestep, context, transformer_options=options)

    assert (found - expected).abs().max() < 1e-5
    assert (found - without).abs().max() > 1e-2
