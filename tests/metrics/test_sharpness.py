import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.sharpness import sharpness


def test_a_plain_picture_has_no_sharpness_and_a_ramp_its_slope():
    ramp = (torch.arange(6) * 0.1).view(1, 1, 6, 1).expand(2, 5, 6, 3)

    assert sharpness(torch.full((2, 5, 6, 3), 0.4)) == 0
    assert sharpness(ramp) == pytest.approx((0.01 / 2) ** 0.5, abs=1e-6)
    assert sharpness(ramp.transpose(1, 2)) == pytest.approx((0.01 / 2) ** 0.5, abs=1e-6)


def test_a_chessboard_is_the_sharpest_picture_and_blur_takes_it_away():
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    board = ((rows + columns) % 2).float().view(1, 8, 8, 1).expand(1, 8, 8, 3)
    blurred = torch.nn.functional.avg_pool2d(board.movedim(-1, 1), 2, stride=1).movedim(1, -1)

    assert sharpness(board) == pytest.approx(1.0)
    assert sharpness(blurred) == pytest.approx(0.0, abs=1e-6)


def test_only_pixels_under_the_mask_count():
    clip = torch.zeros(1, 3, 4, 3)
    clip[0, :, 1:] = 0.6  # one edge, between the first two columns
    mask = torch.zeros(1, 3, 4)
    mask[:, :, 0] = 1

    assert sharpness(clip, mask=mask) == pytest.approx((0.36 / 2) ** 0.5, abs=1e-6)
    assert sharpness(clip, mask=1 - mask) == 0


def test_an_empty_mask_and_a_picture_of_one_pixel_are_refused():
    with pytest.raises(InputError, match="mask is empty"):
        sharpness(torch.zeros(1, 3, 3, 3), mask=torch.zeros(1, 3, 3))
    with pytest.raises(InputError, match="at least 2 x 2"):
        sharpness(torch.zeros(1, 1, 3, 3))
