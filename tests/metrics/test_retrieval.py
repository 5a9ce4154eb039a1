import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.retrieval import distances, nearest, rank


def greys(*values):
    return [torch.full((1, 2, 2, 3), value) for value in values]


def test_the_nearest_of_greys_is_the_one_with_the_smallest_difference():
    result, everywhere = torch.full((1, 2, 2, 3), 0.55), torch.ones(1, 2, 2)
    candidates = greys(0.1, 0.5, 0.9)

    assert torch.allclose(
        distances(result, candidates, everywhere), torch.tensor([0.45, 0.05, 0.35]).double(), atol=1e-6
    )
    assert nearest(result, candidates, everywhere) == 1
    assert [rank(result, candidates, everywhere, right=i) for i in range(3)] == [2, 0, 1]


def test_only_the_masked_part_is_compared():
    result, mask = torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 2)
    result[0, 0] = 0.9  # looks like the third candidate there
    mask[0, 0] = 1

    assert nearest(result, greys(0.0, 0.2, 0.9), mask) == 2
    assert nearest(result, greys(0.0, 0.2, 0.9), 1 - mask) == 0


def test_one_picture_stands_for_all_frames():
    clip = torch.stack([torch.full((2, 2, 3), 0.2), torch.full((2, 2, 3), 0.4)])

    found = distances(clip, [torch.full((2, 2, 3), 0.3)], torch.ones(2, 2, 2))
    assert found.tolist() == pytest.approx([0.1])


def test_candidates_as_near_as_the_right_one_count_against_it():
    result = torch.full((1, 2, 2, 3), 0.5)

    assert rank(result, greys(0.4, 0.4, 0.9), torch.ones(1, 2, 2), right=0) == 1


def test_an_empty_mask_is_refused():
    with pytest.raises(InputError, match="mask is empty"):
        nearest(torch.zeros(1, 2, 2, 3), greys(0.1), torch.zeros(1, 2, 2))
