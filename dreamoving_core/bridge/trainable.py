"""DreaMoving-Tiny before training: every network in ComfyUI's own classes, initialised, in float32."""

from contextlib import nullcontext
from dataclasses import replace

import comfy.clip_model
import comfy.model_base
import comfy.model_sampling
import comfy.ops
import comfy.sd1_clip
import comfy.taesd.taesd
import torch
from torch import Tensor, nn

from ..models.backend import Backend, scaled_dot_product_attention
from ..models.content_guider import BranchConfig, ContentGuider, ContentGuiderConfig
from ..models.motion import MotionConfig, MotionModel
from ..models.token_encoders import EncoderConfig
from ..tiny.config import TinyConfig
from .insertion import InsertableMotion
from .tiny import SmallSD15, text_settings
from .video_control_model import VideoControlModel

IDENTITY = 512  # [ArcFace] numbers in a face recogniser's vector
TINY_RECOGNISER = "dreamoving-tiny"  # whose identities Tiny's Content Guider reads

LAYERS = comfy.ops.disable_weight_init


def training_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """SDPA; on a CPU in float32, also under autocast: its backward in bfloat16 takes six times as long there. [ours]"""
    dtype, exact = q.dtype, nullcontext()
    if q.device.type == "cpu":
        q, k, v, exact = q.float(), k.float(), v.float(), torch.autocast("cpu", enabled=False)
    with exact:
        return scaled_dot_product_attention(q, k, v, heads).to(dtype)


FLOAT32 = Backend(operations=LAYERS, attention=training_attention, dtype=torch.float32)


def initialise(module: nn.Module) -> None:
    """PyTorch's own initialisation for every layer: `comfy.ops` layers skip it and hold whatever memory held."""
    for layer in module.modules():
        layer_class = next(
            (c for c in type(layer).__mro__ if c.__module__.startswith("torch.nn.modules")), None
        )
        if layer_class is not None and hasattr(layer_class, "reset_parameters"):
            layer_class.reset_parameters(layer)


def zero(*layers: nn.Module) -> None:
    """Set every parameter to 0, so that what follows a layer starts without it."""
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


def predicts_v(base: comfy.model_base.BaseModel) -> bool:
    """Whether the U-Net predicts v; SD1.5 predicts noise."""
    return isinstance(base.model_sampling, comfy.model_sampling.V_PREDICTION)


def new_autoencoder() -> tuple[nn.Module, nn.Module]:
    """TAESD's encoder and decoder."""
    encoder, decoder = comfy.taesd.taesd.Encoder(), comfy.taesd.taesd.Decoder()
    for module in (encoder, decoder):
        initialise(module)
        module.to(memory_format=torch.channels_last)
    return encoder, decoder


def new_base(config: TinyConfig) -> comfy.model_base.BaseModel:
    """The U-Net within ComfyUI's BaseModel; the last layer of every residual branch and of the network is zero."""
    model_config = SmallSD15(config.unet_config())
    model_config.set_inference_dtype(torch.float32, None)
    base = model_config.get_model({}, "", device=torch.device("cpu"))
    unet = base.diffusion_model
    initialise(unet)
    for layer in unet.modules():
        if hasattr(layer, "out_layers"):
            zero(layer.out_layers[-1])
        if hasattr(layer, "transformer_blocks"):
            zero(layer.proj_out)
    zero(unet.out[-1])
    return base


def new_text_encoder(config: TinyConfig) -> nn.Module:
    """CLIP's text model with SD1.5's whole vocabulary. Words never trained on stay at zero and say nothing."""
    text = comfy.clip_model.CLIPTextModel(text_settings(config), torch.float32, torch.device("cpu"), LAYERS)
    initialise(text)
    embeddings = text.text_model.embeddings
    nn.init.zeros_(embeddings.token_embedding.weight)
    nn.init.normal_(embeddings.position_embedding.weight, std=0.02)
    return text


def new_image_encoder(config: TinyConfig) -> nn.Module:
    """CLIP's vision model with its projection."""
    vision = comfy.clip_model.CLIPVisionModelProjection(
        config.vision_config(), torch.float32, torch.device("cpu"), LAYERS
    )
    initialise(vision)
    embeddings = vision.vision_model.embeddings
    nn.init.normal_(embeddings.class_embedding, std=0.02)
    nn.init.normal_(embeddings.position_embedding.weight, std=0.02)
    return vision


def motion_config(config: TinyConfig, *, decoder: bool) -> MotionConfig:
    """AnimateDiff's slots for this U-Net, with a middle block; a ControlNet has no decoder."""
    widths = [config.model_channels * factor for factor in config.channel_mult]
    down = tuple((width,) * config.num_res_blocks for width in widths)
    up = tuple((width,) * (config.num_res_blocks + 1) for width in reversed(widths))
    return MotionConfig(down=down, mid=widths[-1], up=up if decoder else ())


def new_motion(config: TinyConfig) -> InsertableMotion:
    """The U-Net's motion blocks; zero output layers leave the U-Net as it is. [AD]"""
    motion = InsertableMotion(motion_config(config, decoder=True), FLOAT32)
    initialise_motion(motion)
    return motion


def initialise_motion(motion: MotionModel) -> None:
    initialise(motion)
    zero(*(transformer.proj_out for transformer in motion.transformers()))


def new_control(config: TinyConfig) -> VideoControlModel:
    """A Video ControlNet whose zero convolutions and motion output layers are zero. [CN] [AD]"""
    control = VideoControlModel(config.unet_config(), motion_config(config, decoder=False), backend=FLOAT32)
    initialise(control)
    initialise_motion(control.motion)
    zero(control.zero_convs, control.middle_block_out, control.input_hint_block[-1])
    return control


def new_content_guider(
    config: TinyConfig,
    *,
    sites: tuple[tuple[int, int], ...],
    identity: bool = False,
    one_branch: bool = False,
) -> ContentGuider:
    """Face and cloth branches of IP-Adapter plus's kind at Tiny's size; `identity` adds ArcFace's supplement. With
    `one_branch`, the face's sees both pictures, as in a public IP-Adapter."""
    encoder = EncoderConfig(
        feature_width=config.vision_width,
        context_dim=config.context_dim,
        tokens=config.image_tokens,
        dim=config.context_dim,
        depth=config.resampler_depth,
        heads=config.resampler_heads,
        dim_head=config.context_dim // config.resampler_heads,
    )
    branch = BranchConfig(encoder=encoder, uncond="none", crop="pad", clip="dreamoving-tiny")
    face = branch
    if identity:
        hidden = 4 * config.context_dim
        supplement = replace(encoder, kind="dm_face", identity_width=IDENTITY, identity_hidden=hidden)
        face = replace(branch, encoder=supplement, recogniser=TINY_RECOGNISER)
    cloth = None if one_branch else branch
    settings = ContentGuiderConfig(sites=sites, face=face, cloth=cloth, base_model="tiny", prediction="v")
    guider = ContentGuider(settings, FLOAT32)
    initialise(guider)
    if identity:
        zero(guider.face.id_proj[-1])  # a supplement that says nothing yet
    return guider


def token_ids(captions: list[str]) -> torch.Tensor:
    """Captions as `n 77` ids by SD1.5's own tokenizer, padded as CLIPTextEncode pads them."""
    tokenizer = comfy.sd1_clip.SD1Tokenizer()
    rows = [tokenizer.tokenize_with_weights(caption)["l"][0] for caption in captions]
    return torch.tensor([[token for token, _weight in row] for row in rows])
