"""Closed-form cases: each expected number follows from the test's own pixels."""

import builtins
import math

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, MissingPackageError
from dreamoving.dreamoving_core.metrics.fidelity import background_error, color_error, psnr, ssim


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_a_constant_error_of_a_tenth_is_twenty_decibel():
    truth = noise(3, 8, 6, 3) * 0.5

    assert psnr(truth + 0.1, truth) == pytest.approx(20.0, abs=1e-4)
    assert psnr(truth + 0.01, truth) == pytest.approx(40.0, abs=1e-3)


def test_equal_clips_have_infinite_psnr_and_black_against_white_has_none():
    clip = noise(2, 4, 4, 3)

    assert psnr(clip, clip) == math.inf
    assert psnr(torch.zeros(2, 4, 4, 3), torch.ones(2, 4, 4, 3)) == 0.0


def test_psnr_pools_the_error_of_all_frames_before_the_logarithm():
    truth = torch.zeros(2, 4, 4, 3)
    clip = truth.clone()
    clip[1] = 0.1

    assert psnr(clip, truth) == pytest.approx(-10 * math.log10(0.01 / 2), abs=1e-5)


def test_psnr_of_the_person_sees_only_the_person():
    truth = torch.zeros(2, 6, 6, 3)
    person = torch.zeros(2, 6, 6, dtype=torch.bool)
    person[:, 2:5, 1:3] = True
    clip = torch.where(person[..., None], truth + 0.1, truth + 0.9)

    assert psnr(clip, truth, person) == pytest.approx(20.0, abs=1e-4)
    assert psnr(clip, truth, ~person) == pytest.approx(-20 * math.log10(0.9), abs=1e-4)


def test_psnr_agrees_with_torchmetrics():
    from torchmetrics.functional.image import peak_signal_noise_ratio

    clip, truth = noise(3, 16, 16, 3), noise(3, 16, 16, 3, seed=1)

    assert psnr(clip, truth) == pytest.approx(
        float(peak_signal_noise_ratio(clip, truth, data_range=1.0)), abs=1e-4
    )


def test_a_soft_mask_weighs_and_one_mask_serves_all_frames():
    truth = torch.zeros(2, 1, 2, 3)
    clip = torch.tensor([0.2, 0.6]).view(1, 1, 2, 1).expand(2, 1, 2, 3)
    mask = torch.tensor([[0.75, 0.25]])[None]

    assert color_error(clip, truth, mask) == pytest.approx(0.75 * 0.2 + 0.25 * 0.6, abs=1e-6)


def test_colour_error_is_the_mean_distance_over_channels_and_pixels_of_the_part():
    truth = torch.zeros(1, 2, 2, 3)
    clip = truth.clone()
    clip[0, 0, 0] = torch.tensor([0.3, 0.0, 0.6])
    clip[0, 0, 1] = torch.tensor([-0.3, 0.3, 0.0])
    clip[0, 1] = 1.0
    part = torch.tensor([[[1, 1], [0, 0]]])

    assert color_error(clip, truth, part) == pytest.approx((0.9 / 3 + 0.6 / 3) / 2, abs=1e-6)
    assert background_error(clip, truth, part) == pytest.approx(1.0)


def test_structural_similarity_is_one_for_the_same_and_its_formula_for_two_flat_greys():
    a, b = torch.full((2, 32, 32, 3), 0.4), torch.full((2, 32, 32, 3), 0.8)
    luminance = (2 * 0.4 * 0.8 + 0.01**2) / (0.4**2 + 0.8**2 + 0.01**2)

    assert ssim(noise(2, 32, 32, 3), noise(2, 32, 32, 3)) == pytest.approx(1.0, abs=1e-5)
    assert ssim(a, b) == pytest.approx(luminance, abs=1e-3)


def test_structural_similarity_names_its_package_when_that_is_missing(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.startswith("torchmetrics"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match="pip install torchmetrics"):
        ssim(noise(1, 16, 16, 3), noise(1, 16, 16, 3))


@pytest.mark.parametrize("metric", [psnr, ssim, lambda a, b: color_error(a, b, torch.ones(1))])
def test_clips_that_do_not_match_are_refused_with_both_sizes(metric):
    with pytest.raises(InputError, match=r"The clip is \[4, 8, 8, 3\].*compared with \[5, 8, 8, 3\]"):
        metric(torch.zeros(4, 8, 8, 3), torch.zeros(5, 8, 8, 3))


@pytest.mark.parametrize("metric", [psnr, ssim, lambda a, b: color_error(a, b, torch.ones(1))])
def test_nan_has_no_score(metric):
    clip = torch.zeros(2, 16, 16, 3)
    clip[1, 2, 3, 0] = float("nan")
    with pytest.raises(InputError, match="not numbers"):
        metric(clip, torch.zeros(2, 16, 16, 3))


def test_an_empty_mask_is_an_error_and_not_a_perfect_score():
    clip = noise(1, 4, 4, 3)
    for measure in (
        lambda: psnr(clip, clip, torch.zeros(1, 4, 4)),
        lambda: background_error(clip, clip, torch.ones(1, 4, 4)),
    ):
        with pytest.raises(InputError, match="mask is empty"):
            measure()
