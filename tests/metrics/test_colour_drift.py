"""Lab against published values, and drifts that are known."""

import pytest
import torch
from dreamoving.dreamoving_core.metrics.colour_drift import PARTS, colour_shift, drift, small_lab, to_lab


@pytest.mark.parametrize(
    ("colour", "lab"),
    [  # Lindbloom's calculator, sRGB, D65
        ((1.0, 1.0, 1.0), (100.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (53.2408, 80.0925, 67.2032)),
        ((0.0, 1.0, 0.0), (87.7347, -86.1827, 83.1793)),
        ((0.0, 0.0, 1.0), (32.2970, 79.1875, -107.8602)),
        ((0.02, 0.02, 0.02), (1.3983, 0.0, 0.0)),
    ],
)
def test_lab_is_the_published_one(colour, lab):
    assert to_lab(torch.tensor([colour], dtype=torch.float64))[0].tolist() == pytest.approx(lab, abs=0.01)


def test_a_step_of_ten_in_lightness_is_a_drift_of_ten():
    shifts = torch.zeros(16, 3, dtype=torch.float64)
    shifts[6:, 0] = 10.0

    assert drift(shifts) == pytest.approx(10.0)


def test_an_even_drift_is_told_between_the_middles_of_the_two_parts():
    shifts = torch.zeros(17, 3, dtype=torch.float64)
    shifts[:, 1] = torch.arange(17) * 0.5

    assert drift(shifts) == pytest.approx(0.5 * (17 - 17 // PARTS))


def test_a_dancer_who_moves_does_not_count_while_the_light_does():
    ground = torch.full((32, 32, 3), 0.5)
    moved, dimmed = ground.clone(), ground - 0.1
    moved[:, 4:16] = 1.0
    dimmed[:, 10:22] = 1.0
    first = small_lab(ground)
    expected = to_lab(torch.full((3,), 0.4)) - to_lab(torch.full((3,), 0.5))

    assert colour_shift(small_lab(moved), first).abs().max() < 1e-6
    assert torch.allclose(colour_shift(small_lab(dimmed), first).float(), expected, atol=1e-4)


def test_large_pictures_are_looked_at_smaller_and_keep_their_colour():
    large = torch.full((300, 1024, 3), 0.25)

    lab = small_lab(large)

    assert lab.shape == (75, 256, 3)
    assert torch.allclose(lab, to_lab(torch.full((3,), 0.25)).expand_as(lab), atol=1e-4)
