import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.joints import (
    expression_difference,
    expression_error,
    joint_error,
    point_error,
)
from dreamoving.dreamoving_core.metrics.point_network import (
    POINTS,
    PointNetwork,
    find_points,
    points_of,
    regressor,
)
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip

SEEN = torch.ones(2, 42)


def face():
    """42 points of brows, eyes and mouth of a face whose eyes lie 20 pixels apart, in two frames."""
    points = torch.rand(42, 2, generator=torch.Generator().manual_seed(0)) * 4
    points[10:16] += -points[10:16].mean(0) + torch.tensor([10.0, 30.0])
    points[16:22] += -points[16:22].mean(0) + torch.tensor([30.0, 30.0])
    return points.expand(2, 42, 2).clone()


def test_a_shift_of_three_and_four_pixels_is_an_error_of_five():
    truth = torch.rand(3, 17, 2) * 100
    visible = torch.ones(3, 17)

    assert point_error(truth + torch.tensor([3.0, 4.0]), truth, visible, height=128) == pytest.approx(
        5 / 128, abs=1e-6
    )


def test_points_that_are_not_visible_do_not_count():
    truth, visible = torch.zeros(1, 2, 2), torch.tensor([[1.0, 0.0]])
    found = torch.tensor([[[0.0, 6.0], [90.0, 0.0]]])

    assert point_error(found, truth, visible, height=100) == pytest.approx(0.06)


def test_a_heat_map_with_one_peak_is_found_at_the_middle_of_its_cell():
    heat = torch.full((1, 1, 8, 4), -30.0)
    heat[0, 0, 5, 2] = 30.0

    assert points_of(heat)[0, 0].tolist() == pytest.approx([2.5 / 4, 5.5 / 8])


def test_two_equal_peaks_are_found_in_the_middle():
    heat = torch.full((1, 1, 4, 4), -30.0)
    heat[0, 0, 0, 1] = heat[0, 0, 2, 1] = 30.0

    assert points_of(heat)[0, 0].tolist() == pytest.approx([1.5 / 4, 1.5 / 4])


def test_an_expression_does_not_care_where_the_face_is_and_how_large():
    truth = face()
    errors = expression_difference(truth * 1.7 + 12, truth, SEEN)

    assert errors == pytest.approx({"mouth": 0, "eyes": 0, "brows": 0, "expression": 0}, abs=1e-5)


def test_brows_that_are_raised_by_a_tenth_of_the_eyes_distance_are_an_error_of_a_tenth():
    truth = face()
    found = truth.clone()
    found[:, :10, 1] -= 2.0  # the eyes lie 20 pixels apart

    errors = expression_difference(found, truth, SEEN)
    assert errors == pytest.approx({"mouth": 0, "eyes": 0, "brows": 0.1, "expression": 0.1 / 3}, abs=1e-5)


def test_a_mouth_that_opens_and_eyes_that_close_are_told_apart():
    truth = face()
    mouth, eyes = truth.clone(), truth.clone()
    mouth[:, 22:32, 1] += (
        2.0  # half of the lips' points: one tenth of the eyes' distance, half of it from the middle
    )
    eyes[:, 10:13, 1] += 2.0

    opened, closed = (expression_difference(points, truth, SEEN) for points in (mouth, eyes))
    assert (opened["mouth"], opened["eyes"], opened["brows"]) == pytest.approx((0.05, 0, 0), abs=1e-5)
    assert closed["mouth"] == pytest.approx(0, abs=1e-3)
    assert closed["eyes"] > 0.02


def test_a_frame_that_shows_half_a_face_does_not_count():
    truth, found, visible = face(), face(), SEEN.clone()
    found[1], visible[1, 3] = 99.0, 0

    assert expression_difference(found, truth, visible)["expression"] == pytest.approx(0, abs=1e-6)


def test_other_counts_and_nothing_visible_are_refused():
    points = torch.zeros(2, 17, 2)
    with pytest.raises(InputError, match=r"the truth \[3, 17, 2\]"):
        point_error(points, torch.zeros(3, 17, 2), torch.ones(3, 17), height=9)
    with pytest.raises(InputError, match="No joint is visible"):
        point_error(points, points, torch.zeros(2, 17), height=9)
    with pytest.raises(InputError, match="No frame shows mouth, eyes and brows whole"):
        expression_difference(face(), face(), torch.eye(42)[:2])
    with pytest.raises(InputError, match="There are: joints, expression"):
        regressor("hands")


def test_the_network_gives_a_heat_map_of_a_quarter_for_every_point():
    heat = PointNetwork(17)(torch.rand(2, 3, 128, 128))

    assert heat.shape == (2, 17, 32, 32)


def test_pictures_of_another_size_are_judged_in_their_own_pixels():
    class Middle(torch.nn.Module):
        def forward(self, pictures):
            assert pictures.shape[2:] == (128, 128)
            return torch.zeros(len(pictures), 1, 32, 32)

    assert find_points(torch.rand(2, 64, 256, 3), "joints", network=Middle())[0, 0].tolist() == [128, 32]


@pytest.fixture(scope="module")
def dance():
    return render_clip(ClipSpec(seed=42, split="held_out", num_frames=6))


def test_the_shipped_regressor_finds_the_joints_of_dancers_it_never_saw(dance):
    other = render_clip(ClipSpec(seed=43, split="held_out", num_frames=6))
    empty = dance.images[:1] * 0 + dance.images[0, 0, 0]

    own = joint_error(dance.images, dance.keypoints)
    assert own < 0.03
    assert joint_error(other.images, dance.keypoints) > 3 * own
    assert joint_error(empty.expand(6, -1, -1, -1), dance.keypoints) > 3 * own


def test_the_shipped_regressor_reads_expressions_of_faces_it_never_saw():
    clip = render_clip(ClipSpec(seed=44, split="held_out", num_frames=12, shot="face"))
    own = expression_error(clip.images, clip.keypoints)
    frozen = expression_error(clip.images[:1].expand(12, -1, -1, -1), clip.keypoints)

    assert own["expression"] < 0.06
    assert frozen["expression"] > 1.3 * own["expression"]


def test_both_regressors_are_small():
    sizes = [
        sum(p.numel() for p in PointNetwork(len(points)).state_dict().values()) for points in POINTS.values()
    ]

    assert 2 * sum(sizes) < 1.5e6  # bytes in half precision
