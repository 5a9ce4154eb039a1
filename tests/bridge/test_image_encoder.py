"""CLIP vision in open_clip's naming, as core loads it, against a ViT written out by hand. Full size: `bench parity`."""

import json
import math
from pathlib import Path

import comfy.clip_vision
import pytest
import torch
from comfy.clip_vision import ClipVisionModel, convert_to_transformers
from dreamoving.dreamoving_core.bridge.reference_images import image_features

WIDTH, LAYERS, HEADS, PATCH, SIZE, OUT = 48, 3, 4, 8, 32, 40
CELLS = (SIZE // PATCH) ** 2


@pytest.fixture
def exact():
    """Core keeps encoders in half precision otherwise."""
    import comfy.cli_args

    before, comfy.cli_args.args.fp32_text_enc = comfy.cli_args.args.fp32_text_enc, True
    yield
    comfy.cli_args.args.fp32_text_enc = before


def open_clip_file():
    """The tensors under `visual.` as open_clip names them: q, k and v in one matrix, the projection transposed."""
    shapes = {"class_embedding": (WIDTH,), "positional_embedding": (CELLS + 1, WIDTH), "proj": (WIDTH, OUT)}
    shapes |= {"conv1.weight": (WIDTH, 3, PATCH, PATCH)}
    norms = ["ln_pre", "ln_post"]
    for i in range(LAYERS):
        block = f"transformer.resblocks.{i}."
        norms += [block + "ln_1", block + "ln_2"]
        for name, rows, columns in (
            ("attn.in_proj_", 3 * WIDTH, WIDTH),
            ("attn.out_proj.", WIDTH, WIDTH),
            ("mlp.c_fc.", 4 * WIDTH, WIDTH),
            ("mlp.c_proj.", WIDTH, 4 * WIDTH),
        ):
            shapes |= {f"{block}{name}weight": (rows, columns), f"{block}{name}bias": (rows,)}
    for norm in norms:
        shapes |= {f"{norm}.weight": (WIDTH,), f"{norm}.bias": (WIDTH,)}
    generator = torch.Generator().manual_seed(0)
    return {
        f"visual.{key}": torch.randn(shape, generator=generator)
        / math.sqrt(shape[-1] if len(shape) > 1 else 4)
        for key, shape in shapes.items()
    }


def vit(file, pixels, *, activation):
    """Penultimate hidden states and the embedding, step by step."""
    p = {key.removeprefix("visual."): value for key, value in file.items()}

    def norm(x, name):
        return torch.nn.functional.layer_norm(x, (WIDTH,), p[f"{name}.weight"], p[f"{name}.bias"])

    patches = pixels.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)  # b c h w ph pw
    patches = torch.einsum("bchwij,dcij->bhwd", patches, p["conv1.weight"]).flatten(1, 2)
    x = torch.cat([p["class_embedding"].expand(len(pixels), 1, -1), patches], dim=1)
    x = norm(x + p["positional_embedding"], "ln_pre")
    states = []
    for i in range(LAYERS):
        block = f"transformer.resblocks.{i}."
        h = norm(x, block + "ln_1") @ p[block + "attn.in_proj_weight"].T + p[block + "attn.in_proj_bias"]
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in h.chunk(3, dim=-1))
        seen = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS), dim=-1) @ v
        seen = seen.transpose(1, 2).flatten(2)
        x = x + seen @ p[block + "attn.out_proj.weight"].T + p[block + "attn.out_proj.bias"]
        h = norm(x, block + "ln_2") @ p[block + "mlp.c_fc.weight"].T + p[block + "mlp.c_fc.bias"]
        x = x + activation(h) @ p[block + "mlp.c_proj.weight"].T + p[block + "mlp.c_proj.bias"]
        states.append(x)
    return {"penultimate": states[-2], "image_embeds": norm(x[:, 0], "ln_post") @ p["proj"]}


def test_a_file_in_open_clips_naming_gives_both_features_of_the_layers_that_ip_adapters_read(exact):
    file = open_clip_file()
    pixels = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    expected = vit(file, pixels, activation=torch.nn.functional.gelu)
    model = ClipVisionModel(
        {
            "model_type": "clip_vision_model",
            "hidden_act": "gelu",
            "num_channels": 3,
            "image_size": SIZE,
            "patch_size": PATCH,
            "hidden_size": WIDTH,
            "intermediate_size": 4 * WIDTH,
            "num_attention_heads": HEADS,
            "num_hidden_layers": LAYERS,
            "projection_dim": OUT,
        }
    )

    missing, unexpected = model.load_sd(convert_to_transformers(dict(file), "visual."))

    assert (missing, unexpected) == ([], [])
    for feature, values in expected.items():
        found = image_features(model, pixels, feature=feature)
        assert (found - values).abs().max() / values.abs().max() < 1e-5, feature


def test_core_runs_vit_h_with_the_activation_that_it_was_trained_with():
    """OpenCLIP's ViT-H/14 of laion2B has the exact GELU; with OpenAI's quick one a file loads and is wrong."""
    config = json.loads(
        (Path(comfy.clip_vision.__file__).parent / "clip_vision_config_h.json").read_text(encoding="utf-8")
    )

    assert config["hidden_act"] == "gelu"
    assert (config["hidden_size"], config["projection_dim"]) == (1280, 1024)
    file, pixels = open_clip_file(), torch.randn(1, 3, SIZE, SIZE)
    exact = vit(file, pixels, activation=torch.nn.functional.gelu)
    quick = vit(file, pixels, activation=lambda x: x * torch.sigmoid(1.702 * x))
    assert (exact["image_embeds"] - quick["image_embeds"]).abs().max() > 1e-3
