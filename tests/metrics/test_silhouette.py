import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.silhouette import iou, silhouette


def box(left, *, width=4, frames=1):
    mask = torch.zeros(frames, 8, 12, dtype=torch.bool)
    mask[:, 2:6, left : left + width] = True
    return mask


def test_the_silhouette_is_what_differs_from_the_background_in_any_channel():
    background = torch.rand(8, 12, 3, generator=torch.Generator().manual_seed(0)) * 0.5
    person = box(3, frames=2)
    clip = background.expand(2, 8, 12, 3).clone()
    clip[person] += torch.tensor([0.0, 0.0, 0.2])
    clip += 0.02

    assert torch.equal(silhouette(clip, background, threshold=0.1), person)
    assert torch.equal(silhouette(clip, background.expand(2, 8, 12, 3), threshold=0.1), person)


def test_two_boxes_that_share_half_their_width_overlap_by_a_third():
    assert iou(box(2), box(2)) == 1.0
    assert iou(box(2), box(4)) == pytest.approx(1 / 3, abs=1e-6)
    assert iou(box(0), box(6)) == 0.0


def test_overlap_is_the_mean_over_frames_and_two_empty_frames_agree():
    first = torch.cat([box(2), box(0), torch.zeros(1, 8, 12, dtype=torch.bool), box(2)])
    second = torch.cat(
        [box(2), box(6), torch.zeros(1, 8, 12, dtype=torch.bool), torch.zeros(1, 8, 12, dtype=torch.bool)]
    )

    assert iou(first, second) == pytest.approx((1 + 0 + 1 + 0) / 4)


def test_sizes_that_do_not_match_are_refused():
    with pytest.raises(InputError, match=r"frames are \[8, 12, 3\], the background is \[8, 10, 3\]"):
        silhouette(torch.zeros(2, 8, 12, 3), torch.zeros(8, 10, 3))
    with pytest.raises(InputError, match=r"silhouettes are \[1, 8, 12\] and \[2, 8, 12\]"):
        iou(box(0), box(0, frames=2))
