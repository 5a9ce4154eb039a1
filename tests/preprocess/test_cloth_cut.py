"""Clothes cut out by a mask, by a pose, or by both; the truth is a drawn dancer's."""

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.cloth_cut import ClothCutSettings, cut_cloth
from dreamoving.dreamoving_core.preprocess.cloth_region import Outfit, body_height, cloth_shares, convex_hull
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from dreamoving.dreamoving_core.preprocess.pose_clip import PoseClip, read_clip
from dreamoving.dreamoving_core.procdance.clip import Clip, ClipSpec, render_clip
from dreamoving.dreamoving_core.procdance.parts import BOTTOM, HAIR, SHOES, TOP
from pose_figures import standing

SIZE = 128
WORN = {"sleeves": ("short", "long", "none"), "legs": ("long", "short", "skirt", "skirt")}
LABELS = {"all": (TOP, BOTTOM, SHOES), "upper": (TOP,), "lower": (BOTTOM, SHOES)}


def outfit_of(clip: Clip) -> Outfit:
    """What an artist would see and set: ProcDance's kinds of tops and bottoms in the node's words."""
    return Outfit(
        sleeves=WORN["sleeves"][clip.attributes["top_kind"]],
        legs=WORN["legs"][clip.attributes["bottom_kind"]],
    )


def poses_of(clip: Clip) -> PoseClip:
    return read_clip(encode_pose_keypoint(clip.keypoints, width=SIZE, height=SIZE))


def truth_of(clip: Clip, part: str) -> torch.Tensor:
    return torch.stack([clip.labels == label for label in LABELS[part]]).any(dim=0)


def overlap(one, other):
    return float((one & other).sum() / (one | other).sum())


@pytest.fixture(scope="module")
def dancers():
    """Held-out people in all kinds of outfits."""
    spec = {"split": "held_out", "num_frames": 2, "size": SIZE, "fps": 1.0}
    return [render_clip(ClipSpec(seed=seed, **spec)) for seed in range(8)]


@pytest.fixture(scope="module")
def dancer(dancers):
    return dancers[0]


# ---- against the truth


@pytest.mark.parametrize(("part", "least"), [("all", 0.78), ("upper", 0.72), ("lower", 0.68)])
def test_a_pose_alone_finds_the_clothes_of_held_out_dancers(dancers, part, least):
    found = []
    for clip in dancers:
        settings = ClothCutSettings(part=part, outfit=outfit_of(clip))
        masks = cut_cloth(clip.images, settings, poses=poses_of(clip)).masks
        found += [overlap(*pair) for pair in zip(masks > 0.5, truth_of(clip, part), strict=True)]

    assert np.mean(found) > least


@pytest.mark.parametrize(("part", "least"), [("all", 0.9), ("upper", 0.78), ("lower", 0.78)])
def test_a_mask_of_the_person_and_the_pose_find_them_nearly_all(dancers, part, least):
    found = []
    for clip in dancers:
        settings = ClothCutSettings(part=part, outfit=outfit_of(clip))
        masks = cut_cloth(clip.images, settings, mask=clip.mask.float(), poses=poses_of(clip)).masks
        found += [overlap(*pair) for pair in zip(masks > 0.5, truth_of(clip, part), strict=True)]

    assert np.mean(found) > least


def test_the_right_outfit_is_nearer_to_the_truth_than_the_defaults(dancers):
    def mean(outfit):
        return np.mean([
            overlap(cut_cloth(clip.images, ClothCutSettings(outfit=outfit(clip)), poses=poses_of(clip)).masks > 0.5,
                truth_of(clip, "all"))
            for clip in dancers
        ])  # fmt: skip

    assert mean(outfit_of) > mean(lambda clip: Outfit()) + 0.05


def test_hair_and_face_are_left_out_of_a_persons_mask(dancers):
    for clip in dancers:
        masks = cut_cloth(clip.images, ClothCutSettings(), mask=clip.mask.float(), poses=poses_of(clip)).masks

        hair = clip.labels == HAIR
        assert (masks[hair] > 0.5).float().mean() < 0.25  # long hair hangs over the shoulders


def test_upper_and_lower_share_nothing_and_are_all_together(dancer):
    def kept(part):
        settings = ClothCutSettings(part=part, outfit=outfit_of(dancer))
        return (
            cut_cloth(dancer.images, settings, mask=dancer.mask.float(), poses=poses_of(dancer)).masks > 0.5
        )

    upper, lower, both = kept("upper"), kept("lower"), kept("all")

    assert not (upper & lower).any()
    assert (upper | lower | ~both).all()


def test_looser_clothes_reach_further():
    figure = standing(height=400)

    def area(looseness):
        size = {"width": 128, "height": 128, "part": "all", "bounded": True}
        return float(cloth_shares(figure, Outfit(looseness=looseness), **size).sum())

    assert area(0.5) < area(1.0) < area(1.6)


def test_the_height_that_bones_suggest_is_that_of_the_figure_and_grows_with_it():
    small, large = (body_height(standing(height=height).points[0, 0]) for height in (200, 400))

    assert large == pytest.approx(2 * small, rel=1e-6)
    assert large == pytest.approx(
        400, rel=0.25
    )  # a drawn dancer's head and limbs are not a measured person's


def test_a_foreshortened_arm_does_not_shrink_the_body():
    points = standing(height=400).points[0, 0]
    pointing = points.copy()
    pointing[[3, 6], :2] = points[[2, 5], :2] + 2.0  # both elbows before the shoulders

    assert body_height(pointing) == pytest.approx(body_height(points), rel=0.1)


# ---- by a mask


def test_what_the_mask_keeps_keeps_its_pixels_and_the_rest_is_plain():
    picture = torch.rand(1, 40, 60, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, 40, 60)
    mask[0, 10:30, 20:28] = 1

    found = cut_cloth(picture, ClothCutSettings(background="white", margin=0.1), mask=mask)

    assert found.pictures.shape == (1, 24, 24, 3)  # 20 pixels high, a tenth on either side
    assert torch.equal(found.pictures[0, 2:22, 8:16], picture[0, 10:30, 20:28])
    assert (found.pictures[0, :2] == 1).all()
    assert (found.pictures[0, :, :8] == 1).all()
    assert torch.equal(found.masks, mask)


def test_outfits_of_two_sizes_stand_in_the_middle_of_squares_of_one_size():
    pictures = torch.zeros(2, 64, 64, 3)
    mask = torch.zeros(2, 64, 64)
    mask[0, 0:40, 0:40] = 1
    mask[1, 20:40, 30:50] = 1

    found = cut_cloth(pictures, ClothCutSettings(margin=0.0), mask=mask)

    assert found.pictures.shape == (2, 40, 40, 3)
    assert (found.pictures[0] == 0).all()
    assert (found.pictures[1, 10:30, 10:30] == 0).all()
    assert (found.pictures[1, :10] == 0.5).all()


def test_a_size_is_kept_and_a_mask_of_another_size_is_scaled():
    pictures = torch.rand(2, 64, 48, 3)
    mask = torch.zeros(32, 24)
    mask[8:24, 6:18] = 1

    found = cut_cloth(pictures, ClothCutSettings(size=96), mask=mask)

    assert found.pictures.shape == (2, 96, 96, 3)
    assert found.masks.shape == (2, 64, 48)
    assert (found.masks[:, 20:44, 16:32] > 0.99).all()


def test_the_pictures_are_not_changed(dancer):
    before = dancer.images.clone()

    cut_cloth(dancer.images, ClothCutSettings(), mask=dancer.mask.float(), poses=poses_of(dancer))

    assert torch.equal(dancer.images, before)


# ---- shapes


def test_a_hull_keeps_corners_and_drops_what_lies_inside():
    points = np.array([[0, 0], [4, 0], [4, 3], [0, 3], [2, 1], [2, 0]])

    assert {tuple(corner) for corner in convex_hull(points)} == {(0, 0), (4, 0), (4, 3), (0, 3)}


# ---- refused


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({}, {}, "told where the clothes are. Connect a mask"),
        ({"part": "hat"}, {"mask": torch.ones(64, 48)}, "one of all, upper, lower, got 'hat'"),
        ({"part": "upper"}, {"mask": torch.ones(64, 48)}, "mask alone does not tell the upper part"),
        ({"background": "pink"}, {"mask": torch.ones(64, 48)}, "one of grey, white, black, got 'pink'"),
        ({}, {"mask": torch.ones(3, 64, 48)}, "The mask has 3 frames for 2 pictures"),
        ({}, {"mask": torch.zeros(64, 48)}, r"No clothes were found in picture 1, 2 of 2 \(48 x 64 pixels\).*Invert Mask"),
        ({}, {"mask": torch.full((64, 48), torch.nan)}, "No clothes were found in picture 1, 2"),
        ({}, {"poses": standing()}, "keypoints tell of 1 pictures, image has 2"),
        ({}, {"poses": PoseClip(points=np.zeros((2, 1, 136, 3)), width=48, height=64)}, "must show shoulders and hips"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(settings, given, message):
    with pytest.raises(InputError, match=message):
        cut_cloth(torch.rand(2, 64, 48, 3), ClothCutSettings(**settings), **given)
