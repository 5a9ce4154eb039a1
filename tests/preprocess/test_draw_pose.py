import sys

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, MissingPackageError
from dreamoving.dreamoving_core.preprocess.draw_pose import draw_keypoints, draw_pose
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint

# Where a standing person's 17 COCO body points are, in fractions of the canvas.
STANDING = (
    (0.50, 0.15), (0.53, 0.13), (0.47, 0.13), (0.56, 0.14), (0.44, 0.14), (0.60, 0.28), (0.40, 0.28), (0.72, 0.40),
    (0.28, 0.40), (0.80, 0.52), (0.20, 0.52), (0.56, 0.55), (0.44, 0.55), (0.58, 0.75), (0.42, 0.75), (0.58, 0.94),
    (0.42, 0.94),
)  # fmt: skip


def standing(size: int, *, body: bool = True, face: bool = False, hands: bool = False) -> torch.Tensor:
    points = torch.zeros(1, 133, 3)
    points[0, :17, :2] = torch.tensor(STANDING) * size
    points[0, 23:91, 0] = torch.linspace(0.45, 0.55, 68) * size
    points[0, 23:91, 1] = 0.20 * size
    points[0, 91:133, 0] = torch.linspace(0.05, 0.95, 42) * size
    points[0, 91:133, 1] = 0.65 * size
    points[0, :17, 2], points[0, 23:91, 2], points[0, 91:133, 2] = float(body), float(face), float(hands)
    return points


def at(picture: torch.Tensor, x: float, y: float) -> list[int]:
    return (picture[0, int(y), int(x)] * 255).round().int().tolist()


def test_joints_have_the_conventions_eighteen_hues():
    points = standing(512)

    picture = draw_keypoints(points, width=512, height=512)

    for joint, colour in (
        (0, [255, 0, 0]), (6, [255, 170, 0]), (8, [255, 255, 0]), (10, [170, 255, 0]), (5, [85, 255, 0]),
        (9, [0, 255, 85]), (12, [0, 255, 170]), (16, [0, 170, 255]), (11, [0, 85, 255]), (15, [85, 0, 255]),
        (2, [170, 0, 255]), (1, [255, 0, 255]), (4, [255, 0, 170]), (3, [255, 0, 85]),
    ):  # fmt: skip
        assert at(picture, *points[0, joint, :2]) == colour, joint


def test_limbs_are_six_tenths_as_bright_and_eight_pixels_wide_from_512_pixels_on():
    points = standing(512)

    picture = draw_keypoints(points, width=512, height=512)
    knee, ankle = points[0, 13, :2], points[0, 15, :2]
    x, y = (knee + ankle) / 2

    assert at(picture, x, y) == [0, 51, 153]  # 0.6 of (0, 85, 255): the twelfth limb
    assert 8 <= (picture[0, int(y), int(x) - 20 : int(x) + 20].sum(dim=-1) > 0).sum() <= 9


def test_a_small_canvas_gets_thinner_sticks_that_keep_their_place():
    points = standing(128)

    picture = draw_keypoints(points, width=128, height=128)
    x, y = (points[0, 13, :2] + points[0, 15, :2]) / 2
    row = picture[0, int(y), int(x) - 10 : int(x) + 10].sum(dim=-1)
    centre = (row * (torch.arange(20) + int(x) - 10 + 0.5)).sum() / row.sum()

    assert row.sum() / row.max() < 3.2
    assert abs(centre - x) < 0.25


@pytest.mark.parametrize(("size", "stick"), [(128, 2.0), (256, 3.0)])
def test_the_stick_width_can_be_chosen(size, stick):
    points = standing(size)

    thin = draw_keypoints(points, width=size, height=size, stick_width=1.0, hands=False)
    thick = draw_keypoints(points, width=size, height=size, stick_width=stick, hands=False)

    assert thick.sum() > 1.5 * thin.sum()


def test_a_dot_moves_with_a_fraction_of_a_pixel():
    places = []
    for offset in (0.0, 0.25, 0.5, 0.75):
        points = torch.zeros(1, 133, 3)
        points[0, 0] = torch.tensor([40.0 + offset, 50.0, 1.0])

        picture = draw_keypoints(points, width=128, height=128)[0].sum(dim=-1)

        places.append(float((picture.sum(dim=0) * (torch.arange(128) + 0.5)).sum() / picture.sum()) - 40)
    assert places == pytest.approx([0.0, 0.25, 0.5, 0.75], abs=0.1)


def test_a_missing_joint_takes_its_limbs_along():
    points = standing(512)
    elbow = points[0, 7, :2].clone()
    points[0, 7, 2] = 0

    picture = draw_keypoints(points, width=512, height=512)

    for other in (5, 9):
        assert at(picture, *(elbow + points[0, other, :2]) / 2) == [0, 0, 0]
    assert at(picture, *(points[0, 8, :2] + points[0, 6, :2]) / 2) != [0, 0, 0]


def test_body_hands_and_face_can_each_be_left_out():
    points = standing(256, face=True, hands=True)
    parts = {"body": False, "hands": False, "face": False}

    def drawn(**chosen):
        return draw_keypoints(points, width=256, height=256, **{**parts, **chosen})

    assert drawn().sum() == 0
    assert drawn(face=True)[0, 51].sum() > 0
    assert (drawn(face=True)[..., 0] == drawn(face=True)[..., 2]).all()  # white only
    assert drawn(hands=True)[0, 166, :60].sum() > 0
    assert drawn(body=True)[0, 166, :60].sum() == 0
    assert drawn(body=True)[0, 166].sum() > 0


def test_hand_dots_are_blue_and_face_dots_white_at_full_size():
    picture = draw_keypoints(standing(512, body=False, face=True, hands=True), width=512, height=512)

    assert at(picture, 0.05 * 512, 0.65 * 512) == [0, 0, 255]
    assert at(picture, 0.45 * 512, 0.20 * 512) == [255, 255, 255]


def test_keypoints_and_their_pose_keypoint_draw_the_same_picture():
    points = standing(128, face=True, hands=True)
    encoded = encode_pose_keypoint(points, width=128, height=128)

    assert torch.equal(
        draw_pose(encoded, width=128, height=128), draw_keypoints(points, width=128, height=128)
    )


def test_a_pose_is_scaled_from_its_own_canvas():
    encoded = encode_pose_keypoint(standing(1024), width=1024, height=1024)

    picture = draw_pose(encoded, width=512, height=256)

    assert picture.shape == (1, 256, 512, 3)
    assert picture[0, int(0.75 * 256), int(0.58 * 512)].sum() > 0  # the knee
    assert torch.equal(
        draw_pose(encoded, width=512, height=512), draw_keypoints(standing(512), width=512, height=512)
    )


def test_an_empty_frame_stays_black_among_others():
    points = standing(64).repeat(3, 1, 1)
    points[1, :, 2] = 0

    picture = draw_pose(encode_pose_keypoint(points, width=64, height=64), width=64, height=64)

    assert picture[1].sum() == 0
    assert torch.equal(picture[0], picture[2])
    assert picture[0].sum() > 0


def test_bad_sizes_and_a_missing_opencv_are_told_in_words(monkeypatch):
    with pytest.raises(InputError, match="positive size, got 0 x 64"):
        draw_keypoints(standing(64), width=0, height=64)
    with pytest.raises(InputError, match="stick_width must be above 0 pixels or 'auto', got -1"):
        draw_keypoints(standing(64), width=64, height=64, stick_width=-1)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingPackageError, match="pip install opencv-python"):
        draw_keypoints(standing(64), width=64, height=64)


def feet(size: int) -> torch.Tensor:
    points = standing(size)
    points[0, 17:23, 0] = torch.linspace(0.1, 0.9, 6) * size
    points[0, 17:23, 1], points[0, 17:23, 2] = 0.97 * size, 1.0
    return points


def test_feet_are_drawn_when_they_are_asked_for():
    points = feet(512)

    without, with_feet = (draw_keypoints(points, width=512, height=512, feet=f) for f in (False, True))

    assert torch.equal(without, draw_keypoints(standing(512), width=512, height=512))
    assert at(without, *points[0, 17, :2]) == [0, 0, 0]
    assert at(with_feet, *points[0, 17, :2]) == [255, 0, 0]
    assert (with_feet != without).any(dim=-1)[0, : int(0.95 * 512)].sum() == 0


@pytest.mark.parametrize(("size", "half_width"), [(512, 4), (1024, 8), (2048, 16)])
def test_sticks_can_grow_with_the_picture(size, half_width):
    points = standing(size)

    picture = draw_keypoints(points, width=size, height=size, stick_width="grow", hands=False)
    x, y = (points[0, 13, :2] + points[0, 15, :2]) / 2
    row = picture[0, int(y), int(x) - 40 : int(x) + 40].sum(dim=-1)

    assert float(row.sum() / row.max()) == pytest.approx(2 * half_width, abs=1.6)


@pytest.mark.parametrize(("size", "half_width"), [(480, 4), (768, 8), (1024, 12), (2048, 16)])
def test_xinsirs_sticks_are_broad_and_its_joints_are_not(size, half_width):
    points = standing(size)

    picture = draw_keypoints(points, width=size, height=size, stick_width="xinsir")
    x, y = (points[0, 13, :2] + points[0, 15, :2]) / 2
    row = picture[0, int(y), int(x) - 40 : int(x) + 40].sum(dim=-1) > 0

    assert abs(int(row.sum()) - 2 * half_width) <= 1
    wrist = points[0, 9, :2]  # a dot at a limb's thin end
    full = (picture[0] * 255).round().int() == torch.tensor([0, 255, 85])
    rows = full.all(dim=-1).any(dim=1).nonzero()
    assert rows.max() - rows.min() == 8
    assert at(picture, *wrist) == [0, 255, 85]


def test_hand_and_face_points_on_the_outermost_pixels_are_left_out_as_the_convention_does():
    points = standing(512, body=False, face=True, hands=True)
    points[0, 23:, 0] = 0.5

    assert draw_keypoints(points, width=512, height=512).amax() == 0
