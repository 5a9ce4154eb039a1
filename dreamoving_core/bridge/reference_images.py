"""From reference pictures to image tokens, through ComfyUI's CLIP_VISION. Pictures are f h w c in [0, 1]."""

import comfy.model_management
import torch
from comfy.clip_vision import ClipVisionModel, clip_preprocess
from einops import rearrange, repeat
from torch import Tensor, nn

from ..errors import InputError
from ..models.content_guider import Branch, BranchConfig, ImageTokens
from ..preprocess.face_identity import FaceRecogniser, face_crop
from .content_guider import LoadedContentGuider
from .face_recogniser import faces_in, identities, refuse_missing_faces, refuse_other_space

CROPS = ("as trained", "center", "pad")
FACE_CROPS = (*CROPS, "face")
COMBINES = ("average", "concat", "per frame")

# Of CLIP: mean, standard deviation and size of its pictures, for files that use none. [CLIP]
ENCODER_PIXELS = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711], 224)

# What people call the encoders, by (hidden width, width of the embedding).
ENCODER_NAMES = {
    (1280, 1024): "ViT-H/14",
    (1664, 1280): "ViT-bigG/14",
    (1024, 768): "ViT-L/14",
    (768, 512): "ViT-B",
}


def encode_images(
    loaded: LoadedContentGuider,
    clip_vision: ClipVisionModel | None,
    images: Tensor,
    *,
    branch: str,
    crop: str = "as trained",
    combine: str = "average",
    mask: Tensor | None = None,
    recogniser: FaceRecogniser | None = None,
    identity: Tensor | None = None,
) -> tuple[ImageTokens, Tensor]:
    """Tokens of `images` for one branch, and the crops that the encoder saw (f h w c).

    `mask` (f h w) keeps what is 1 and fills the rest with CLIP's mean colour. `combine`: `average` one set of tokens,
    `concat` the tokens of all pictures side by side, `per frame` one set for each frame of the clip. Identities come
    from `recogniser`, or ready-made as `identity`: f 512, L2-normalised ArcFace vectors. Raises InputError for pictures,
    an encoder or a recogniser that do not fit.
    """
    part = loaded.guider.branch(branch)
    config = part.config
    refuse_other_encoder(config, clip_vision)
    pictures = checked_images(images, name=branch)
    wanted = config.crop if crop == "as trained" else crop
    faces = None
    if recogniser is not None and (config.recogniser or wanted == "face"):
        faces = faces_in(recogniser, pictures)
        if config.recogniser:
            refuse_other_space(config, recogniser)
            identity = identities(faces, width=config.encoder.identity_width)
    refuse_missing_faces(config, crop=wanted, faces=faces, identity=identity, part=branch)
    mean, std, size = ENCODER_PIXELS
    if clip_vision is not None:
        mean, std, size = clip_vision.image_mean, clip_vision.image_std, clip_vision.image_size
    if mask is not None:
        pictures = cut_out(pictures, mask, colour=torch.tensor(mean), name=branch)
    if faces is not None and (wanted == "face" or not config.feature):
        squares = torch.stack(
            [face_crop(x, face.keypoints, size=size) for x, face in zip(pictures, faces, strict=True)]
        )
    else:
        squares = squared(pictures, crop=wanted, colour=torch.tensor(mean))
    pixels = clip_preprocess(squares, size=size, mean=mean, std=std)
    tokens, negative = _tokens(loaded, part, clip_vision, pixels, identity=identity)
    if combine == "average":
        tokens = tokens.mean(dim=0, keepdim=True)
    elif combine == "concat":
        # The negative side sees as many copies of "no picture": softmax over copies equals one.
        negative = None if negative is None else repeat(negative, "1 n d -> 1 (f n) d", f=tokens.shape[0])
        tokens = rearrange(tokens, "f n d -> 1 (f n) d")
    crops = (rearrange(pixels, "f c h w -> f h w c") * torch.tensor(std) + torch.tensor(mean)).clamp(0, 1)
    return ImageTokens(branch=branch, positive=tokens, negative=negative), crops


def _tokens(
    loaded: LoadedContentGuider,
    part: Branch,
    clip_vision: ClipVisionModel | None,
    pixels: Tensor,
    *,
    identity: Tensor | None,
) -> tuple[Tensor, Tensor | None]:
    """Tokens of the pictures (f n d) and of "no picture" (1 n d, or None), by one pass of the image encoder."""
    count, uncond = pixels.shape[0], part.config.uncond
    rows = count + (uncond != "none")
    features = None
    if clip_vision is not None and part.config.feature:
        features = _features(clip_vision, pixels, config=part.config)
    comfy.model_management.load_models_gpu([loaded.patcher])
    device, store = loaded.patcher.load_device, comfy.model_management.intermediate_device()
    if features is not None:
        features = features.to(device, torch.float32)
    if identity is not None:
        identity = identity.to(device, torch.float32).expand(count, -1)
        identity = torch.cat([identity, identity.new_zeros(rows - count, identity.shape[1])])
    with torch.no_grad():
        tokens = part(features, identity=identity).to(store)
    return tokens[:count], tokens[count:] if uncond != "none" else None


def _features(clip_vision: ClipVisionModel, pixels: Tensor, *, config: BranchConfig) -> Tensor:
    """What the branch reads of the pictures, and of "no picture" as its weights saw it, below them."""
    blank = {"zero_pixels": torch.zeros_like(pixels[:1]), "black": _black(clip_vision, pixels)}.get(
        config.uncond
    )
    seen = pixels if blank is None else torch.cat([pixels, blank])
    features = image_features(clip_vision, seen, feature=config.feature)
    if config.uncond == "zero_embed":
        features = torch.cat([features, torch.zeros_like(features[:1])])
    return features


def _black(clip_vision: ClipVisionModel, pixels: Tensor) -> Tensor:
    """One black picture after normalisation."""
    level = -torch.tensor(clip_vision.image_mean) / torch.tensor(clip_vision.image_std)
    return rearrange(level, "c -> 1 c 1 1").expand_as(pixels[:1])


def image_features(clip_vision: ClipVisionModel, pixels: Tensor, *, feature: str) -> Tensor:
    """`penultimate` hidden states (f n d) or `image_embeds` (f d) of normalised pixels (f c h w), in float32.

    `encode_image` takes pictures of 8 bits; "no picture" is a tensor of zeros that no such picture gives.
    """
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    with torch.no_grad():
        output = clip_vision.model(
            pixel_values=pixels.to(clip_vision.load_device).float(), intermediate_output=-2
        )
    return output[1 if feature == "penultimate" else 2].float()


def refuse_other_encoder(config: BranchConfig, clip_vision: ClipVisionModel | None) -> None:
    """InputError unless the image encoder's output has the width that the branch was trained on."""
    if not config.feature:
        return
    if clip_vision is None:
        raise InputError(
            "This Content Guider looks at pictures through an image encoder. Connect Load CLIP Vision with CLIP ViT-H/14 "
            "to clip_vision; only FaceID and portrait do without."
        )
    found = (clip_vision.config.get("hidden_size"), clip_vision.config.get("projection_dim"))
    patches = config.feature == "penultimate"
    width, wanted = found[0 if patches else 1], config.encoder.feature_width
    if width != wanted or clip_vision.model_type != "clip_vision_model":
        fitting = [name for sizes, name in ENCODER_NAMES.items() if sizes[0 if patches else 1] == wanted]
        found_name = ENCODER_NAMES.get(found, clip_vision.model_type)
        raise InputError(
            f"This Content Guider needs the image encoder {fitting[0] if fitting else config.clip} "
            f"({'patches' if patches else 'an embedding'} {wanted} wide), found {found_name} ({width} wide). "
            "Load the matching CLIP Vision model."
        )


def checked_images(images: Tensor, *, name: str) -> Tensor:
    """`f h w 3` in float32 on the CPU, without an alpha channel; InputError for what is no picture."""
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[-1] < 3:
        raise InputError(
            f"The {name} picture must be an IMAGE with 3 colour channels, got the shape {shape}. "
            "Convert a mask or a one-channel picture with Convert Mask to Image."
        )
    if 0 in shape:
        raise InputError(f"The {name} picture is empty (shape {shape}). Connect at least one picture.")
    images = images[..., :3].float().cpu()
    if not bool(torch.isfinite(images).all()):
        raise InputError(f"The {name} picture holds NaN or infinite values. Check the node that makes it.")
    return images


def cut_out(images: Tensor, mask: Tensor, *, colour: Tensor, name: str) -> Tensor:
    """`images` where `mask` (f h w, or one for all) is 1, `colour` where it is 0; the mask is resized if it must be."""
    mask = rearrange(mask.reshape(-1, *mask.shape[-2:]).float().cpu(), "f h w -> f 1 h w")
    if mask.shape[0] not in (1, images.shape[0]):
        raise InputError(
            f"The {name} mask has {mask.shape[0]} frames for {images.shape[0]} pictures. Give one mask, or one each."
        )
    if mask.shape[-2:] != images.shape[1:3]:
        mask = nn.functional.interpolate(mask, size=images.shape[1:3], mode="bilinear", antialias=True)
    mask = rearrange(mask, "f 1 h w -> f h w 1")
    return images * mask + colour * (1 - mask)


def squared(images: Tensor, *, crop: str, colour: Tensor) -> Tensor:
    """Square pictures (f s s c): the centre of each, or all of it on a ground of `colour`.

    Done here because ComfyUI and Hugging Face round the long side differently; of a square both make the same.
    """
    height, width = images.shape[1:3]
    if crop == "center":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return images[:, top : top + side, left : left + side]
    side = max(height, width)
    ground = colour.expand(images.shape[0], side, side, 3).clone()
    top, left = (side - height) // 2, (side - width) // 2
    ground[:, top : top + height, left : left + width] = images
    return ground
