"""The small files that stand in for Wan's: core knows them for what they are, and the poses reach the networks."""

import comfy.sd
import pytest
import torch
from dreamoving.benchmarks.wan_stand_ins import (
    random_scail,
    random_wan_animate,
    random_wan_lora,
    random_wan_vae,
)
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from safetensors.torch import save_file

FRAMES, SIZE = 2, 8  # of latents


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Through files, as core's Load Diffusion Model reads them."""
    folder = tmp_path_factory.mktemp("wan")
    found = {}
    for name, made in (("WAN22_Animate", random_wan_animate()), ("WAN21_SCAIL", random_scail())):
        save_file(made.weights, folder / f"{name}.safetensors", made.metadata)
        found[name] = comfy.sd.load_diffusion_model(str(folder / f"{name}.safetensors"))
    return found


@pytest.mark.parametrize("name", ["WAN22_Animate", "WAN21_SCAIL"])
def test_core_knows_what_a_stand_in_stands_for(networks, name):
    assert type(networks[name].model).__name__ == name


@pytest.mark.parametrize(
    ("name", "channels", "of_poses"), [("WAN22_Animate", 36, 16), ("WAN21_SCAIL", 20, 20)]
)
@torch.inference_mode()
def test_the_poses_change_what_a_stand_in_says(networks, name, channels, of_poses):
    generator = torch.Generator().manual_seed(0)
    network = networks[name].model.diffusion_model.float()
    noise = torch.randn(1, channels, FRAMES + 1, SIZE, SIZE, generator=generator)
    words = torch.randn(1, 7, TinyConfig().context_dim, generator=generator)
    half = SIZE // 2 if name == "WAN21_SCAIL" else SIZE
    poses = torch.randn(1, of_poses, FRAMES, half, half, generator=generator)

    with_poses, without = (
        network(noise, torch.tensor([500.0]), words, pose_latents=told) for told in (poses, None)
    )

    assert with_poses.shape == without.shape
    assert (with_poses - without).abs().mean() > 1e-3 * without.abs().mean()


def test_the_lora_finds_its_layer_in_both_networks(networks):
    names = {name.rsplit(".lora_", 1)[0] + ".weight" for name in random_wan_lora().weights}

    for network in networks.values():
        assert names <= set(network.model.state_dict())


def test_core_knows_the_autoencoder():
    vae = comfy.sd.VAE(sd=random_wan_vae().weights)

    vae.throw_exception_if_invalid()
    assert (vae.latent_channels, vae.latent_dim) == (16, 3)  # Wan's: a video of 16 channels
