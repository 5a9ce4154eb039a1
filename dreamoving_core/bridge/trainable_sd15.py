"""Stable Diffusion 1.5 from its files, ready to train: float32 weights that can learn, and ComfyUI's frozen encoders.

What does not learn and does not stand in the way of gradients (VAE, text and image encoder) stays in ComfyUI's care, as
in a graph.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import comfy.clip_vision
import comfy.model_base
import comfy.model_detection
import comfy.sd
import comfy.supported_models
import comfy.utils
import torch
from einops import rearrange
from torch import Tensor

from ..errors import InputError, WeightsError
from ..models.content_guider import (
    BRANCHES,
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
)
from ..models.token_encoders import EncoderConfig
from ..preprocess.face_identity import FaceRecogniser
from ..weights.content_guider import read_content_guider
from ..weights.control_motion import started_from_motion, with_middle, without_motion
from ..weights.motion import MotionInfo, read_motion
from ..weights.video_controlnet import read_video_controlnet
from .content_guider import copy_text_keys_and_values, numbered_widths
from .face_recogniser import faces_in, identities
from .insertion import InsertableMotion, fitting_config
from .loading import read
from .reference_images import clip_preprocess, image_features, refuse_other_encoder, squared
from .trainable import FLOAT32, IDENTITY, initialise, initialise_motion, zero
from .video_control_model import VideoControlModel
from .video_controlnet import detect_unet_config, read_motion_config

TOKENS = 77  # of CLIP: a longer caption is cut, as in SD1.5's own training
SAMPLE = 256  # numbers of each tensor that tell it from another's


@dataclass(frozen=True, kw_only=True)
class FrozenEncoders:
    """What turns pictures and words into what the U-Net sees. Pictures are `f h w c` in [0, 1]."""

    base: comfy.model_base.BaseModel
    clip: comfy.sd.CLIP
    vae: comfy.sd.VAE
    vision: comfy.clip_vision.ClipVisionModel | None = None
    recogniser: FaceRecogniser | None = None

    @torch.no_grad()
    def latents(self, pictures: Tensor) -> Tensor:
        """Model latents `f c h/8 w/8`."""
        return self.base.process_latent_in(self.vae.encode(pictures)).float().cpu()

    @torch.no_grad()
    def decoded(self, latents: Tensor) -> Tensor:
        """Pictures `f c h w` of model latents."""
        pictures = self.vae.decode(self.base.process_latent_out(latents))
        return rearrange(pictures, "f h w c -> f c h w")

    @torch.no_grad()
    def text(self, captions: Sequence[str]) -> Tensor:
        """`n 77 d`, a row for each caption."""
        found = [self.clip.encode_from_tokens(self.clip.tokenize(caption)) for caption in captions]
        return torch.cat([tokens[:, :TOKENS] for tokens in found]).float().cpu()

    @torch.no_grad()
    def features(
        self, pictures: Tensor, guider: ContentGuider, *, branch: str
    ) -> tuple[Tensor, Tensor | None]:
        """What a branch reads of pictures, `n m d` or `n d`, and of "no picture", `1 ...`, as its file has it."""
        return self.branch_features(pictures, guider.branch(branch).config)

    @torch.no_grad()
    def branch_features(self, pictures: Tensor, config: BranchConfig) -> tuple[Tensor, Tensor | None]:
        """The same for a branch that need not be built."""
        refuse_other_encoder(config, self.vision)
        assert self.vision is not None  # refused above
        mean, std, size = self.vision.image_mean, self.vision.image_std, self.vision.image_size
        crop = "center" if config.crop == "face" else config.crop
        pixels = squared(pictures, crop=crop, colour=torch.tensor(mean))
        pixels = clip_preprocess(pixels, size=size, mean=mean, std=std)
        seen = torch.cat([pixels, torch.zeros_like(pixels[:1])])
        features = image_features(self.vision, seen, feature=config.feature).float().cpu()
        blank = {"zero_pixels": features[-1:], "zero_embed": torch.zeros_like(features[-1:])}
        return features[:-1], blank.get(config.uncond)

    def identities(self, pictures: Tensor) -> Tensor | None:
        """Unit vectors `n 512` of the faces, zeros where there is none; None without a recogniser."""
        if self.recogniser is None:
            return None
        return identities(faces_in(self.recogniser, pictures), width=IDENTITY)

    def fingerprint(self, part: str) -> str:
        """Tells encoders apart: of "vae", "clip", "vision" by the beginnings of all tensors, of "recogniser" by its files."""
        if part == "recogniser":
            return self.recogniser.content if self.recogniser is not None else "none"
        assert part != "vision" or self.vision is not None
        holder = {"vae": self.vae.first_stage_model, "clip": self.clip.cond_stage_model}
        network = self.vision.model if part == "vision" else holder[part]
        found = hashlib.sha256()
        for name, tensor in network.state_dict().items():
            start = tensor.detach().flatten()[:SAMPLE].float().cpu().contiguous()
            found.update(f"{name} {tuple(tensor.shape)}".encode() + start.numpy().tobytes())
        return found.hexdigest()[:16]


def load_base(path: Path) -> tuple[comfy.model_base.BaseModel, comfy.sd.CLIP, comfy.sd.VAE]:
    """U-Net, text encoder and VAE of an SD1.5 checkpoint. WeightsError for any other file."""
    state_dict = comfy.utils.load_torch_file(str(path), safe_load=True)
    prefix = comfy.model_detection.unet_prefix_from_state_dict(state_dict)
    config = comfy.model_detection.model_config_from_unet(state_dict, prefix)
    if not isinstance(config, comfy.supported_models.SD15):
        found = "no diffusion model" if config is None else type(config).__name__
        raise WeightsError(
            f"'{path.name}' is {found}; training starts from a Stable Diffusion 1.5 checkpoint with U-Net, text encoder "
            "and VAE. Give one with --base."
        )
    unet = {key: value for key, value in state_dict.items() if key.startswith(prefix)}
    _, clip, vae, _ = comfy.sd.load_state_dict_guess_config(dict(state_dict), output_model=False)
    if clip is None or vae is None:
        raise WeightsError(
            f"'{path.name}' has no text encoder or no VAE. Give a whole checkpoint with --base."
        )
    config.set_inference_dtype(torch.float32, None)
    base = config.get_model(unet, prefix, device=torch.device("cpu"))
    base.load_model_weights(unet, prefix)
    return base, clip, vae


def load_vision(path: Path) -> comfy.clip_vision.ClipVisionModel:
    """The image encoder. WeightsError for any other file."""
    vision = comfy.clip_vision.load(str(path))
    if vision is None:
        raise WeightsError(
            f"'{path.name}' is no CLIP image encoder. Give OpenCLIP ViT-H/14's with --clip-vision."
        )
    return vision


def trainable_motion(
    path: Path | None, base: comfy.model_base.BaseModel
) -> tuple[InsertableMotion, MotionInfo | None]:
    """The U-Net's motion blocks from a motion file, else new ones that change nothing yet."""
    if path is None:
        motion = InsertableMotion(fitting_config(base), FLOAT32)
        initialise_motion(motion)
        return motion, None
    weights = read(path, read_motion)
    motion = InsertableMotion(weights.config, FLOAT32)
    motion.load_state_dict(weights.state_dict)
    return motion, weights.info


def trainable_control(
    path: Path | None, base: comfy.model_base.BaseModel, motion: InsertableMotion, *, from_motion: bool
) -> VideoControlModel:
    """A Video ControlNet: from a file, else a copy of the U-Net's way down [CN].

    `from_motion`: its motion blocks start as the U-Net's [DM §2.4.3], else the file must have some.
    """
    if path is None:
        unet_config = plain_config(base.model_config.unet_config)
        state_dict = control_of_unet(base, unet_config)
        stored = {}
    else:
        weights = read(path, read_video_controlnet)
        if weights.sparse:
            raise InputError(
                f"'{path.name}' is a SparseCtrl. Give a ControlNet that reads a picture per frame."
            )
        state_dict, stored = weights.state_dict, config_of(weights.metadata)
        unet_config = stored.get("unet") or detect_unet_config(path.name, without_motion(state_dict))
    if from_motion:
        state_dict, config = started_from_motion(state_dict, motion.state_dict(), motion.config)
    else:
        config = read_motion_config(stored, state_dict)
        if config is None:
            raise InputError(
                f"'{path.name if path else 'The ControlNet'}' has no motion blocks: give the Video ControlNet of the "
                "stage video_control with --control."
            )
        state_dict = with_middle(state_dict, config)
    control = VideoControlModel(unet_config, config, backend=FLOAT32)
    control.load_state_dict({key: t for key, t in state_dict.items() if not key.endswith("pos_encoder.pe")})
    return control


def config_of(metadata: Mapping[str, str]) -> dict:
    """The config of one of our own ControlNet files; {} for others."""
    return json.loads(metadata["config"]) if "config" in metadata else {}


def plain_config(unet_config: dict) -> dict:
    """The U-Net's layout without ComfyUI's choice of precision."""
    return {key: value for key, value in unet_config.items() if not isinstance(value, torch.dtype)}


def control_of_unet(base: comfy.model_base.BaseModel, unet_config: dict) -> dict[str, Tensor]:
    """An image ControlNet that starts as the U-Net's way down, and adds nothing yet. [CN]"""
    control = VideoControlModel(unet_config, None, backend=FLOAT32)
    initialise(control)
    zero(control.zero_convs, control.middle_block_out, control.input_hint_block[-1])
    own, theirs = control.state_dict(), base.diffusion_model.state_dict()
    return own | {key: value for key, value in theirs.items() if key in own}


def trainable_guider(
    path: Path | None,
    base: comfy.model_base.BaseModel,
    *,
    feature_width: int,
    recogniser: FaceRecogniser | None,
) -> ContentGuider:
    """A Content Guider from a file (an IP-Adapter serves both branches), else a new one on the text's keys and values.

    A face recogniser adds ArcFace's supplement to the face branch; it says nothing yet. [DM §2.4.1]
    """
    if path is None:
        config, state_dict = ContentGuiderConfig(sites=numbered_widths(base.diffusion_model)), {}
        config = replace(config, **new_branches(base, feature_width))
    else:
        weights = read(path, read_content_guider)
        config, state_dict = weights.config, weights.state_dict
    if recogniser is not None and config.face is not None:
        name = path.name if path else ""
        config = replace(config, face=with_supplement(config.face, recogniser, name=name))
    guider = ContentGuider(config, FLOAT32)
    initialise(guider)
    if path is None:
        copy_text_keys_and_values(guider, base.diffusion_model)
    guider.load_state_dict(state_dict, strict=False)
    if (
        config.face is not None
        and guider.face.id_proj is not None
        and "face.id_proj.2.weight" not in state_dict
    ):
        zero(guider.face.id_proj[-1])
    return guider


def with_supplement(branch: BranchConfig, recogniser: FaceRecogniser, *, name: str) -> BranchConfig:
    """The face branch of the file `name` as one that reads this recogniser's vectors, and says whose they are.
    InputError for a kind that has no place for them."""
    space = recogniser.space or branch.recogniser or recogniser.name
    encoder = branch.encoder
    if not encoder.identity_width:
        if encoder.kind != "clip_resampler":
            raise InputError(
                f"The supplement joins a Content Guider of IP-Adapter plus's kind, '{name}' is of kind "
                f"{encoder.kind}. Start from ip-adapter-plus-face_sd15, or leave --face-recogniser out."
            )
        encoder = replace(encoder, kind="dm_face", identity_width=IDENTITY)
    return replace(branch, encoder=encoder, recogniser=space)


def new_branches(base: comfy.model_base.BaseModel, feature_width: int) -> dict[str, BranchConfig]:
    """Face and cloth branches of IP-Adapter plus's kind for this U-Net and an image encoder of that width."""
    context = base.model_config.unet_config["context_dim"]
    return {name: new_branch(name, feature_width, context_dim=context) for name in BRANCHES}


def new_branch(name: str, feature_width: int, *, context_dim: int = 768) -> BranchConfig:
    """How a new branch looks at pictures: faces are cut square, clothes are seen whole."""
    encoder = EncoderConfig(context_dim=context_dim, feature_width=feature_width)
    return BranchConfig(encoder=encoder, crop="center" if name == "face" else "pad")
