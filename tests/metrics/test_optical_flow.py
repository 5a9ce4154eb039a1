"""The estimated flow of pictures that move by known ways, and what it does not follow."""

import sys

import pytest
import torch
from dreamoving.dreamoving_core.errors import MissingPackageError
from dreamoving.dreamoving_core.metrics import optical_flow
from dreamoving.dreamoving_core.metrics.optical_flow import estimated_flow, followed
from dreamoving.dreamoving_core.metrics.warp import visible_along, warp_error
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from torch.nn import functional


def texture(size=64):
    """Soft spots, which a flow can be told by; `h w 3`."""
    spots = torch.rand(1, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(spots, (size, size), mode="bicubic").clamp(0, 1)[0].movedim(0, -1)


def test_a_picture_that_is_pushed_flows_by_that_way_right_and_down():
    picture = texture()

    flow = estimated_flow(picture, picture.roll((2, 3), dims=(0, 1)))

    assert flow.shape == (64, 64, 2)
    middle = flow[16:-16, 16:-16].reshape(-1, 2).median(dim=0).values
    assert middle.tolist() == pytest.approx([3, 2], abs=0.1)  # x, then y


def test_what_a_square_covers_is_not_followed_and_what_it_leaves_alone_is():
    before, now = texture(), texture()
    square = texture().flip(0)[:24, :24]
    before[20:44, 8:32], now[20:44, 16:40] = square, square

    flow, seen = followed(before, now)

    assert flow.shape == (2, 64, 64, 2)
    assert seen.shape == (1, 64, 64)
    assert seen[0, 24:40, 33:39].float().mean() < 0.35  # the square comes over it
    assert seen[0, :12].all()
    assert seen[0, 26:38, 14:26].float().mean() > 0.9  # the square itself


def test_where_the_way_back_does_not_lead_home_nothing_is_followed(monkeypatch):
    there, back = torch.zeros(16, 16, 2), torch.zeros(16, 16, 2)
    there[..., 0], back[..., 0] = 2, -2
    back[4:6, 10:12] = 0  # what lies there in the later frame has stood still
    flows = iter((there, back))
    monkeypatch.setattr(optical_flow, "estimated_flow", lambda *_: next(flows))
    grey = torch.full((16, 16, 3), 0.5)

    flow, seen = followed(grey, grey)

    assert torch.equal(flow[0], there)
    assert {tuple(place) for place in (~seen[0, :, :14]).nonzero().tolist()} == {
        (4, 8),
        (4, 9),
        (5, 8),
        (5, 9),
    }
    assert not seen[0, :, 14:].any()  # it leaves the picture


def test_a_change_of_light_that_no_flow_explains_is_not_followed():
    picture = texture() * 0.7

    _, seen = followed(picture, picture + 0.2)

    assert not seen.any()


def test_along_the_estimate_a_drawn_dancer_is_nearly_as_steady_as_along_the_true_flow():
    clip = render_clip(ClipSpec(seed=3, num_frames=2, size=128))
    visible = visible_along(clip.images, clip.flow, clip.labels)

    flow, seen = followed(clip.images[0], clip.images[1])

    assert seen.float().mean() > 0.8
    true = warp_error(clip.images, clip.flow, visible)
    assert warp_error(clip.images, flow, seen) < 2 * true + 0.01


def test_without_opencv_the_warp_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)

    with pytest.raises(MissingPackageError, match=r"The warp error needs cv2.*pip install opencv-python"):
        estimated_flow(texture(), texture())
