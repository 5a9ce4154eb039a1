"""A LoRA that was trained beside the U-Net: the file gives ComfyUI the U-Net that learned it."""

import comfy.sd
import pytest
import torch
from dreamoving.dreamoving_core.bridge.tiny import build_model
from dreamoving.dreamoving_core.training.export import export_style_lora
from dreamoving.dreamoving_core.training.lineage import Made
from dreamoving.dreamoving_core.training.lora import Lora
from dreamoving.dreamoving_core.training.objective import Objective
from dreamoving.dreamoving_core.training.stages import STYLE_LORA
from dreamoving.dreamoving_core.weights.io import read_weights
from training.small_trainee import CONFIG, small_batch, small_networks

RANK = 4


@pytest.fixture
def networks():
    return small_networks()


def prediction(unet):
    generator = torch.Generator().manual_seed(0)
    noisy = torch.randn(2, 4, 4, 4, generator=generator)
    context = torch.randn(2, 7, CONFIG.context_dim, generator=generator)
    with torch.no_grad():
        return unet(noisy, timesteps=torch.tensor([10.0, 500.0]), context=context)


def learned(lora):
    """As after training: `lora_up` is not zero any more, and half precision holds all numbers."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in lora.parameters():
            parameter.copy_((torch.randn(parameter.shape, generator=generator) * 0.05).half())


def test_it_says_nothing_before_it_has_learned(networks):
    unet = networks.base.diffusion_model
    before = prediction(unet)

    Lora(unet, rank=RANK)

    assert torch.equal(prediction(unet), before)


def test_the_stage_moves_the_lora_and_nothing_else(networks):
    Lora(networks.base.diffusion_model, rank=RANK)
    trainee = networks.trainee(Objective(), motion=False)
    trainee.requires_grad_(False)
    learners = STYLE_LORA.learners(trainee)
    for parameter in learners.values():
        parameter.requires_grad_(True)

    loss, _ = trainee(small_batch(), [torch.Generator().manual_seed(i) for i in range(2)])
    loss.backward()

    assert {name.rsplit(".", 1)[1] for name in learners} == {"lora_up", "lora_down"}
    moved = {name for name, p in trainee.named_parameters() if p.grad is not None and p.grad.any()}
    # while lora_up is zero, only it has a gradient
    assert moved == {name for name in learners if name.endswith("lora_up")}


def test_comfyui_reads_the_file_as_it_was_trained(networks, tmp_path):
    unet = networks.base.diffusion_model
    plain = {key: value.clone() for key, value in unet.state_dict().items()}
    lora = Lora(unet, rank=RANK)
    learned(lora)
    expected = prediction(unet)
    export_style_lora(lora, tmp_path, made=Made(steps=7))
    file = read_weights(next(tmp_path.iterdir()))
    model = build_model(CONFIG, plain, disable_dynamic=True)

    patched, _ = comfy.sd.load_lora_for_models(model, None, file.state_dict, 1.0, 1.0)
    patched.patch_model()

    found = prediction(patched.model.diffusion_model.float())
    assert (found - expected).norm() / expected.norm() <= 1e-5
    other = prediction(build_model(CONFIG, plain, disable_dynamic=True).model.diffusion_model.float())
    assert (found - other).norm() / other.norm() > 0.01
    assert len(patched.patches) == len(lora.shapes)  # every tensor found its layer
    assert (file.metadata["training_steps"], "style" in file.metadata["training_data"]) == ("7", True)


def test_a_layer_narrower_than_the_rank_keeps_its_own(networks):
    lora = Lora(networks.base.diffusion_model, rank=64)

    narrow = lora.get_submodule("input_blocks_0_0")  # 4 channels of 3 x 3

    assert narrow.lora_down.shape == (32, 36)
    assert narrow.lora_up.shape == (32, 32)
