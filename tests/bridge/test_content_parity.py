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
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from small_host import small_config, small_model, unet_state_dict

diffusers = pytest.importorskip(
    "diffusers", reason="the oracle; python run.py test installs it on Python 3.11"
)

# diffusers infers these sizes and takes 64 per head, depth 4 and four times wide as given.
PLUS = EncoderConfig(feature_width=80, context_dim=64, tokens=6, dim=64, depth=4, heads=1, dim_head=64)
BASE = EncoderConfig(kind="clip_linear", feature_width=40, context_dim=64, tokens=4)


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


@pytest.mark.parametrize(
    ("face", "cloth", "alphas"),
    [(PLUS, PLUS, (0.8, 0.35)), (BASE, PLUS, (0.3, 1.2))],
    ids=["plus and plus", "base and plus"],
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
    features = {}  # uncond, cond
    for name, branch in config.branches().items():
        patches = (9,) if branch.feature == "penultimate" else ()
        features[name] = torch.randn(2, *patches, branch.encoder.feature_width)

    unet._load_ip_adapter_weights(
        [adapter_file(guider, n) for n in ("face", "cloth")], low_cpu_mem_usage=False
    )
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = list(alphas)
    shown = [features[name].repeat_interleave(2, 0)[:, None] for name in ("face", "cloth")]
    timestep = torch.tensor([300.0])
    expected = unet(latents, timestep, context, added_cond_kwargs={"image_embeds": shown}).sample

    image_tokens = {}
    for name in ("face", "cloth"):
        negative, positive = guider.encode(name, features[name]).split(1)
        image_tokens[name] = ImageTokens(branch=name, positive=positive, negative=negative)
    guided = apply_content_guider(
        model, load_content_guider(guider.state_dict()), **image_tokens, alpha_f=alphas[0], alpha_c=alphas[1]
    )
    options = {**guided.model_options["transformer_options"], "cond_or_uncond": [1, 0]}
    unguided = model.model.diffusion_model(latents, timestep, context)
    found = model.model.diffusion_model(latents, timestep, context, transformer_options=options)

    assert (found - expected).abs().max() < 1e-5
    assert (found - unguided).abs().max() > 1e-2
