import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.flicker import (
    delta_flicker,
    flicker,
    flicker_between,
    motion_amplitude,
)


def test_a_still_clip_does_not_flicker_and_black_and_white_in_turn_does_fully():
    still = torch.rand(1, 4, 4, 3).expand(5, 4, 4, 3)
    blinking = (torch.arange(5) % 2).view(5, 1, 1, 1).expand(5, 4, 4, 3).float()

    assert flicker(still) == 0.0
    assert flicker(blinking) == 1.0


def test_a_ramp_flickers_by_its_step():
    ramp = torch.linspace(0, 0.8, 5).view(5, 1, 1, 1).expand(5, 4, 4, 3)

    assert flicker(ramp) == pytest.approx(0.2, abs=1e-6)


def test_beside_the_truth_only_what_the_truth_does_not_do_counts():
    truth = torch.rand(5, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    trembling = torch.tensor([0.0, 0.1, 0.0, 0.1, 0.0]).view(5, 1, 1, 1)

    assert flicker(truth + 0.3, truth) == pytest.approx(0.0, abs=1e-6)
    assert flicker(truth + trembling, truth) == pytest.approx(0.1, abs=1e-6)


def test_one_frame_and_another_count_are_refused():
    with pytest.raises(InputError, match="at least 2 frames, got 1"):
        flicker(torch.zeros(1, 4, 4, 3))
    with pytest.raises(InputError, match=r"The clip is \[3, 4, 4, 3\] and the truth \[4, 4, 4, 3\]"):
        flicker(torch.zeros(3, 4, 4, 3), torch.zeros(4, 4, 4, 3))


def test_delta_flicker_is_the_root_of_the_mean_square_that_the_truth_does_not_do():
    truth = torch.rand(3, 2, 2, 3, generator=torch.Generator().manual_seed(1))
    steps = torch.tensor([0.0, 0.3, 0.2]).view(3, 1, 1, 1)  # changes of 0.3 and -0.1

    assert delta_flicker(truth, truth) == 0
    assert delta_flicker(truth + 0.4, truth) == pytest.approx(0, abs=1e-6)
    assert delta_flicker(truth + steps, truth) == pytest.approx(((0.09 + 0.01) / 2) ** 0.5, abs=1e-6)


def test_motion_amplitude_is_the_root_of_the_mean_square_change():
    clip = torch.tensor([0.0, 0.3, 0.2]).view(3, 1, 1, 1).expand(3, 2, 2, 3)

    assert motion_amplitude(clip) == pytest.approx(((0.09 + 0.01) / 2) ** 0.5, abs=1e-6)
    assert motion_amplitude(clip[:1].expand(4, -1, -1, -1)) == 0


def test_a_mask_counts_where_it_is_set_in_both_frames():
    clip, mask = torch.zeros(2, 1, 3, 3), torch.tensor([[[1, 1, 0]], [[0, 1, 1]]])
    clip[1, 0, :, :] = torch.tensor([0.9, 0.2, 0.7])[:, None]

    assert motion_amplitude(clip, mask=mask) == pytest.approx(0.2, abs=1e-6)
    assert delta_flicker(clip, torch.zeros_like(clip), mask=mask) == pytest.approx(0.2, abs=1e-6)
    with pytest.raises(InputError, match="empty in every pair of frames"):
        motion_amplitude(clip, mask=torch.zeros(2, 1, 3))


def test_only_what_comes_and_goes_within_one_frame_is_flicker_without_a_truth():
    dark, light = torch.zeros(4, 4, 3), torch.ones(4, 4, 3)
    edge = [(torch.arange(4)[None, :, None] < x).float().expand(4, 4, 3) for x in (1, 2, 3)]

    assert flicker_between(dark, light, dark) == 1.0
    assert flicker_between(light, dark, light) == 1.0
    assert flicker_between(dark, light * 0.4, light) == 0.0, "a fade"
    assert flicker_between(dark, dark, light) == 0.0, "a cut"
    assert flicker_between(*edge) == 0.0, "an edge that passes"


def test_noise_between_equal_frames_counts_as_far_as_it_leaves_them():
    still = torch.full((8, 8, 3), 0.5)
    noise = torch.randn(still.shape, generator=torch.Generator().manual_seed(0)) * 0.1

    assert flicker_between(still, still + noise, still) == pytest.approx(float(noise.abs().mean()), rel=1e-5)
