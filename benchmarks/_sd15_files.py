"""Everything that SD1.5's training starts from, at full size and with random numbers, as the public files are laid out."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ._face_pack import write_face_pack
from ._full_size import META, VAE_CONFIG, stock_model
from ._ip_adapter_files import random_tensors

POSITIONS = 24  # [AD] rows of mm_sd_v15.ckpt, from which the paper starts

StateDict = dict[str, Tensor]


def write_files(folder: Path) -> dict[str, Path]:
    """Files by their name on the command line; those that are there already stay."""
    makers: dict[str, Callable[[], StateDict]] = {
        "base": base,
        "motion": motion,
        "control": control,
        "clip_vision": vision,
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, make in makers.items():
        paths[name] = folder / f"{name}.safetensors"
        if not paths[name].exists():
            save(make(), paths[name])
    paths["face_recogniser"] = folder / "face_pack"
    write_face_pack(paths["face_recogniser"], other_networks=False)
    return paths


def save(state_dict: StateDict, path: Path) -> None:
    from safetensors.torch import save_file

    part = path.with_suffix(".part")
    save_file({key: tensor.half().contiguous() for key, tensor in state_dict.items()}, part)
    part.rename(path)


def filled(network: nn.Module, prefix: str, *, seed: int) -> StateDict:
    """Random numbers for a network on `meta`."""
    shapes = {
        prefix + key: tuple(t.shape) for key, t in network.state_dict().items() if t.is_floating_point()
    }
    return random_tensors(shapes, seed=seed)


def base() -> StateDict:
    """A checkpoint: U-Net, text encoder and VAE under SD1.5's names."""
    import comfy.clip_model
    import comfy.ops
    from comfy.ldm.models.autoencoder import AutoencoderKL

    from ..dreamoving_core.bridge.tiny import text_settings
    from ..dreamoving_core.tiny.config import TinyConfig

    sizes = TinyConfig(context_dim=768, text_layers=12, text_heads=12)
    layers = comfy.ops.disable_weight_init
    text = comfy.clip_model.CLIPTextModel(text_settings(sizes), torch.float32, META, layers)
    with META:
        vae = AutoencoderKL(ddconfig=VAE_CONFIG, embed_dim=4)
    words = filled(text, "cond_stage_model.transformer.", seed=1)
    words.pop("cond_stage_model.transformer.text_projection.weight", None)  # SD1.5's file has none
    unet = filled(stock_model().model.diffusion_model, "model.diffusion_model.", seed=2)
    return unet | words | filled(vae, "first_stage_model.", seed=3)


def motion() -> StateDict:
    """AnimateDiff v1's layout, its positions included."""
    from ..dreamoving_core.models.backend import Backend
    from ..dreamoving_core.models.motion import MotionConfig, MotionModel
    from ..dreamoving_core.models.temporal import sinusoid

    found = filled(MotionModel(MotionConfig(), Backend(device=META)), "", seed=4)
    tables = {}
    for key, tensor in found.items():
        if key.endswith("to_q.weight"):
            tables[key.removesuffix("to_q.weight") + "pos_encoder.pe"] = sinusoid(POSITIONS, tensor.shape[1])
    return found | tables


def control() -> StateDict:
    """An image ControlNet under LDM's names."""
    from ..dreamoving_core.bridge.backend import host_backend
    from ..dreamoving_core.bridge.video_control_model import VideoControlModel

    unet_config = stock_model().model.model_config.unet_config
    unet_config = {key: value for key, value in unet_config.items() if key != "dtype"}
    network = VideoControlModel(
        unet_config, None, backend=host_backend(weight_dtype=torch.float16, device=META)
    )
    return filled(network, "control_model.", seed=5)


def vision() -> StateDict:
    """OpenCLIP ViT-H/14 under Hugging Face's names."""
    import json

    import comfy.clip_model
    import comfy.clip_vision
    import comfy.ops

    settings = Path(comfy.clip_vision.__file__).parent / "clip_vision_config_h.json"
    config = json.loads(settings.read_text(encoding="utf-8"))
    layers = comfy.ops.disable_weight_init
    return filled(comfy.clip_model.CLIPVisionModelProjection(config, torch.float32, META, layers), "", seed=6)
