"""Files of random numbers in the formats that the peers read. Full-size ones in half precision: 5 GB in all."""

import math

import torch
from safetensors.torch import save_file
from weights.public_files import ip_adapter_file, motion_shapes, positions

SD15 = {
    "image_size": 32,
    "in_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": (1, 2, 4, 4),
    "num_heads": 8,
    "use_spatial_transformer": True,
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "use_linear_in_transformer": False,
    "legacy": False,
}
WIDTHS = (320, 640, 1280, 1280)
SMALL = (32, 64, 128, 128)  # of the small SD1.5 in small_host.py
MID = 31  # IP-Adapter's number of the middle attention, which IPAdapter_plus never calls


def random_tensors(shapes, *, seed):
    """Numbers that keep a signal alive: nothing is zero, nothing grows."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for key, shape in shapes.items():
        value = torch.empty(shape).normal_(generator=generator)
        if len(shape) > 1:
            value *= 1 / math.sqrt(math.prod(shape[1:]))
        else:
            value = value * 0.1 + (1.0 if key.endswith("weight") else 0.0)
        tensors[key] = value.half()
    return tensors


def shapes_of(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


def unet_file():
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    depth = [1] * 9 + [0] * 3
    network = UNetModel(
        **{**SD15, "transformer_depth": list(SD15["transformer_depth"])},
        transformer_depth_output=depth,
        out_channels=4,
        device="meta",
        dtype=torch.float32,
        operations=comfy.ops.disable_weight_init,
    )
    return random_tensors(shapes_of(network), seed=1)


def motion_file(*, rows, mid=False, seed):
    """AnimateDiff's keys: v1 has 24 rows of positions, v3 32, v2 32 and a middle block."""
    tensors = random_tensors(motion_shapes(widths=WIDTHS, mid=mid), seed=seed)
    tables = {width: positions(rows, width).half() for width in set(WIDTHS)}
    for key in [key for key in tensors if key.endswith("to_q.weight")]:
        tensors[key.replace("to_q.weight", "pos_encoder.pe")] = tables[tensors[key].shape[1]].clone()
    return tensors


def text_file():
    import comfy.ops
    import comfy.sd1_clip

    network = comfy.sd1_clip.SDClipModel(device="meta", dtype=torch.float32)
    shapes = {key: shape for key, shape in shapes_of(network.transformer).items()}
    return random_tensors(shapes, seed=10)


def base_ip_adapter(*, mid=False, widths=SMALL, context=64, seed=7):
    """A base IP-Adapter; without `mid` its middle attention adds nothing."""
    tensors = ip_adapter_file(widths=widths, width=context, embedding=1024, seed=seed)
    tensors["image_proj.norm.weight"] = torch.ones(context)
    if not mid:
        tensors[f"ip_adapter.{MID}.to_v_ip.weight"].zero_()
    return tensors


def write_full_size(folder):
    """Every full-size file below `folder`, by ComfyUI's names of model folders."""
    made = {
        "diffusion_models/sd15.safetensors": unet_file,
        "animatediff_models/v1.safetensors": lambda: motion_file(rows=24, seed=4),
        "animatediff_models/v2.safetensors": lambda: motion_file(rows=32, mid=True, seed=5),
        "animatediff_models/v3.safetensors": lambda: motion_file(rows=32, seed=6),
        "ipadapter/sd15.safetensors": lambda: base_ip_adapter(widths=WIDTHS, context=768),
        "text_encoders/clip_l.safetensors": text_file,
    }
    write(folder, made)


def write_small(folder):
    """What the small SD1.5 takes: a few MB."""
    made = {
        "ipadapter/base.safetensors": base_ip_adapter,
        "ipadapter/base_with_middle.safetensors": lambda: base_ip_adapter(mid=True),
        "ipadapter/other.safetensors": lambda: base_ip_adapter(seed=8),
    }
    write(folder, made)


def write(folder, made):
    for name, make in made.items():
        path = folder / name
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(make(), path)


def clip_vision():
    """A CLIP vision encoder with ViT-H's widths of output and three thin layers; every peer takes it for ViT-H."""
    import comfy.clip_vision

    config = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "image_size": 224,
        "patch_size": 14,
        "projection_dim": 1024,
        "num_channels": 3,
        "hidden_act": "gelu",
        "model_type": "clip_vision_model",
    }
    encoder = comfy.clip_vision.ClipVisionModel(config)
    shapes = shapes_of(encoder.model)
    encoder.load_sd({key: value.float() for key, value in random_tensors(shapes, seed=9).items()})
    return encoder
