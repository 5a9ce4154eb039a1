"""SD1.5 IP-Adapter files of every variant, at full size and with random numbers, under their published names."""

import math
import zlib

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

# Channels of the attentions in diffusers' order: down, up, middle.
HIDDEN = (320, 320, 640, 640, 1280, 1280, 1280, 1280, 1280, 640, 640, 640, 320, 320, 320, 1280)
CONTEXT, PATCH, EMBEDDING, IDENTITY = 768, 1280, 1024, 512
LORA_RANK = 128
VARIANTS = (
    "base",
    "light",
    "plus",
    "plus_face",
    "full_face",
    "faceid",
    "faceid_plus",
    "faceid_plusv2",
    "portrait",
)

_BLOCK = 3_000_017  # a prime, so that no two rows of a matrix hold the same run of numbers


def ip_adapter_file(variant: str, *, seed: int) -> dict[str, Tensor]:
    """The tensors of one file, FaceID's LoRA included."""
    shapes = {f"image_proj.{key}": shape for key, shape in projection_shapes(variant).items()}
    for i, hidden in enumerate(HIDDEN):
        for part in "kv":
            shapes[f"ip_adapter.{2 * i + 1}.to_{part}_ip.weight"] = (hidden, CONTEXT)
    if variant in ("faceid", "faceid_plus", "faceid_plusv2"):
        shapes |= lora_shapes()
    return random_tensors(shapes, seed=seed)


def projection_shapes(variant: str) -> Shapes:
    """What lies below `image_proj`."""
    if variant in ("base", "light"):
        return {
            "proj.weight": (4 * CONTEXT, EMBEDDING),
            "proj.bias": (4 * CONTEXT,),
            **norm_shapes("norm", CONTEXT),
        }
    if variant == "full_face":
        return {
            "proj.0.weight": (PATCH, PATCH),
            "proj.0.bias": (PATCH,),
            "proj.2.weight": (CONTEXT, PATCH),
            "proj.2.bias": (CONTEXT,),
            **norm_shapes("proj.3", CONTEXT),
        }
    if variant in ("plus", "plus_face"):
        return {"latents": (1, 16, CONTEXT), **perceiver_shapes("")}
    tokens = 16 if variant == "portrait" else 4
    face = {
        "proj.0.weight": (2 * IDENTITY, IDENTITY),
        "proj.0.bias": (2 * IDENTITY,),
        "proj.2.weight": (tokens * CONTEXT, 2 * IDENTITY),
        "proj.2.bias": (tokens * CONTEXT,),
        **norm_shapes("norm", CONTEXT),
    }
    return face | (perceiver_shapes("perceiver_resampler.") if "plus" in variant else {})


def perceiver_shapes(prefix: str) -> Shapes:
    """Four layers, 768 wide."""
    dim = CONTEXT
    shapes: Shapes = {
        "proj_in.weight": (dim, PATCH),
        "proj_in.bias": (dim,),
        "proj_out.weight": (CONTEXT, dim),
        "proj_out.bias": (CONTEXT,),
        **norm_shapes("norm_out", CONTEXT),
    }
    for layer in range(4):
        attention, feed_forward = f"layers.{layer}.0", f"layers.{layer}.1"
        shapes |= norm_shapes(f"{attention}.norm1", dim) | norm_shapes(f"{attention}.norm2", dim)
        shapes |= {f"{attention}.to_q.weight": (dim, dim), f"{attention}.to_kv.weight": (2 * dim, dim)}
        shapes |= {f"{attention}.to_out.weight": (dim, dim), **norm_shapes(f"{feed_forward}.0", dim)}
        shapes |= {f"{feed_forward}.1.weight": (4 * dim, dim), f"{feed_forward}.3.weight": (dim, 4 * dim)}
    return {prefix + key: shape for key, shape in shapes.items()}


def norm_shapes(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def lora_shapes() -> Shapes:
    """A pair for q, k, v and out of all 32 attentions: even numbers are self-attention."""
    shapes: Shapes = {}
    for i, hidden in enumerate(HIDDEN):
        for n in (2 * i, 2 * i + 1):
            for part in ("q", "k", "v", "out"):
                read = CONTEXT if n % 2 and part in "kv" else hidden
                shapes[f"ip_adapter.{n}.to_{part}_lora.down.weight"] = (LORA_RANK, read)
                shapes[f"ip_adapter.{n}.to_{part}_lora.up.weight"] = (hidden, LORA_RANK)
    return shapes


def random_tensors(shapes: Shapes, *, seed: int) -> dict[str, Tensor]:
    """Numbers of a plausible size for each name: matrices keep the scale of what goes through, norms lie around one.

    One block of normal numbers is read from another place for every tensor: a billion of them would take a minute.
    """
    block = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(seed))
    found = {}
    for key, shape in shapes.items():
        count, start = math.prod(shape), zlib.crc32(key.encode()) % _BLOCK
        numbers = block.roll(-start)
        numbers = numbers.repeat(-(-count // _BLOCK))[:count].reshape(shape).contiguous()
        if len(shape) > 1:
            found[key] = numbers / math.sqrt(math.prod(shape[1:]))
        else:
            found[key] = 0.1 * numbers + (1.0 if key.endswith("weight") else 0.0)
    return found
