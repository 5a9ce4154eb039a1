from fractions import Fraction

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.draw_pose import draw_pose
from dreamoving.dreamoving_core.preprocess.pose_clip import (
    FACE,
    LEFT_HAND,
    LEFT_WRIST,
    RIGHT_HAND,
    PoseClip,
    write_clip,
)
from dreamoving.dreamoving_core.preprocess.pose_edit import (
    MIRRORED,
    Box,
    box_around,
    crop_images,
    crop_with_picture,
    mirror_clip,
    resample_clip,
)
from pose_figures import dancing, standing

NTSC = Fraction(30000, 1001)


def joints_apart(one: PoseClip, other: PoseClip) -> float:
    return float(np.hypot(*np.moveaxis((one.points - other.points)[..., :2], -1, 0)).max())


# ---- mirror


def test_mirroring_twice_gives_the_same_dance():
    clip = dancing(1)

    twice = mirror_clip(mirror_clip(clip))

    np.testing.assert_allclose(twice.points, clip.points, atol=1e-9)
    assert sorted(MIRRORED) == list(range(136))


def test_a_mirrored_figure_is_drawn_as_the_mirror_of_its_drawing_in_grey():
    """Its colours differ, because left and right limbs have changed their names; where it is does not."""
    clip = standing(height=440)

    there, here = (draw_pose(write_clip(c), width=512, height=512)[0] for c in (mirror_clip(clip), clip))

    lit, expected = there.amax(dim=-1) > 0, here.flip(1).amax(dim=-1) > 0
    assert (lit & expected).sum() / (lit | expected).sum() > 0.9
    assert not torch.equal(there, here.flip(1))


def test_left_limbs_become_right_ones_hands_too():
    clip = dancing(1)

    mirrored = mirror_clip(clip)

    right = clip.points[:, :, RIGHT_HAND].copy()
    right[..., 0] = 512 - right[..., 0]
    np.testing.assert_allclose(mirrored.points[:, :, LEFT_HAND], right)
    assert np.hypot(*(mirrored.points[:, 0, 94] - mirrored.points[:, 0, LEFT_WRIST]).T[:2]).max() < 20


def test_the_face_keeps_its_order_from_one_ear_over_the_chin_to_the_other():
    face = mirror_clip(dancing(1)).points[0, 0, FACE]

    original = dancing(1).points[0, 0, FACE]
    assert np.sign(face[16, 0] - face[0, 0]) == np.sign(original[16, 0] - original[0, 0])  # jaw
    assert np.sign(face[45, 0] - face[36, 0]) == np.sign(
        original[45, 0] - original[36, 0]
    )  # outer eye corners
    assert face[8, 1] == original[8, 1]  # the chin
    assert face[57, 1] > face[51, 1]  # the lower lip is below the upper one
    assert face[41, 1] > face[37, 1]  # a lower eyelid is below its upper one


def test_missing_points_stay_missing():
    points = standing().points.copy()
    points[:, :, LEFT_WRIST] = 0

    mirrored = mirror_clip(PoseClip(points=points, width=512, height=512))

    assert not mirrored.points[:, :, 4].any()  # now the right wrist
    assert mirrored.points[:, :, LEFT_WRIST].any()


# ---- resample


@pytest.mark.parametrize(
    ("frames", "rate", "new_rate", "count"),
    [(24, 24, 12, 12), (24, 12, 24, 48), (30, 30, 12, 12), (25, 25, 30, 30), (1, 30, 12, 1), (2, 30, 12, 1), (300, NTSC, 30, 300)],
)  # fmt: skip
def test_the_duration_stays(frames, rate, new_rate, count):
    clip = standing(frames=frames)

    resampled = resample_clip(clip, rate=Fraction(rate), new_rate=Fraction(new_rate))

    assert len(resampled.points) == count
    np.testing.assert_allclose(resampled.points, standing(frames=count).points, atol=1e-9)


def test_the_same_rate_changes_nothing():
    clip = dancing(1)

    assert resample_clip(clip, rate=NTSC, new_rate=NTSC) is clip


def test_every_second_frame_is_exactly_every_second_frame():
    clip = dancing(1)

    assert np.array_equal(
        resample_clip(clip, rate=Fraction(30), new_rate=Fraction(15)).points, clip.points[::2]
    )


def test_frames_in_between_follow_the_dance():
    truth = dancing(2, frames=61, rate=30)
    half = truth.with_points(truth.points[::2])

    back = resample_clip(half, rate=Fraction(15), new_rate=Fraction(30))

    assert joints_apart(back.with_points(back.points[:61]), truth) < 4  # of 512 pixels
    assert np.array_equal(back.points[0:61:2], truth.points[::2])


def test_a_joint_that_one_neighbour_lacks_is_there_in_its_half():
    points = standing(frames=4).points.copy()
    points[2, :, LEFT_WRIST] = 0
    clip = PoseClip(points=points, width=512, height=512)

    seen = resample_clip(clip, rate=Fraction(10), new_rate=Fraction(40)).seen[:, 0, LEFT_WRIST]

    assert seen.tolist() == [True] * 6 + [False] * 4 + [True] * 6


def test_rates_below_zero_are_refused_in_words():
    with pytest.raises(InputError, match=r"must be above 0, got 30 and 0 frames"):
        resample_clip(standing(), rate=Fraction(30), new_rate=Fraction(0))


# ---- crop


def picture(clip: PoseClip, size: int = 512) -> torch.Tensor:
    return draw_pose(write_clip(clip), width=size, height=size, hands=False, face=False)


def test_poses_and_pictures_are_cut_alike():
    clip = dancing(3, frames=6)

    cropped, images = crop_with_picture(clip, picture(clip), width=256, height=384)

    assert images.shape == (6, 384, 256, 3)
    assert (cropped.width, cropped.height) == (256, 384)
    for pose, image in zip(cropped.points[:, 0], images, strict=True):
        x, y = pose[LEFT_WRIST, :2].astype(int)
        assert image[y - 1 : y + 2, x - 1 : x + 2].amax() > 0.4


def test_everybody_is_inside_with_room_to_spare():
    clip = dancing(3, frames=12)

    cropped, _ = crop_with_picture(clip, width=300, height=400, margin=0.1)

    places = cropped.points[..., :2][cropped.seen]
    assert (places > 8).all()
    assert (places < [292, 392]).all()


def test_nothing_is_squeezed():
    clip = dancing(3)

    cropped, _ = crop_with_picture(clip, width=300, height=600)

    before, after = (np.ptp(c.points[..., :2].reshape(-1, 2), axis=0) for c in (clip, cropped))
    assert after[0] / after[1] == pytest.approx(before[0] / before[1], rel=0.02)


def test_a_rectangle_of_its_own_is_taken_to_the_pixel():
    clip, images = standing(frames=2), torch.rand(2, 512, 512, 3)

    cropped, cut = crop_with_picture(clip, images, box=Box(x=100, y=50, width=200, height=300))

    assert torch.equal(cut, images[:, 50:350, 100:300])
    np.testing.assert_allclose(cropped.points[..., :2] + [100, 50], clip.points[..., :2])


def test_beyond_the_picture_its_border_goes_on():
    images = torch.rand(1, 8, 8, 3)

    cut = crop_images(images, Box(x=-3, y=6, width=5, height=4), width=5, height=4)

    assert torch.equal(cut[:, 0, :3], images[:, 6, :1].expand(-1, 3, -1))
    assert torch.equal(cut[:, 3], cut[:, 1])


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(0, 0, (200, 300)), (100, 0, (100, 150)), (0, 150, (100, 150))]
)
def test_a_missing_side_follows_from_the_other(width, height, expected):
    box = Box(x=0, y=0, width=200, height=300)

    cropped, _ = crop_with_picture(standing(), box=box, width=width, height=height)

    assert (cropped.width, cropped.height) == expected


def test_pictures_of_another_size_bring_the_poses_along():
    clip = standing(frames=2)

    cropped, images = crop_with_picture(clip, torch.rand(2, 1024, 1024, 3), width=256, height=256)

    same, _ = crop_with_picture(clip, width=256, height=256)
    assert images.shape == (2, 256, 256, 3)
    np.testing.assert_allclose(cropped.points, same.points, atol=1.0)


def test_crops_that_cannot_be_are_told_in_words():
    with pytest.raises(InputError, match=r"got 2 poses and 3 pictures"):
        crop_with_picture(standing(frames=2), torch.rand(3, 512, 512, 3))
    with pytest.raises(InputError, match=r"at least 1 x 1 pixel, got 0 x 5"):
        crop_with_picture(standing(), box=Box(x=0, y=0, width=0, height=5))
    with pytest.raises(InputError, match=r"margin can't be negative .*got -1"):
        box_around(standing(), margin=-1)
    with pytest.raises(InputError, match="No person was found in the poses"):
        crop_with_picture(PoseClip(points=np.zeros((1, 1, 136, 3)), width=9, height=9))
