"""A ZoeDepth small enough for tests, as a model folder and as a file with the authors' names."""

import json
import re

import torch
from dreamoving.dreamoving_core.preprocess.depth_zoe import ZoeSettings, new_zoe
from dreamoving.dreamoving_core.preprocess.depth_zoe_keys import under_public_names
from dreamoving.dreamoving_core.weights.io import write_weights

SETTINGS = ZoeSettings(height=64, width=96, multiple=32)
CONFIG = {
    "model_type": "zoedepth",
    "backbone_config": {
        "model_type": "beit", "image_size": 64, "patch_size": 16, "hidden_size": 32, "num_hidden_layers": 4,
        "num_attention_heads": 2, "intermediate_size": 64, "layer_norm_eps": 1e-6, "use_relative_position_bias": True,
        "reshape_hidden_states": False, "out_features": ["stage1", "stage2", "stage3", "stage4"],
    },
    "neck_hidden_sizes": [12, 16, 20, 24],
    "fusion_hidden_size": 16,
    "bottleneck_features": 16,
    "num_relative_features": 8,
    "num_attractors": [4, 3, 2, 1],
    "bin_embedding_dim": 12,
    "bin_configurations": [{"n_bins": 6, "min_depth": 0.001, "max_depth": 10.0}],
}  # fmt: skip


def small_zoe(seed=0):
    """Random weights that keep the size of the signal."""
    network = new_zoe(CONFIG)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            width = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.2
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * width)
    return network


def write_folder(folder, network, *, settings=SETTINGS, config=CONFIG):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(settings.as_json()))
    write_weights(
        folder / "model.safetensors", under_public_names(network.state_dict()), metadata={"format": "pt"}
    )
    return folder


# Written down from the authors' modules, the other way round than the pack does it.
THEIRS = (
    (r"^backbone\.embeddings\.cls_token", "core.core.pretrained.model.cls_token"),
    (r"^backbone\.embeddings\.patch_embeddings\.projection", "core.core.pretrained.model.patch_embed.proj"),
    (r"^backbone\.encoder\.layer", "core.core.pretrained.model.blocks"),
    (r"lambda_", "gamma_"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"attention\.attention\.relative_position_bias\.", "attn."),
    (r"attention\.attention\.(query|value)\.bias", lambda m: f"attn.{m[1][0]}_bias"),
    (r"attention\.output\.dense", "attn.proj"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"output\.dense", "mlp.fc2"),
    (r"^neck\.reassemble_stage\.readout_projects\.(\d)\.0", lambda m: f"core.core.pretrained.act_postprocess{int(m[1]) + 1}.0.project.0"),
    (r"^neck\.reassemble_stage\.layers\.(\d)\.projection", lambda m: f"core.core.pretrained.act_postprocess{int(m[1]) + 1}.3"),
    (r"^neck\.reassemble_stage\.layers\.(\d)\.resize", lambda m: f"core.core.pretrained.act_postprocess{int(m[1]) + 1}.4"),
    (r"^neck\.convs\.(\d)", lambda m: f"core.core.scratch.layer{int(m[1]) + 1}_rn"),
    (r"^neck\.fusion_stage\.layers\.(\d)", lambda m: f"core.core.scratch.refinenet{4 - int(m[1])}"),
    (r"residual_layer(\d)\.convolution(\d)", r"resConfUnit\1.conv\2"),
    (r"^(core\.core\.scratch\.refinenet\d)\.projection", r"\1.out_conv"),
    (r"^relative_head\.conv(\d)", lambda m: f"core.core.scratch.output_conv.{2 * int(m[1]) - 2}"),
    (r"^metric_head\.(seed_bin_regressor|seed_projector|projectors\.\d|attractors\.\d)\.conv(\d)",
     lambda m: f"{m[1]}._net.{2 * int(m[2]) - 2}"),
    (r"^metric_head\.", ""),
)  # fmt: skip


def authors_names(network):
    """The network's tensors as ZoeD_M12_N.pt has them, with what only training reads."""
    found, parts = {}, {}
    for key, tensor in under_public_names(network.state_dict()).items():
        part = re.search(r"layer\.(\d+)\.attention\.attention\.(query|key|value)\.weight", key)
        if part:
            parts.setdefault(int(part[1]), {})[part[2]] = tensor
            continue
        for pattern, name in THEIRS:
            key = re.sub(pattern, name, key)
        found[key] = tensor
    for layer, three in parts.items():
        rows = torch.cat([three[name] for name in ("query", "key", "value")])
        found[f"core.core.pretrained.model.blocks.{layer}.attn.qkv.weight"] = rows
        index = f"core.core.pretrained.model.blocks.{layer}.attn.relative_position_index"
        found[index] = torch.zeros(2, 2, dtype=torch.long)
    found["core.core.pretrained.model.head.weight"] = torch.zeros(3, 32)
    found["conditional_log_binomial.log_binomial_transform.k_idx"] = torch.arange(6)
    return found
