"""What the Content Guider reads: CLIP ViT-H/14 from both namings of its file, and identities of faces."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ._comparison import Comparison, relative_error
from ._face_pack import picture_with_a_spot, write_face_pack
from ._ip_adapter_files import random_tensors

VIT_H = "ViT-H-14"  # laion2B-s32B-b79K: exact GELU
PICTURES = 6


def comparisons() -> list[Comparison]:
    """ViT-H/14 by its two outputs from either naming, and a face's identity."""
    sides = {
        "open_clip": ("open_clip's ViT-H-14 (visual.*)", open_clip_reference),
        "Hugging Face": (
            "transformers' CLIPVisionModelWithProjection (vision_model.*)",
            transformers_reference,
        ),
    }
    found = [
        Comparison(
            name=f"ViT-H/14 {feature}, {naming} naming",
            against=f"{text}, a normalised random picture, fp32; ours reads the file through Load CLIP Vision",
            run=partial(compare_vision, reference, feature=feature),
        )
        for naming, (text, reference) in sides.items()
        for feature in ("penultimate", "image_embeds")
    ]
    return [
        *found,
        Comparison(
            name="face identity",
            against="insightface's FaceAnalysis on random networks with buffalo_l's inputs and outputs: largest face's "
            f"normed_embedding, {PICTURES} pictures",
            run=compare_identities,
        ),
    ]


def compare_vision(
    reference: Callable[[Tensor], tuple[dict[str, Tensor], dict[str, Tensor]]], *, feature: str
) -> float:
    """`reference` gives its outputs for a picture, and the file that it would save."""
    import comfy.cli_args
    import comfy.clip_vision
    from safetensors.torch import save_file

    from ..dreamoving_core.bridge.reference_images import image_features

    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected, file = reference(pixels)
    arguments = comfy.cli_args.args
    before, arguments.fp32_text_enc = arguments.fp32_text_enc, True  # core keeps encoders in fp16 otherwise
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vision.safetensors"
            save_file(file, path)
            del file
            clip_vision = comfy.clip_vision.load(str(path))
            return relative_error(image_features(clip_vision, pixels, feature=feature), expected[feature])
    finally:
        arguments.fp32_text_enc = before


def open_clip_reference(pixels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    import open_clip
    from open_clip.model import _build_vision_tower

    config = open_clip.get_model_config(VIT_H)
    with torch.device("meta"):
        visual = _build_vision_tower(
            config["embed_dim"],
            open_clip.CLIPVisionCfg(**config["vision_cfg"]),
            config.get("quick_gelu", False),
        )
    state = filled(visual)
    outputs: dict[str, Tensor] = {}
    visual.transformer.resblocks[-2].register_forward_hook(
        lambda _module, _inputs, output: outputs.update(penultimate=output)
    )
    outputs["image_embeds"] = visual(pixels)
    penultimate = outputs["penultimate"]
    if penultimate.shape[0] != pixels.shape[0]:  # older releases run with the token axis first
        outputs["penultimate"] = penultimate.transpose(0, 1)
    return outputs, {f"visual.{key}": tensor for key, tensor in state.items()}


def transformers_reference(pixels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=5120,
        num_hidden_layers=32,
        num_attention_heads=16,
        image_size=224,
        patch_size=14,
        projection_dim=1024,
        hidden_act="gelu",
    )
    with torch.device("meta"):
        model = CLIPVisionModelWithProjection(config)
    state = filled(model)
    found = model(pixels, output_hidden_states=True)
    return {"penultimate": found.hidden_states[-2], "image_embeds": found.image_embeds}, state


def filled(network: Any) -> dict[str, Tensor]:
    """Random numbers in a network that has none; what it would save."""
    shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    state = random_tensors(shapes, seed=3)
    network.load_state_dict(state, assign=True)
    for name, buffer in list(network.named_buffers()):  # those that no file holds, such as position ids
        if buffer.is_meta:
            owner, _, last = name.rpartition(".")
            values = torch.arange(buffer.numel()).reshape(buffer.shape).to(buffer.dtype)
            network.get_submodule(owner).register_buffer(last, values, persistent=False)
    network.eval()
    return state


def compare_identities() -> float:
    """The worst of several pictures, each with its own networks."""
    return max(compare_identity(seed) for seed in range(PICTURES))


def compare_identity(seed: int) -> float:
    import numpy as np
    from insightface.app import FaceAnalysis

    from ..dreamoving_core.preprocess.face_identity import load_face_recogniser

    picture = picture_with_a_spot(seed=seed)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "models" / "random"
        write_face_pack(folder, seed=seed)
        face = load_face_recogniser(folder, name="random").largest_face(torch.from_numpy(picture))
        analysis = FaceAnalysis(
            name="random",
            root=root,
            allowed_modules=["detection", "recognition"],
            providers=["CPUExecutionProvider"],
        )
        analysis.prepare(ctx_id=-1, det_thresh=0.5, det_size=(640, 640))
        pixels = np.ascontiguousarray((picture * 255).round().astype(np.uint8)[..., ::-1])
        faces = analysis.get(pixels)
    largest = max(faces, key=lambda f: (f.bbox[2] - f.bbox[0]) * (f.bbox[3] - f.bbox[1]))
    return relative_error(face.identity, torch.from_numpy(largest.normed_embedding))
