"""What was trained is what ComfyUI runs: the trainer's networks, exported and loaded from the files, give the same numbers.

The networks are rounded to half precision before anything is compared, so that the files lose nothing.
"""

import os

import pytest
import torch
from dreamoving.dreamoving_core.bridge.content_guider import apply_content_guider
from dreamoving.dreamoving_core.bridge.motion import apply_motion
from dreamoving.dreamoving_core.bridge.reference_images import encode_images
from dreamoving.dreamoving_core.bridge.tiny_files import load_tiny
from dreamoving.dreamoving_core.bridge.trainable import new_autoencoder, token_ids
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.tiny import files
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from dreamoving.dreamoving_core.training.autoencoder import LATENT_SCALE
from dreamoving.dreamoving_core.training.batch import Batch
from dreamoving.dreamoving_core.training.export import export_tiny, half
from dreamoving.dreamoving_core.training.image_encoder import penultimate
from dreamoving.dreamoving_core.training.lineage import Made
from dreamoving.dreamoving_core.training.networks import new_networks
from dreamoving.dreamoving_core.training.objective import Objective
from dreamoving.dreamoving_core.weights.io import read_weights, write_weights
from einops import rearrange, repeat

MEGABYTE = 1024 * 1024
FRAMES = 3
CAPTION = "a woman dances on a beach at night, flat illustration"
CLOSE = (
    1e-4 if not torch.cuda.is_available() else 2e-2
)  # of the largest number; a GPU computes in half precision


@torch.no_grad()
def settled_and_rounded(module):
    """No parameter is zero, as after training, and half precision holds each exactly."""
    for parameter in module.parameters():
        if not parameter.any():
            parameter.normal_(std=0.02)
        parameter.copy_(parameter.half())


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    made = new_networks(TinyConfig())
    settled_and_rounded(made)
    return made.eval()


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(1)
    module = torch.nn.ModuleDict(dict(zip(("encoder", "decoder"), new_autoencoder(), strict=True)))
    settled_and_rounded(module)
    return module


@pytest.fixture(scope="module")
def folder(networks, autoencoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "weights"
    export_tiny(
        networks, autoencoder.state_dict(), folder, frames=16, made=dict.fromkeys(files.ALL, Made(steps=7))
    )
    return folder


@pytest.fixture(scope="module")
def tiny(folder):
    return load_tiny(folder)


def on_gpu(*patchers):
    import comfy.model_management

    comfy.model_management.load_models_gpu(list(patchers))


def assert_close(found, expected):
    difference = (found.cpu().float() - expected.cpu().float()).abs().max()
    assert found.shape == expected.shape
    assert float(expected.abs().max()) > 0
    assert float(difference.detach() / expected.detach().abs().max()) <= CLOSE


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pixels(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_the_files_are_those_of_the_list_and_small_enough_to_come_with_the_pack(folder):
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}

    assert sizes.keys() == set(files.ALL)
    assert sum(sizes.values()) <= 48 * MEGABYTE
    assert max(sizes.values()) <= 20 * MEGABYTE


@pytest.mark.parametrize("name", files.ALL)
def test_every_file_says_where_it_comes_from_and_is_in_half_precision(folder, name):
    weights = read_weights(folder / name)

    assert weights.metadata["license"] == "GPL-3.0-or-later"
    assert "DreaMoving-Tiny" in weights.metadata["modelspec.title"]
    assert weights.metadata["training_steps"] == "7"
    assert "ProcDance" in weights.metadata["training_data"]
    assert {t.dtype for t in weights.state_dict.values() if t.is_floating_point() and t.ndim} == {
        torch.float16
    }


def pairs(networks, autoencoder, tiny):
    """Per part: what was trained, and what came out of the files."""
    taesd = tiny.vae.first_stage_model
    return {
        "U-Net": (networks.base.diffusion_model, tiny.model.model.diffusion_model),
        "text": (networks.text, tiny.clip.cond_stage_model.clip_l.transformer),
        "vision": (networks.vision, tiny.clip_vision.model),
        "encoder": (autoencoder["encoder"], taesd.taesd_encoder),
        "decoder": (autoencoder["decoder"], taesd.taesd_decoder),
        "motion": (networks.motion, tiny.motion.patcher.model),
        "pose": (networks.controls["pose"], tiny.control_pose.control_model),
        "depth": (networks.controls["depth"], tiny.control_depth.control_model),
        "guider": (networks.guider, tiny.content_guider.guider),
    }


def test_every_tensor_goes_there_and_comes_back(networks, autoencoder, tiny):
    for part, (trained, loaded) in pairs(networks, autoencoder, tiny).items():
        expected, found = half(trained.state_dict()), loaded.state_dict()
        assert found.keys() == expected.keys(), part
        for key, value in expected.items():
            assert torch.equal(found[key].cpu().to(value.dtype), value), f"{part}: {key}"


def test_a_file_is_read_whatever_the_length_of_its_header(tmp_path):
    for padding in range(0, 256, 8):
        path = tmp_path / f"{padding}.safetensors"
        write_weights(path, {"weight": torch.ones(2)}, metadata={"note": "x" * padding})
        assert read_weights(path).state_dict["weight"].tolist() == [1, 1]


def test_motion_says_how_it_was_trained(tiny):
    assert tiny.motion.info["beta_schedule"] == "keep"
    assert tiny.motion.info["version"] == "DreaMoving motion model"


def test_the_unet_predicts_what_it_predicted_in_training(networks, tiny):
    noisy, sigmas, context = normal(2, 4, 16, 16) * 3, torch.tensor([0.3, 9.0]), normal(2, 77, 64, seed=1)
    on_gpu(tiny.model)
    device = tiny.model.load_device

    with torch.no_grad():
        expected = networks.base.apply_model(noisy, sigmas, c_crossattn=context)
        found = tiny.model.model.apply_model(
            noisy.to(device), sigmas.to(device), c_crossattn=context.to(device)
        )

    assert_close(found, expected)


def test_pictures_become_the_latents_that_training_saw(autoencoder, tiny):
    pictures = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(2))

    with torch.no_grad():
        model_latents = autoencoder["encoder"](pictures)
        found = tiny.vae.encode(rearrange(pictures, "f c h w -> f h w c"))

    assert_close(found, model_latents / LATENT_SCALE)
    latent_format = tiny.model.get_model_object("latent_format")
    assert_close(latent_format.process_in(found.cpu()), model_latents)


def test_latents_become_the_pictures_of_the_decoder(autoencoder, tiny):
    model_latents = normal(2, 4, 4, 5, seed=3)

    with torch.no_grad():
        expected = rearrange(autoencoder["decoder"](model_latents), "f c h w -> f h w c").clamp(0, 1)
        found = tiny.vae.decode(model_latents / LATENT_SCALE)

    assert_close(found, expected)


@pytest.mark.parametrize("caption", ["", CAPTION])
def test_a_prompt_becomes_the_tokens_that_training_saw(networks, tiny, caption):
    with torch.no_grad():
        expected = networks.text(input_tokens=token_ids([caption]))[0]
        found = tiny.clip.encode_from_tokens(tiny.clip.tokenize(caption))

    assert_close(found, expected)


def test_reference_pictures_become_the_features_that_training_saw(networks, tiny):
    pictures = pixels(2, 3, 64, 64, seed=4)

    with torch.no_grad():
        expected = penultimate(networks.vision, pictures)
    found = tiny.clip_vision.encode_image(rearrange(pictures, "n c h w -> n h w c") / 255)

    assert_close(found.penultimate_hidden_states, expected)


@pytest.mark.parametrize("branch", ["face", "cloth"])
def test_reference_pictures_become_the_image_tokens_that_training_saw(networks, tiny, branch):
    pictures = pixels(1, 3, 64, 64, seed=5)

    with torch.no_grad():
        expected = networks.guider.encode(branch, penultimate(networks.vision, pictures))
    found, _ = encode_images(
        tiny.content_guider, tiny.clip_vision, rearrange(pictures, "n c h w -> n h w c") / 255, branch=branch
    )

    assert_close(found.positive, expected)


def conditioned(tiny, batch, kind):
    """Tiny as the demo's graph sets it up: model, positive conditioning."""
    import nodes as core_nodes

    references = {
        name: rearrange(pixels(1, 3, 64, 64, seed=s), "n c h w -> n h w c") / 255 for name, s in SEEN
    }
    tokens = {
        name: encode_images(tiny.content_guider, tiny.clip_vision, picture, branch=name)[0]
        for name, picture in references.items()
    }
    model = apply_motion(tiny.model, tiny.motion)
    model = apply_content_guider(model, tiny.content_guider, **tokens)
    prompt = tiny.clip.encode_from_tokens_scheduled(tiny.clip.tokenize(CAPTION))
    control = {"pose": tiny.control_pose, "depth": tiny.control_depth}[kind]
    pictures = rearrange(batch.control[0], "f c h w -> f h w c") / 255
    apply = core_nodes.ControlNetApplyAdvanced().apply_controlnet
    return model, apply(prompt, prompt, control, pictures, 1.0, 0.0, 1.0)[0]


SEEN = (("face", 6), ("cloth", 7))


def batch_of(networks, kind):
    features = {name: penultimate(networks.vision, pixels(1, 3, 64, 64, seed=seed)) for name, seed in SEEN}
    return Batch(
        latents=normal(1, FRAMES, 4, 8, 8, seed=8),
        control=pixels(1, FRAMES, 3, 64, 64, seed=9),
        control_kind=kind,
        person=pixels(1, FRAMES, 8, 8),
        token_ids=token_ids(["", CAPTION]),
        caption=torch.tensor([1]),
        **features,
    )


def prediction_of_training(networks, batch, noisy, sigmas):
    trainee = networks.trainee(Objective(noise_levels=1), motion=True)
    keep = {name: torch.tensor([True]) for name in ("text", "face", "cloth", "identity", "control")}
    return trainee.denoise(noisy, sigmas, batch, keep)


def prediction_of_sampling(model, positive, sigma):
    """What ComfyUI's sampling sees at one noise level, and what the model answers."""
    import comfy.samplers

    seen = {}

    def look(model, x, sigmas, extra_args=None, **_options):
        seen["noisy"] = x
        seen["denoised"] = model(x, sigmas[:1].expand(len(x)), **(extra_args or {}))
        return seen["denoised"]

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, positive)
    guider.set_cfg(1.0)
    noise = normal(FRAMES, 4, 8, 8, seed=10)
    guider.sample(noise, noise * 0.3, comfy.samplers.KSAMPLER(look), torch.tensor([sigma, 0.0]), seed=0)
    return seen["noisy"].cpu().float(), seen["denoised"]


@pytest.mark.parametrize(("kind", "sigma"), [("pose", 8.0), ("depth", 0.6)])
def test_all_parts_together_predict_in_sampling_what_they_predicted_in_training(networks, tiny, kind, sigma):
    with torch.no_grad():
        batch = batch_of(networks, kind)
        model, positive = conditioned(tiny, batch, kind)

        noisy, found = prediction_of_sampling(model, positive, sigma)
        expected = prediction_of_training(networks, batch, noisy, torch.full((FRAMES,), sigma))
        context = networks.text(input_tokens=token_ids([CAPTION]))[0]
        alone = networks.base.apply_model(
            noisy, torch.full((FRAMES,), sigma), c_crossattn=repeat(context, "1 n d -> f n d", f=FRAMES)
        )

    assert_close(found, expected)
    assert float((alone - expected).abs().max()) > 100 * float((found.cpu() - expected).abs().max())


def folder_without(name, folder, place):
    """The same files in another place, but one."""
    place.mkdir()
    for path in folder.iterdir():
        if path.name != name:
            os.link(path, place / path.name)
    return place


@pytest.mark.parametrize("name", files.ALL)
def test_a_missing_file_is_named_with_what_to_do(folder, tmp_path, name):
    place = folder_without(name, folder, tmp_path / "weights")

    with pytest.raises(WeightsError, match=rf"file '{name}' is missing from .*run.py train tiny"):
        load_tiny(place)


@pytest.mark.parametrize("name", [files.UNET, files.AUTOENCODER, files.CONTENT_GUIDER])
def test_a_file_that_was_cut_is_named_with_what_to_do(folder, tmp_path, name):
    place = folder_without(name, folder, tmp_path / "weights")
    (place / name).write_bytes((folder / name).read_bytes()[:-1000])

    with pytest.raises(WeightsError, match=rf"'{name}' is truncated.*[Dd]ownload"):
        load_tiny(place)


@pytest.mark.parametrize(
    "name",
    [
        files.UNET,
        files.TEXT,
        files.VISION,
        files.AUTOENCODER,
        files.MOTION,
        files.CONTROL_DEPTH,
        files.CONTENT_GUIDER,
    ],
)
def test_a_file_that_lacks_a_tensor_is_refused(folder, tmp_path, name):
    place = folder_without(name, folder, tmp_path / "weights")
    weights = read_weights(folder / name)
    last = [key for key in weights.state_dict if key.endswith(".weight")][-1]
    rest = {key: value for key, value in weights.state_dict.items() if key != last}
    write_weights(place / name, rest, metadata=weights.metadata)

    with pytest.raises(WeightsError, match=r"1 (tensors|keys)? ?(are )?missing|does not fit"):
        load_tiny(place)
