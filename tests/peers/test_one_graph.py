"""One graph with every pack in it, run by ComfyUI's executor."""

import gc
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file


def graph(first, second):
    """Our motion on one branch of the U-Net, AnimateDiff-Evolved's on the other; `first` has the smaller ids."""
    nodes = {
        "1": ("UNETLoader", {"unet_name": "sd15.safetensors", "weight_dtype": "default"}),
        "2": ("CLIPLoader", {"clip_name": "clip_l.safetensors", "type": "stable_diffusion"}),
        "3": ("CLIPTextEncode", {"clip": ["2", 0], "text": "a dancer"}),
        "4": ("CLIPTextEncode", {"clip": ["2", 0], "text": "blurred"}),
        "5": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 4}),
        "6": ("DreaMovingLoadMotionModel", {"motion_model": "v3.safetensors"}),
        "7": ("ADE_LoadAnimateDiffModel", {"model_name": "v2.safetensors"}),
        "8": ("ADE_ApplyAnimateDiffModelSimple", {"motion_model": ["7", 0]}),
        "ours": (
            "DreaMovingApplyMotion",
            {
                "model": ["1", 0],
                "motion_model": ["6", 0],
                "strength": 1.0,
                "scale": 1.0,
                "start_percent": 0.0,
                "end_percent": 1.0,
                "beta_schedule": "auto",
            },
        ),
        "theirs": (
            "ADE_UseEvolvedSampling",
            {"model": ["1", 0], "beta_schedule": "autoselect", "m_models": ["8", 0]},
        ),
    }
    for name in (first, second, "stock"):
        sampler = {
            "model": ["1" if name == "stock" else name, 0],
            "seed": 5,
            "steps": 1,
            "cfg": 2.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "positive": ["3", 0],
            "negative": ["4", 0],
            "latent_image": ["5", 0],
            "denoise": 1.0,
        }
        nodes[f"{name} sampled"] = ("KSampler", sampler)
        nodes[f"{name} saved"] = (
            "SaveLatent",
            {"samples": [f"{name} sampled", 0], "filename_prefix": name},
        )
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def run(prompt, wanted):
    """What the executor's graph saved for each of `wanted`, by a fresh executor that has nothing in its cache."""
    import comfy.model_management
    import execution
    import folder_paths

    server = SimpleNamespace(client_id=None, last_node_id=None, send_sync=lambda *args: None)
    executor = execution.PromptExecutor(
        server, execution.CacheType.CLASSIC, {"lru": 0, "ram": 0, "ram_inactive": 0}
    )
    outputs = [f"{name} saved" for name in wanted]
    executor.execute(prompt, "prompt", {}, outputs)
    assert executor.success, executor.status_messages[-1]
    found = {}
    for name, node in zip(wanted, outputs, strict=True):
        (file,) = executor.history_result["outputs"][node]["latents"]
        found[name] = load_file(f"{folder_paths.get_output_directory()}/{file['filename']}")["latent_tensor"]
    del executor
    comfy.model_management.unload_all_models()
    gc.collect()
    return found


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_both_packs_in_one_graph_give_what_each_gives_alone(full_size_files, tmp_path, monkeypatch, first):
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    second = "theirs" if first == "ours" else "ours"
    prompt = graph(first, second)
    alone = {name: run(prompt, [name])[name] for name in ("ours", "theirs", "stock")}

    together = run(prompt, [first, second, "stock"])

    for name, latents in together.items():
        assert torch.equal(latents, alone[name]), name
    assert not torch.equal(alone["ours"], alone["theirs"])
