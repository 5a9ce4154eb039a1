"""Closed-form cases: a picture that is shifted by whole pixels follows its flow exactly."""

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.warp import visible_along, warp_error, warped_back
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip


def noise(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def shifted(frames=4, step=2):
    """A picture that wanders to the right, and its flow."""
    first = noise(8, 10, 3)
    clip = torch.stack([first.roll(step * i, dims=1) for i in range(frames)])
    flow = torch.zeros(frames, 8, 10, 2)
    flow[..., 0] = step
    return clip, flow


def test_a_shifted_picture_warped_back_is_the_picture_before():
    clip, flow = shifted()

    assert torch.allclose(warped_back(clip, flow)[:, :, :-2], clip[:-1, :, :-2], atol=1e-5)


def test_what_follows_its_flow_has_no_error_and_what_stands_still_has():
    clip, flow = shifted()
    visible = torch.ones(3, 8, 10, dtype=torch.bool)
    visible[:, :, -2:] = False

    assert warp_error(clip, flow, visible) == pytest.approx(0, abs=1e-5)
    assert warp_error(clip[:1].expand(4, -1, -1, -1), flow, visible) > 0.2


def test_a_brightness_step_of_a_fifth_is_an_error_of_a_fifth():
    clip, flow = shifted(frames=2)
    brighter = torch.stack([clip[0], clip[1] + 0.2])
    visible = torch.zeros(1, 8, 10, dtype=torch.bool)
    visible[:, :, :-2] = True

    assert warp_error(brighter, flow, visible) == pytest.approx(0.2, abs=1e-5)


def test_only_visible_pixels_under_the_mask_count():
    clip = torch.zeros(2, 4, 4, 3)
    clip[1, :, 2:] = 0.5
    visible, mask = torch.ones(1, 4, 4, dtype=torch.bool), torch.zeros(2, 4, 4)
    mask[:, :, 2:] = 1
    flow = torch.zeros(2, 4, 4, 2)

    assert warp_error(clip, flow, visible) == pytest.approx(0.5 / 2**0.5, abs=1e-6)
    assert warp_error(clip, flow, visible, mask=mask) == pytest.approx(0.5, abs=1e-6)
    assert warp_error(clip, flow, visible, mask=1 - mask) == 0


def test_what_leaves_the_picture_changes_its_part_or_its_colour_is_not_visible():
    truth, flow, labels = (
        torch.zeros(2, 4, 4, 3),
        torch.zeros(2, 4, 4, 2),
        torch.zeros(2, 4, 4, dtype=torch.uint8),
    )
    flow[0, 0, 0] = torch.tensor([-1.0, 0.0])  # leaves
    labels[1, 1, 1] = 3  # another part lies there one frame later
    truth[1, 2, 2] = 0.5  # another colour

    visible = visible_along(truth, flow, labels)

    assert visible.shape == (1, 4, 4)
    assert {tuple(place) for place in (~visible[0]).nonzero().tolist()} == {(0, 0), (1, 1), (2, 2)}


def test_a_dancer_follows_the_true_flow_far_better_than_a_still_picture():
    clip = render_clip(ClipSpec(seed=3, num_frames=3, size=64))
    visible = visible_along(clip.images, clip.flow, clip.labels)
    still = clip.images[:1].expand(3, -1, -1, -1)

    moving = warp_error(clip.images, clip.flow, visible, mask=clip.mask)
    assert visible[clip.mask[:-1]].float().mean() > 0.6
    assert moving < 0.03 < 2 * moving + 0.03 < warp_error(still, clip.flow, visible, mask=clip.mask)


def test_a_flow_of_another_size_one_frame_and_nothing_to_follow_are_refused():
    clip, flow = shifted()
    with pytest.raises(InputError, match=r"The flow is \[3, 8, 10, 2\] for a clip of \[4, 8, 10, 3\]"):
        warp_error(clip, flow[:3], torch.ones(3, 8, 10, dtype=torch.bool))
    with pytest.raises(InputError, match="at least 2 frames, got 1"):
        warp_error(clip[:1], flow[:1], torch.ones(0, 8, 10, dtype=torch.bool))
    with pytest.raises(InputError, match="No pixel can be followed"):
        warp_error(clip, flow, torch.zeros(3, 8, 10, dtype=torch.bool))
