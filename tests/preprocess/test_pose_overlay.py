import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.preprocess.pose_clip import LEFT_WRIST, PoseClip
from dreamoving.dreamoving_core.preprocess.pose_fit import fit_to_reference
from dreamoving.dreamoving_core.preprocess.pose_overlay import PREVIEW_FRAMES, RED, overlay_fit, preview_clip
from pose_figures import dancing, standing


def red(picture: torch.Tensor) -> torch.Tensor:
    """Where `h w c` has the colour of a mark."""
    return (picture - torch.tensor(RED)).abs().amax(dim=-1) < 1e-6


def moved(clip: PoseClip, by: float) -> PoseClip:
    points = clip.points.copy()
    points[..., 0] += by
    return clip.with_points(points)


@pytest.mark.parametrize(("frames", "shown"), [(1, 1), (7, 7), (300, PREVIEW_FRAMES)])
def test_a_preview_is_small_and_spans_the_clip(frames, shown):
    clip = PoseClip(points=np.repeat(standing().points, frames, axis=0), width=1024, height=512)

    pictures = preview_clip(clip)

    assert pictures.shape == (shown, 128, 256, 3)
    assert pictures.amax(dim=(1, 2, 3)).min() > 0


def test_a_preview_of_nobody_is_black():
    empty = PoseClip(points=np.zeros((3, 1, 136, 3)), width=64, height=64)

    assert preview_clip(empty).amax() == 0


def test_joints_inside_leave_no_red_mark():
    fit = fit_to_reference(dancing(1), standing(height=250))

    assert not red(overlay_fit(fit)[0]).any()
    assert not red(preview_clip(fit.clip)[0]).any()


def test_a_joint_that_leaves_is_red_where_it_leaves_in_any_frame():
    clip = standing(frames=9)
    points = clip.points.copy()
    points[5, 0, LEFT_WRIST, :2] = [900, 200]
    fit = fit_to_reference(clip.with_points(points), standing())

    picture = overlay_fit(fit)[0]

    marks = red(picture).nonzero()
    y = fit.clip.points[5, 0, LEFT_WRIST, 1]
    assert marks[:, 1].max() == 511
    assert marks[:, 1].min() > 500
    assert abs(marks[:, 0].float().mean() - y) < 2
    assert red(preview_clip(fit.clip)[5]).any()
    assert not red(preview_clip(fit.clip)[4]).any()


def test_the_overlay_shows_the_picture_dimmed_the_reference_grey_and_the_fit_in_colour():
    reference = moved(standing(height=300), 60)
    fit = fit_to_reference(dancing(3), reference)

    picture = overlay_fit(fit, torch.ones(1, 256, 256, 3))[0]

    assert picture.shape == (512, 512, 3)
    assert picture[0, 0].tolist() == pytest.approx([0.45] * 3)
    grey = (picture - 0.75).abs().amax(dim=-1) < 1e-6
    colour = (picture.amax(dim=-1) - picture.amin(dim=-1)) > 0.5
    assert grey.sum() > 200
    assert colour.sum() > 1000


def test_the_chosen_frame_is_shown():
    fit = fit_to_reference(dancing(3), standing())

    assert not torch.equal(overlay_fit(fit, frame=0), overlay_fit(fit, frame=15))
