"""Motion LoRAs on a loaded motion model: the same numbers as weights with the LoRA merged in by hand."""

import pytest
import torch
from dreamoving.dreamoving_core.bridge.insertion import fitting_config
from dreamoving.dreamoving_core.bridge.motion import apply_motion, load_motion
from dreamoving.dreamoving_core.bridge.motion_lora import with_motion_lora
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights.motion_lora import LowRank, MotionLora
from small_host import sample_latents, small_model
from small_motion import motion_weights


def sample(model, motion, **settings):
    moving = apply_motion(model, motion, beta_schedule="keep")
    return sample_latents(moving, frames=4, size=4, steps=1, cfg=1.0, **settings)


def relative(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def motion(model):
    config = fitting_config(model)
    return load_motion(motion_weights(config), config, info={"name": "mm.ckpt"})


def small_lora(motion, *, seed=0, alpha=None, name="zoom.ckpt", skip=()):
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for key, weight in motion.patcher.model.state_dict().items():
        if key.endswith(("to_q.weight", "to_out.0.weight")) and not key.startswith(skip):
            down = torch.randn(2, weight.shape[1], generator=generator)
            up = 0.1 * torch.randn(weight.shape[0], 2, generator=generator)
            layers[key] = LowRank(down=down, up=up, alpha=alpha)
    return MotionLora(name=name, layers=layers)


def merged(motion, *pairs):
    """The motion model of the same weights plus the LoRAs, added here."""
    weights = {key: value.clone() for key, value in motion.patcher.model.state_dict().items()}
    for lora, factor in pairs:
        for key, layer in lora.layers.items():
            weights[key] += factor * layer.up @ layer.down
    return load_motion(weights, motion.config)


def test_a_lora_moves_the_model_as_merged_weights_do(model, motion):
    lora = small_lora(motion)

    expected = sample(model, merged(motion, (lora, 0.7)))

    found = sample(model, with_motion_lora(motion, lora, strength=0.7))

    assert relative(found, expected) <= 1e-5
    assert relative(found, sample(model, motion)) > 1e-3


def test_alpha_divides_by_the_rank(model, motion):
    lora = small_lora(motion, alpha=torch.tensor(1.0))

    expected = sample(model, merged(motion, (lora, 0.5)))

    found = sample(model, with_motion_lora(motion, lora))

    assert relative(found, expected) <= 1e-5


def test_loras_in_a_chain_add_up(model, motion):
    zoom, pan = small_lora(motion, seed=1), small_lora(motion, seed=2, name="pan.ckpt")
    expected = sample(model, merged(motion, (zoom, 0.5), (pan, -1.0)))

    found = sample(model, with_motion_lora(with_motion_lora(motion, zoom, strength=0.5), pan, strength=-1.0))

    assert relative(found, expected) <= 1e-5


def test_strength_zero_is_the_motion_model_itself(motion):
    assert with_motion_lora(motion, small_lora(motion), strength=0.0) is motion


def test_the_motion_model_without_the_lora_stays_as_it_was_in_turn(model, motion):
    """Two branches of one graph: with the LoRA, without it, and with it again."""
    zoomed = with_motion_lora(motion, small_lora(motion))
    weights = {key: value.clone() for key, value in motion.patcher.model.state_dict().items()}
    alone = [sample(model, m) for m in (motion, zoomed)]

    mixed = [sample(model, m) for m in (zoomed, motion, zoomed, motion)]

    assert [torch.equal(found, alone[i]) for found, i in zip(mixed, (1, 0, 1, 0), strict=True)] == [True] * 4
    now = motion.patcher.model.state_dict()
    assert all(torch.equal(now[key], value) for key, value in weights.items())


def test_a_deep_clone_for_another_device_takes_the_lora_along(model, motion):
    zoomed = with_motion_lora(motion, small_lora(motion))

    patches = zoomed.patcher.deepclone_multigpu().patches

    assert patches.keys() == zoomed.patcher.patches.keys() != set()


def test_a_lora_for_another_version_is_refused_even_at_strength_zero(model, motion):
    v3 = load_motion(motion_weights(fitting_config(model, mid=False)), fitting_config(model, mid=False))

    with pytest.raises(WeightsError, match=r"'zoom.ckpt' was made for motion models with a middle block"):
        with_motion_lora(v3, small_lora(motion), strength=0.0)
    with pytest.raises(WeightsError, match=r"every motion block but the middle one.*'mm.ckpt' has one"):
        with_motion_lora(motion, small_lora(motion, skip=("mid_block",)))
