"""Small files in the naming of public ones, written out by hand from their published key tables."""

import math

import torch

WIDTHS = (32, 64, 128, 128)


def random_tensors(shapes, *, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return {
        key: (torch.randn(shape, generator=generator) / math.sqrt(max(shape[-1], 1))).to(dtype)
        for key, shape in shapes.items()
    }


def positions(rows, channels):
    """AnimateDiff's table, element by element."""
    table = torch.zeros(1, rows, channels)
    for p in range(rows):
        for c in range(channels):
            angle = p / 10000 ** (2 * (c // 2) / channels)
            table[0, p, c] = math.sin(angle) if c % 2 == 0 else math.cos(angle)
    return table


def module_shapes(prefix, c, *, attentions=2):
    t = f"{prefix}.temporal_transformer."
    b = t + "transformer_blocks.0."
    shapes = {t + "norm.weight": (c,), t + "norm.bias": (c,)}
    for name in ("proj_in", "proj_out"):
        shapes |= {f"{t}{name}.weight": (c, c), f"{t}{name}.bias": (c,)}
    for i in range(attentions):
        a = f"{b}attention_blocks.{i}."
        shapes |= {f"{a}to_{n}.weight": (c, c) for n in "qkv"}
        shapes |= {a + "to_out.0.weight": (c, c), a + "to_out.0.bias": (c,)}
        shapes |= {f"{b}norms.{i}.weight": (c,), f"{b}norms.{i}.bias": (c,)}
    shapes |= {b + "ff.net.0.proj.weight": (8 * c, c), b + "ff.net.0.proj.bias": (8 * c,)}
    shapes |= {b + "ff.net.2.weight": (c, 4 * c), b + "ff.net.2.bias": (c,)}
    return shapes | {b + "ff_norm.weight": (c,), b + "ff_norm.bias": (c,)}


def motion_shapes(*, widths=WIDTHS, mid=False, up=True, attentions=2):
    shapes = {}
    for i, c in enumerate(widths):
        for j in range(2):
            shapes |= module_shapes(f"down_blocks.{i}.motion_modules.{j}", c, attentions=attentions)
    if mid:
        shapes |= module_shapes("mid_block.motion_modules.0", widths[-1], attentions=attentions)
    for i, c in enumerate(reversed(widths) if up else ()):
        for j in range(3):
            shapes |= module_shapes(f"up_blocks.{i}.motion_modules.{j}", c, attentions=attentions)
    return shapes


def motion_lora_file(*, rank=8, seed=1, **layout):
    """AnimateDiff's motion LoRA: q, k, v and out of every attention."""
    shapes = {}
    for key, (width, *_) in motion_shapes(**layout).items():
        if key.endswith(("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")):
            name = key.removesuffix(".weight").removesuffix(".0")
            path, part = name.rsplit(".to_", 1)
            shapes[f"{path}.processor.to_{part}_lora.down.weight"] = (rank, width)
            shapes[f"{path}.processor.to_{part}_lora.up.weight"] = (width, rank)
    return random_tensors(shapes, seed=seed)


def motion_file(*, rows=None, seed=0, **layout):
    """An AnimateDiff file: `rows` of positions per attention (v1 24, v2 and v3 32, AnimateLCM none)."""
    tensors = random_tensors(motion_shapes(**layout), seed=seed)
    if rows:
        tables = {}
        for key in [k for k in tensors if k.endswith("to_q.weight")]:
            channels = tensors[key].shape[1]
            tables.setdefault(channels, positions(rows, channels))
            tensors[key.replace("to_q.weight", "pos_encoder.pe")] = tables[channels].clone()
    return tensors


def ip_adapter_file(*, widths=WIDTHS, tokens=4, width=64, embedding=32, seed=0):
    """A base IP-Adapter: one projection, and K and V for 16 cross-attentions (down, up, mid)."""
    a, b, c, _ = widths
    hidden = [a, a, b, b, c, c, c, c, c, b, b, b, a, a, a, widths[3]]
    shapes = {
        "image_proj.proj.weight": (tokens * width, embedding),
        "image_proj.proj.bias": (tokens * width,),
    }
    shapes |= {"image_proj.norm.weight": (width,), "image_proj.norm.bias": (width,)}
    for i, h in enumerate(hidden):
        shapes |= {f"ip_adapter.{2 * i + 1}.to_{n}_ip.weight": (h, width) for n in "kv"}
    return random_tensors(shapes, seed=seed)


def perceiver_shapes(prefix, *, width, patches):
    """One layer of the Perceiver of plus and FaceID-Plus files."""
    a, f = f"{prefix}layers.0.0.", f"{prefix}layers.0.1."
    shapes = {f"{prefix}proj_in.weight": (width, patches), f"{prefix}proj_in.bias": (width,)}
    shapes |= {f"{prefix}proj_out.weight": (width, width), f"{prefix}proj_out.bias": (width,)}
    for norm in (f"{prefix}norm_out.", a + "norm1.", a + "norm2.", f + "0."):
        shapes |= {norm + "weight": (width,), norm + "bias": (width,)}
    shapes |= {a + "to_q.weight": (width, width), a + "to_kv.weight": (2 * width, width)}
    shapes |= {a + "to_out.weight": (width, width), f + "1.weight": (4 * width, width)}
    return shapes | {f + "3.weight": (width, 4 * width)}


def image_proj_shapes(variant, *, width=64, patches=80, identity=24):
    """What lies below `image_proj.` in the variants whose names are longer than the base's."""
    if variant == "plus":
        return {"latents": (1, 5, width), **perceiver_shapes("", width=width, patches=patches)}
    if variant == "full_face":
        shapes = {"proj.0.weight": (patches, patches), "proj.0.bias": (patches,)}
        shapes |= {"proj.2.weight": (width, patches), "proj.2.bias": (width,)}
        return shapes | {"proj.3.weight": (width,), "proj.3.bias": (width,)}
    tokens = 16 if variant == "portrait" else 4
    shapes = {"proj.0.weight": (2 * identity, identity), "proj.0.bias": (2 * identity,)}
    shapes |= {"proj.2.weight": (tokens * width, 2 * identity), "proj.2.bias": (tokens * width,)}
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    if variant == "faceid_plus":
        shapes |= perceiver_shapes("perceiver_resampler.", width=width, patches=patches)
    return shapes


def lora_shapes(*, widths=WIDTHS, width=64, rank=4):
    """FaceID's pairs: q, k, v and out of 32 attentions, even numbers are self-attention."""
    a, b, c, d = widths
    hidden = [a, a, b, b, c, c, c, c, c, b, b, b, a, a, a, d]
    shapes = {}
    for n in range(32):
        for part in ("q", "k", "v", "out"):
            read = width if n % 2 and part in "kv" else hidden[n // 2]
            shapes[f"ip_adapter.{n}.to_{part}_lora.down.weight"] = (rank, read)
            shapes[f"ip_adapter.{n}.to_{part}_lora.up.weight"] = (hidden[n // 2], rank)
    return shapes


def ip_adapter_variant(variant, *, lora=False, seed=0, **sizes):
    """plus, full_face, faceid, faceid_plus or portrait; `lora` as FaceID files have it inside."""
    keys = {k: v for k, v in ip_adapter_file(seed=seed).items() if k.startswith("ip_adapter.")}
    shapes = {f"image_proj.{key}": shape for key, shape in image_proj_shapes(variant, **sizes).items()}
    return keys | random_tensors(shapes | (lora_shapes() if lora else {}), seed=seed)
