"""Both packs in one process, with a real ComfyUI: only where PEER_NODES names a folder with the three packs, never in CI.

The peers, each as a git checkout or an unpacked archive below PEER_NODES: ComfyUI-AnimateDiff-Evolved,
ComfyUI-Advanced-ControlNet, ComfyUI_IPAdapter_plus. AnimateDiff-Evolved's motion models take no U-Net but a full-size one,
so tests with them write 5 GB of random numbers to a temporary folder, or once to PEER_MODELS, and hold 9 GB of memory.
"""

import asyncio
import gc
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from peers.files import clip_vision, write_full_size, write_small
from peers.graph import LOADED, PACK, PEERS, call, latents_of, plain_state

FIGURES = PACK / "out" / "peers.json"


def pytest_collection_modifyitems(items):
    reason = "PEER_NODES names no folder with the packs to stand beside"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.peers)
            if not os.environ.get("PEER_NODES"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def packs():
    """The peers through ComfyUI's own loader, and our pack, which the tests have loaded already, by the same steps."""
    import nodes

    for name in PEERS:
        path = Path(os.environ["PEER_NODES"]) / name
        assert asyncio.run(nodes.load_custom_node(str(path))), f"ComfyUI could not load {path}"

    async def register():
        extension = await sys.modules["dreamoving"].comfy_entrypoint()
        await extension.on_load()
        return {node.GET_SCHEMA().node_id: node for node in await extension.get_node_list()}

    nodes.NODE_CLASS_MAPPINGS.update(asyncio.run(register()))
    return nodes.NODE_CLASS_MAPPINGS


def show_folders(folder):
    import folder_paths

    for path in folder.iterdir():
        folder_paths.add_model_folder_path(path.name, str(path), is_default=True)
    folder_paths.filename_list_cache.clear()


@pytest.fixture(autouse=True)
def nothing_swapped(packs):
    """Every function of ComfyUI and torch that a peer swaps while it runs is back in its place afterwards."""
    import comfy.ops
    import comfy.samplers

    def swapped():
        norm = comfy.ops.disable_weight_init.GroupNorm
        return comfy.samplers.sampling_function, torch.nn.GroupNorm.forward, norm.forward_comfy_cast_weights

    before = swapped()
    yield
    assert swapped() == before


def clean_after_each_test(model, state, latents):
    """The base model; after the test it has its names, weights and latents of before."""
    yield model
    gc.collect()
    assert torch.equal(latents_of(model), latents)
    assert plain_state(model) == state


@pytest.fixture(scope="session")
def small_and_before(packs, tmp_path_factory):
    from small_host import small_model

    folder = tmp_path_factory.mktemp("small")
    write_small(folder)
    show_folders(folder)
    model = small_model()
    return model, plain_state(model), latents_of(model)


@pytest.fixture
def small(small_and_before):
    """The small SD1.5 of all tests that need no motion model of AnimateDiff-Evolved's."""
    yield from clean_after_each_test(*small_and_before)


@pytest.fixture(scope="session")
def full_size_files(packs, tmp_path_factory):
    kept = os.environ.get("PEER_MODELS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("full_size")
    write_full_size(folder)
    show_folders(folder)


@pytest.fixture(scope="module")
def base_and_before(full_size_files):
    (model,) = call("UNETLoader", unet_name="sd15.safetensors", weight_dtype="default")
    return model, plain_state(model), latents_of(model)


@pytest.fixture
def base(base_and_before):
    """The one full-size base model."""
    yield from clean_after_each_test(*base_and_before)


@pytest.fixture(scope="module", autouse=True)
def fresh_loaders():
    """No module of tests keeps models for the next one."""
    import comfy.model_management

    yield
    LOADED.clear()
    comfy.model_management.unload_all_models()
    gc.collect()


@pytest.fixture(scope="session")
def encoder(packs):
    return clip_vision()


@pytest.fixture
def image():
    return torch.rand(1, 224, 224, 3, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def figures():
    """Name to relative error; added to out/peers.json after each module."""
    found = {}
    yield found
    FIGURES.parent.mkdir(exist_ok=True)
    known = json.loads(FIGURES.read_text(encoding="utf-8"))["figures"] if FIGURES.exists() else {}
    FIGURES.write_text(json.dumps({"figures": known | found}, indent=1) + "\n", encoding="utf-8")
