"""Clip-level normalisation: no flicker, small samples, and depth of every kind of source."""

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.depth_batch import (
    BRIGHT,
    DARK,
    DISPARITY,
    normalise_depth,
)
from dreamoving.dreamoving_core.preprocess.depth_range import FRAMES, SIDE, DepthRange, DepthSamples


def reaching(frames=12, size=24):
    """Metres `f h w`: a wall at 4 m, somebody at 2 m who reaches towards the camera."""
    metres = torch.full((frames, size, size), 4.0)
    metres[:, 4:20, 8:14] = 2.0
    for i in range(frames):
        metres[i, 10:14, 10:20] = 2.0 - 1.5 * i / frames
    return metres


def grey(depth):
    return depth[..., None].expand(-1, -1, -1, 3)


def test_the_wall_and_the_body_keep_their_brightness_while_a_hand_comes_near():
    pictures = normalise_depth({"depth": reaching()}, cut_near=0, cut_far=0)
    alone = torch.cat(
        [normalise_depth({"depth": frame[None]}, cut_near=0, cut_far=0) for frame in reaching()]
    )

    assert pictures[:, 0, 0].std(dim=0).max() == 0
    assert pictures[:, 5, 9].std(dim=0).max() < 1e-6
    assert alone[:, 5, 9].std(dim=0).max() > 0.1  # what frame by frame makes of it


def test_near_is_bright_whatever_the_source_calls_near():
    metres = reaching()
    sources = {
        DARK: {"depth": metres}, "auto": {"depth": metres}, BRIGHT: grey(1 - metres / 5),
    }  # fmt: skip

    pictures = {kind: normalise_depth(source, kind=kind) for kind, source in sources.items()}
    pictures["dark pictures"] = normalise_depth(grey(metres / 5), kind=DARK)
    pictures["disparity"] = normalise_depth({"depth": metres}, kind=DISPARITY)

    for picture in pictures.values():
        assert picture.shape == (*metres.shape, 3)
        assert picture[-1, 12, 19].min() > picture[-1, 5, 9].max() > picture[-1, 0, 0].max()
        assert picture.min() >= 0
        assert picture.max() <= 1
    assert torch.allclose(pictures[DARK], pictures[BRIGHT], atol=1e-5)


def test_disparity_is_one_over_the_depth():
    metres = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 1, 3)

    picture = normalise_depth({"depth": metres}, kind=DISPARITY, cut_near=0, cut_far=0)

    assert torch.allclose(picture[0, 0, :, 0], torch.tensor([1.0, 1 / 3, 0.0]), atol=1e-6)


def test_a_sky_without_depth_is_black_and_does_not_stretch_the_range():
    metres = reaching()
    sky = metres.clone()
    sky[:, 0] = torch.inf
    sky[:, 1] = torch.nan

    pictures, plain = (
        normalise_depth({"depth": sky}, cut_near=0, cut_far=0),
        normalise_depth({"depth": metres}, cut_near=0, cut_far=0),
    )

    assert pictures[:, :2].max() == 0
    assert torch.allclose(pictures[:, 2:], plain[:, 2:], atol=1e-6)


@pytest.mark.parametrize("frames", [1, 3])
def test_the_same_depth_everywhere_is_grey(frames):
    pictures = normalise_depth({"depth": torch.full((frames, 8, 8), 3.0)})

    assert (pictures == 0.5).all()


def test_the_source_is_left_as_it_was():
    metres = reaching()
    before = metres.clone()

    normalise_depth({"depth": metres}, kind=DISPARITY)

    assert torch.equal(metres, before)


def test_samples_of_a_long_clip_stay_small_and_find_the_range_of_the_whole():
    samples = DepthSamples()
    draw = torch.Generator().manual_seed(0)
    clip = [torch.rand(40, 60, generator=draw) * (1 + i / 1000) for i in range(3 * FRAMES)]

    for frame in clip:
        samples.add(frame)

    held = sum(len(values) for values in samples._kept)
    assert held <= FRAMES * SIDE * SIDE
    assert samples.every == 4
    exact = torch.stack(clip).flatten().numpy()
    found = samples.range()
    assert found.near == pytest.approx(
        float(torch.quantile(torch.from_numpy(exact[::7].copy()), 0.02)), abs=2e-3
    )
    assert found.far == pytest.approx(
        float(torch.quantile(torch.from_numpy(exact[::7].copy()), 0.85)), abs=5e-3
    )


def test_a_large_frame_is_looked_at_on_a_grid():
    samples = DepthSamples()

    samples.add(torch.rand(2160, 3840))

    assert len(samples._kept[0]) <= SIDE * SIDE


@pytest.mark.parametrize("cuts", [(50, 50), (-1, 0), (0, 100)])
def test_cuts_that_leave_nothing_are_refused(cuts):
    with pytest.raises(InputError, match="leave no depth between them"):
        normalise_depth({"depth": reaching()}, cut_near=cuts[0], cut_far=cuts[1])


def test_depth_that_is_nowhere_a_number_is_refused():
    with pytest.raises(InputError, match="None of the 2 frames has a finite depth"):
        normalise_depth({"depth": torch.full((2, 8, 8), torch.nan)})


def test_coloured_pictures_are_refused():
    coloured = grey(torch.rand(2, 8, 8)).clone()
    coloured[1, 3, 3, 0] = 1
    coloured[1, 3, 3, 2] = 0

    with pytest.raises(InputError, match=r"coloured \(channels differ by up to 1.00\)"):
        normalise_depth(coloured)


def test_a_geometry_without_depth_is_refused():
    with pytest.raises(InputError, match=r"has no depth \(it has points, image\)"):
        normalise_depth({"points": torch.zeros(1, 2, 2, 3), "image": torch.zeros(1, 2, 2, 3)})


def test_a_tensor_that_is_no_batch_of_pictures_is_refused():
    with pytest.raises(InputError, match=r"got a tensor of shape \(4, 4\)"):
        normalise_depth(torch.zeros(4, 4))


def test_a_fixed_range_shows_its_own_ends():
    span = DepthRange(1.0, 3.0)

    assert span.picture(torch.tensor([[0.5, 1.0, 2.0, 3.0, 9.0]])).tolist() == [[1.0, 1.0, 0.5, 0.0, 0.0]]
