"""Names of ZoeDepth's tensors: the authors' files and newer versions of transformers, told in the public ones' names.

Public are the names of the files on Hugging Face, which every version of transformers reads. [Zoe]
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import WeightsError

Shapes = Mapping[str, tuple[int, ...]]

BEIT = "core.core.pretrained.model."
CLASS_TOKEN = f"{BEIT}cls_token"
WRAPPER = "model."
TWO_HEADS = "mlp_classifier."  # of ZoeD_M12_NK.pt

# In newer versions of transformers (from 5 on) the backbone's modules have other names; the files kept theirs.
NEWER = (
    (r"^backbone\.beit\.layers\.", "backbone.encoder.layer."),
    (r"^backbone\.beit\.", "backbone."),
    (r"(^backbone\..*\d+\.)relative_position_bias\.", r"\1attention.attention.relative_position_bias."),
    (r"(^backbone\..*attention\.)q_proj\.", r"\1attention.query."),
    (r"(^backbone\..*attention\.)k_proj\.", r"\1attention.key."),
    (r"(^backbone\..*attention\.)v_proj\.", r"\1attention.value."),
    (r"(^backbone\..*attention\.)o_proj\.", r"\1output.dense."),
    (r"(^backbone\..*)mlp\.fc1\.", r"\1intermediate.dense."),
    (r"(^backbone\..*)mlp\.fc2\.", r"\1output.dense."),
)

# The authors' names. `qkv` is three tensors in one, see `renamed`.
AUTHORS = (
    (r"^core\.core\.pretrained\.model\.cls_token", "backbone.embeddings.cls_token"),
    (r"^core\.core\.pretrained\.model\.patch_embed\.proj", "backbone.embeddings.patch_embeddings.projection"),
    (r"^core\.core\.pretrained\.model\.blocks\.", "backbone.encoder.layer."),
    (r"\.gamma_([12])$", r".lambda_\1"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.q_bias$", ".attention.attention.query.bias"),
    (r"\.attn\.v_bias$", ".attention.attention.value.bias"),
    (
        r"\.attn\.relative_position_bias_table$",
        ".attention.attention.relative_position_bias.relative_position_bias_table",
    ),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
    (r"^core\.core\.scratch\.output_conv\.0\.", "relative_head.conv1."),
    (r"^core\.core\.scratch\.output_conv\.2\.", "relative_head.conv2."),
    (r"^core\.core\.scratch\.output_conv\.4\.", "relative_head.conv3."),
    (r"\.out_conv\.", ".projection."),
    (r"\.resConfUnit([12])\.conv([12])\.", r".residual_layer\1.convolution\2."),
    (
        r"^(conv2|seed_bin_regressor|seed_projector|projectors|attractors|conditional_log_binomial)\.",
        r"metric_head.\1.",
    ),
    (r"\._net\.0\.", ".conv1."),
    (r"\._net\.2\.", ".conv2."),
)
COUNTED = (  # whose numbers are counted otherwise
    (r"^core\.core\.pretrained\.act_postprocess(\d)\.0\.project\.0\.", "neck.reassemble_stage.readout_projects.{}.0.", -1),
    (r"^core\.core\.pretrained\.act_postprocess(\d)\.3\.", "neck.reassemble_stage.layers.{}.projection.", -1),
    (r"^core\.core\.pretrained\.act_postprocess(\d)\.4\.", "neck.reassemble_stage.layers.{}.resize.", -1),
    (r"^core\.core\.scratch\.layer(\d)_rn\.", "neck.convs.{}.", -1),
    (r"^core\.core\.scratch\.refinenet(\d)\.", "neck.fusion_stage.layers.{}.", 4),  # theirs begins with the finest
)  # fmt: skip
UNUSED = (f"{BEIT}fc_norm.", f"{BEIT}head.", "conditional_log_binomial.log_binomial_transform.")


def public_name(key: str) -> str:
    """A name of transformers' network, of whatever version, in the public files' names."""
    for pattern, name in NEWER:
        key = re.sub(pattern, name, key)
    return key


def unwrapped(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network of a trainer's checkpoint, which keeps it under `model` beside an optimiser; else all tensors."""
    inside = {
        key.removeprefix(WRAPPER): value for key, value in state_dict.items() if key.startswith(WRAPPER)
    }
    return inside or dict(state_dict)


def is_authors_file(keys: Iterable[str]) -> bool:
    """Whether the tensors are named as in ZoeD_M12_N.pt."""
    return CLASS_TOKEN in keys


def renamed(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' tensors under public names; what no forward pass reads is left out."""
    found = {}
    for key, tensor in state_dict.items():
        if key.startswith(UNUSED) or key.endswith(".relative_position_index"):
            continue
        name = authors_name(key)
        if name.endswith(".attn.qkv.weight"):
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                found[name.replace(".attn.qkv.", f".attention.attention.{part}.")] = rows
        else:
            found[name] = tensor
    return found


def authors_name(key: str) -> str:
    for pattern, name, offset in COUNTED:
        match = re.match(pattern, key)
        if match:
            number = int(match[1])
            key = name.format(offset - number if offset > 0 else number + offset) + key[match.end() :]
    for pattern, name in AUTHORS:
        key = re.sub(pattern, name, key)
    return key


def authors_config(shapes: Shapes, *, name: str) -> dict[str, Any]:
    """The `config.json` that the tensors of an authors' file ask for. WeightsError when they fit no ZoeDepth."""
    if any(key.startswith(TWO_HEADS) for key in shapes):
        raise WeightsError(
            f"'{name}' is ZoeDepth with two heads (NK). As an authors' file only the one with one head is read: use "
            "ZoeD_M12_N.pt, or the folder of Intel/zoedepth-nyu-kitti."
        )
    try:
        width = shapes[CLASS_TOKEN][-1]
        layers = 1 + max(int(key.split(".")[5]) for key in shapes if key.startswith(f"{BEIT}blocks."))
        rows, heads = shapes[f"{BEIT}blocks.0.attn.relative_position_bias_table"]
        patch = shapes[f"{BEIT}patch_embed.proj.weight"][-1]
        grid = (math.isqrt(rows - 3) + 1) // 2
        fusion = shapes["core.core.scratch.layer1_rn.weight"][0]
        return {
            "model_type": "zoedepth",
            "backbone_config": {
                "model_type": "beit", "image_size": grid * patch, "patch_size": patch, "hidden_size": width,
                "num_hidden_layers": layers, "num_attention_heads": heads,
                "intermediate_size": shapes[f"{BEIT}blocks.0.mlp.fc1.weight"][0], "layer_norm_eps": 1e-6,
                "use_relative_position_bias": True, "reshape_hidden_states": False,
                "out_features": [f"stage{layers * part // 4}" for part in (1, 2, 3, 4)],
            },
            "neck_hidden_sizes": [shapes[f"core.core.pretrained.act_postprocess{i}.3.weight"][0] for i in (1, 2, 3, 4)],
            "fusion_hidden_size": fusion,
            "bottleneck_features": fusion,
            "num_relative_features": shapes["core.core.scratch.output_conv.2.weight"][0],
            "num_attractors": [shapes[f"attractors.{i}._net.2.weight"][0] for i in range(4)],
            "bin_embedding_dim": shapes["seed_projector._net.2.weight"][0],
            "bin_configurations": [{"n_bins": shapes["seed_bin_regressor._net.2.weight"][0], "min_depth": 1e-3, "max_depth": 10.0}],
        }  # fmt: skip
    except (KeyError, ValueError, IndexError) as error:
        raise WeightsError(
            f"'{name}' begins like ZoeDepth but lacks parts of it ({error}). Download it again."
        ) from error


def under_public_names(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of transformers' network as its files name it, in memory of its own."""
    return {public_name(key): value.detach().to(torch.device("cpu")) for key, value in state_dict.items()}
