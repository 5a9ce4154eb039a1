"""The noise that a motion file was trained with: AnimateDiff's betas, AnimateLCM's grid."""

import pytest
import torch
from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
from dreamoving.dreamoving_core.bridge.motion import apply_motion
from dreamoving.dreamoving_core.bridge.noise_schedule import scheduled
from dreamoving.dreamoving_core.errors import InputError
from small_host import sample_latents, small_model
from small_motion import small_motion


def linear_sigmas():
    alphas = torch.cumprod(1 - torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64), 0)
    return ((1 - alphas) / alphas).sqrt().float()


def test_lcm_has_every_tenth_sigma_of_the_linear_betas(small_sd15):
    sampling = scheduled(small_sd15.get_model_object("model_sampling"), "lcm")

    assert torch.allclose(sampling.sigmas, linear_sigmas()[9::10])
    assert len(sampling.sigmas) == 100
    assert sampling.timestep(sampling.sigmas).tolist() == list(range(9, 1000, 10))


def test_lcm_denoises_with_the_boundary_weights_of_its_scheduler(small_sd15):
    """Against diffusers' LCMScheduler, the one that AnimateLCM's authors use."""
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.LCMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear", original_inference_steps=100, clip_sample=False
    )  # fmt: skip
    scheduler.set_timesteps(4)
    sampling = scheduled(small_sd15.get_model_object("model_sampling"), "lcm")
    generator = torch.Generator().manual_seed(0)
    noised, epsilon = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2))
    step = scheduler.timesteps[1]
    expected = scheduler.step(epsilon, step, noised, generator=generator).denoised

    sigma = sampling.sigma(step)
    found = sampling.calculate_denoised(sigma[None], epsilon, noised * (1 + sigma**2).sqrt())

    # diffusers keeps a share c_skip < 1e-8 of the scaled latent, core of the unscaled one
    assert int(step) in range(9, 1000, 10)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_auto_sets_lcm_noise_for_a_file_that_was_distilled_with_it(small_sd15):
    motion = small_motion(small_sd15)
    asks = type(motion)(patcher=motion.patcher, config=motion.config, info={"beta_schedule": "lcm"})

    auto = apply_motion(small_sd15, asks)

    assert len(auto.get_model_object("model_sampling").sigmas) == 100
    assert "model_sampling" not in apply_motion(small_sd15, asks, beta_schedule="keep").object_patches
    assert (
        len(apply_motion(small_sd15, asks, beta_schedule="linear").get_model_object("model_sampling").sigmas)
        == 1000
    )
    latents = sample_latents(auto, frames=3, size=4, steps=2, cfg=1.0, sampler="lcm", scheduler="sgm_uniform")
    assert latents.isfinite().all()


def test_linear_keeps_the_few_steps_that_a_model_sampling_node_set(small_sd15):
    (distilled,) = ModelSamplingDiscrete().patch(small_sd15, "lcm", False)

    kept = apply_motion(distilled, small_motion(small_sd15))

    assert len(kept.get_model_object("model_sampling").sigmas) == 50


def test_lcm_noise_for_a_model_that_predicts_v_is_refused():
    model = small_model(v_prediction=True)

    with pytest.raises(InputError, match=r"predicts v. Set beta_schedule to 'keep'"):
        apply_motion(model, small_motion(model), beta_schedule="lcm")
