"""Faces in pictures: where they are by points of three kinds, which one is taken, and what is cut out."""

import math

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.face_align import (
    OF_68,
    OF_478,
    LocatedFace,
    align_face,
    face_of_points,
    faces_of_landmarks,
    faces_of_poses,
)
from dreamoving.dreamoving_core.preprocess.face_crop import FaceCropSettings, choose_faces, crop_faces
from dreamoving.dreamoving_core.preprocess.face_identity import TEMPLATE, aligned, bgr, similarity
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from dreamoving.dreamoving_core.preprocess.pose_clip import (
    FACE,
    LEFT_EYE,
    NOSE,
    RIGHT_EYE,
    PoseClip,
    read_clip,
)
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.procdance.parts import EYES, MOUTH

ALL = np.ones(5, dtype=bool)


def turned(points, *, angle=0.0, scale=1.0, shift=(0.0, 0.0)):
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return scale * points @ turn.T + np.array(shift)


def face(x=40.0, y=30.0, size=20.0, score=0.9):
    points = TEMPLATE / 112 * size + [x, y]
    return LocatedFace(box=(x, y, x + size, y + size), points=points, score=score, source="detector")


@pytest.fixture(scope="module")
def closeup():
    """A drawn dancer's face, with the truth about every pixel."""
    return render_clip(ClipSpec(seed=3, split="held_out", num_frames=2, size=192, shot="face", fps=1.0))


# ---- aligned


@pytest.mark.parametrize("size", [112, 224])
def test_an_aligned_face_is_the_picture_that_opencv_warps(size):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 20, 16, generator=generator)
    picture = (
        torch.nn.functional.interpolate(coarse, size=(320, 256), mode="bicubic")[0].movedim(0, -1).clamp(0, 1)
    )
    points = turned(TEMPLATE, angle=0.3, scale=1.4, shift=(60, 40))

    ours = align_face(picture, points, size=size)

    theirs = aligned(bgr(picture), points, size=size)[..., ::-1].astype(np.float32) / 255
    assert np.abs(ours.numpy() - theirs).max() < 2 / 255  # OpenCV's weights have five bits, its pixels eight


def test_eyes_and_mouth_of_a_drawn_face_come_to_lie_on_the_template(closeup):
    clip = read_clip(encode_pose_keypoint(closeup.keypoints, width=192, height=192))

    for frame, (found,) in enumerate(faces_of_poses(clip, width=192, height=192)):
        for label, rows in ((EYES, (0, 1)), (MOUTH, (3, 4))):
            truth = (closeup.labels[frame] == label).float()[..., None].expand(-1, -1, 3)
            upright = align_face(truth, found.points, size=112)[..., 0]
            y, x = torch.nonzero(upright > 0.5, as_tuple=True)
            middle = TEMPLATE[list(rows)].mean(axis=0)
            assert (
                math.dist((x.float().mean(), y.float().mean()), middle) < 7
            )  # of 112; a drawn face is no average one


def test_a_face_that_was_turned_and_scaled_comes_out_the_same():
    picture = torch.zeros(300, 300, 3)
    points = turned(TEMPLATE, angle=-0.7, scale=1.2, shift=(90, 140))
    for channel, (x, y) in enumerate(points[[0, 2, 4]].round().astype(int)):
        picture[y - 3 : y + 4, x - 3 : x + 4, channel] = 1

    upright = align_face(picture, points, size=112)

    for channel, (x, y) in enumerate(TEMPLATE[[0, 2, 4]].round().astype(int)):
        assert upright[y, x, channel] == pytest.approx(1, abs=1e-3)
        assert upright[y, x].sum() == pytest.approx(1, abs=1e-3)


# ---- found by points


def test_missing_points_are_put_where_the_template_has_them():
    points = turned(TEMPLATE, angle=0.2, scale=2.0, shift=(10, 5))
    seen = np.array([True, True, True, False, False])

    found = face_of_points(np.where(seen[:, None], points, 0), seen, score=1.0, source="poses")

    assert np.abs(found.points - points).max() < 1e-3


# Some vertices of MediaPipe's canonical_face_model.obj (Apache-2.0), x and y in centimetres, y up.
CANONICAL = {
    1: (0.0, -1.126865), 4: (0.0, -0.46317), 33: (-4.445859, 2.663991), 133: (-1.856432, 2.585245),
    159: (-3.177186, 2.964136), 145: (-3.177186, 2.294265), 61: (-2.456206, -4.342621), 263: (4.445859, 2.663991),
    362: (1.856432, 2.585245), 386: (3.177186, 2.964136), 374: (3.177186, 2.294265), 291: (2.456206, -4.342621),
}  # fmt: skip


def test_mediapipes_own_face_lies_on_the_template_in_all_five_points():
    rows = np.zeros((478, 2))
    for number, (x, y) in CANONICAL.items():
        rows[number] = (100 + 10 * x, 100 - 10 * y)
    landmarks = {"frames": [[{"landmarks_xy": rows, "score": 1.0}]], "image_size": (200, 200)}

    ((found,),) = faces_of_landmarks(landmarks, width=200, height=200)

    matrix = similarity(found.points, TEMPLATE)
    missed = found.points @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE
    assert np.sqrt((missed**2).sum(axis=1).mean()) < 0.6  # of 112 pixels


@pytest.mark.parametrize("seen", [[True, False, False, False, False], [False] * 5])
def test_one_point_is_no_face(seen):
    assert face_of_points(TEMPLATE, np.array(seen), score=1.0, source="poses") is None


def test_points_on_one_spot_are_no_face():
    assert face_of_points(np.full((5, 2), 7.0), ALL, score=1.0, source="poses") is None


def pose_of(points, *, head_only, width=400, height=300):
    """One person whose face points lie around `points` (5 x 2), or whose head's joints do."""
    person = np.zeros((1, 1, 136, 3))
    if head_only:
        for joint, row in ((RIGHT_EYE, 0), (LEFT_EYE, 1), (NOSE, 2)):
            person[0, 0, joint] = [*points[row], 1]
    else:
        for group, place in zip(OF_68, points, strict=True):
            spread = (np.arange(len(group)) - (len(group) - 1) / 2)[:, None] * [1, 0]
            person[0, 0, [FACE.start + i for i in group]] = np.column_stack(
                [place + spread, np.ones(len(group))]
            )
    return PoseClip(points=person, width=width, height=height)


@pytest.mark.parametrize("head_only", [False, True])
def test_poses_tell_the_five_points_in_the_pictures_own_pixels(head_only):
    points = turned(TEMPLATE, angle=0.1, scale=0.5, shift=(120, 60))

    ((found,),) = faces_of_poses(pose_of(points, head_only=head_only), width=800, height=600)

    assert np.abs(found.points - 2 * points).max() < 1e-3  # the picture is twice the canvas
    left, top, right, bottom = found.box
    assert left < found.points[:, 0].min() < found.points[:, 0].max() < right
    assert top < found.points[:, 1].min() < found.points[:, 1].max() < bottom


def test_head_joints_and_face_points_of_a_dancer_agree(closeup):
    clip = read_clip(encode_pose_keypoint(closeup.keypoints, width=192, height=192))
    without = clip.points.copy()
    without[:, :, FACE] = 0

    by_face = faces_of_poses(clip, width=192, height=192)[0][0]
    by_head = faces_of_poses(clip.with_points(without), width=192, height=192)[0][0]

    assert overlap(by_face.box, by_head.box) > 0.6


def overlap(one, other):
    wide = max(min(one[2], other[2]) - max(one[0], other[0]), 0)
    high = max(min(one[3], other[3]) - max(one[1], other[1]), 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return wide * high / (area - wide * high)


def landmarks_of(points, *, size=(300, 400)):
    rows = np.zeros((478, 2), np.float32)
    for group, place in zip(OF_478, points, strict=True):
        rows[list(group)] = place
    return {"frames": [[{"landmarks_xy": rows, "score": 0.8, "bbox_xyxy": rows[0]}]], "image_size": size}


def test_mediapipes_landmarks_tell_the_five_points():
    points = turned(TEMPLATE, angle=-0.2, scale=0.6, shift=(90, 70))

    ((found,),) = faces_of_landmarks(landmarks_of(points), width=400, height=300)

    assert np.abs(found.points - points).max() < 1e-3
    assert (found.score, found.source) == (0.8, "landmarks")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frames": []}, "not what Detect Face Landmarks .* gives"),
        ({"frames": [[{"score": 1}]], "image_size": (4, 4)}, "not what Detect Face Landmarks"),
        ({"frames": [[{"landmarks_xy": np.zeros((5, 2)), "score": 1}]], "image_size": (4, 4)}, "478 landmarks, got 5 x 2"),
    ],
)  # fmt: skip
def test_landmarks_of_another_kind_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        faces_of_landmarks(given, width=4, height=4)


# ---- chosen and cut


def test_best_is_the_largest_and_all_go_from_left_to_right():
    faces = [face(x=60, size=10), face(x=0, size=12), face(x=30, size=30)]

    def lefts(**settings):
        return [one.box[0] for one in choose_faces(faces, FaceCropSettings(**settings))]

    assert lefts() == [30]
    assert lefts(who="all") == [0, 30, 60]
    assert lefts(who="number", number=3) == [60]
    assert lefts(who="number", number=4) == []


@pytest.mark.parametrize("background", ["grey", "white", "black"])
def test_a_crop_is_square_around_the_face_and_plain_beyond_the_picture(background):
    picture = torch.full((1, 60, 100, 3), 0.25)
    picture[0, 0:20, 0:20] = torch.tensor([1.0, 0.5, 0.0])
    settings = FaceCropSettings(size=40, margin=0.5, background=background)

    found = crop_faces(picture, [[face(x=0, y=0, size=20)]], settings)

    level = {"grey": 0.5, "white": 1.0, "black": 0.0}[background]
    assert found.crops.shape == (1, 40, 40, 3)
    assert torch.allclose(found.crops[0, 12:28, 12:28], torch.tensor([1.0, 0.5, 0.0]), atol=1e-6)
    assert torch.allclose(found.crops[0, :8], torch.tensor(level), atol=1e-6)
    assert torch.allclose(found.crops[0, 32:, 32:], torch.tensor(0.25), atol=1e-6)


def test_boxes_are_those_of_core_one_list_per_picture():
    pictures = torch.rand(2, 80, 90, 3)
    found = crop_faces(
        pictures, [[face(x=10, y=5, size=30)], []], FaceCropSettings(who="all", missing="leave out")
    )

    assert found.boxes == [
        [{"x": 10, "y": 5, "width": 30, "height": 30, "label": "face", "score": 0.9}],
        [],
    ]
    assert found.crops.shape == found.aligned.shape == (1, 224, 224, 3)


def test_frames_without_a_face_are_cut_where_the_nearest_frame_has_it_so_that_none_is_lost():
    pictures = torch.arange(5.0)[:, None, None, None].expand(5, 50, 120, 3) / 8
    faces = [[], [face(x=10, y=10)], [], [face(x=70, y=10)], []]

    found = crop_faces(pictures, faces, FaceCropSettings(size=32, margin=0.0, missing="nearest"))

    assert found.crops[:, 16, 16, 0].tolist() == [0.0, 0.125, 0.25, 0.375, 0.5]
    assert [boxes[0]["x"] for boxes in found.boxes] == [10, 10, 10, 70, 70]


def test_every_chosen_face_of_every_picture_is_cut_in_order():
    pictures = torch.arange(3.0)[:, None, None, None].expand(3, 50, 120, 3) / 4
    faces = [[face(x=70, y=10), face(x=10, y=10)], [face(x=40, y=10)], [face(x=40, y=10)]]

    found = crop_faces(pictures, faces, FaceCropSettings(who="all", size=32, margin=0.0))

    assert found.crops[:, 16, 16, 0].tolist() == [0.0, 0.0, 0.25, 0.5]
    assert [len(boxes) for boxes in found.boxes] == [2, 1, 1]


@pytest.mark.parametrize("missing", ["stop", "leave out", "nearest"])
def test_no_face_at_all_says_the_size_and_what_to_try(missing):
    settings = FaceCropSettings(missing=missing)

    with pytest.raises(
        InputError, match=r"No face was found in picture 1, 2 of 2 \(90 x 80 pixels\).*at least 40 pixels"
    ):
        crop_faces(torch.rand(2, 80, 90, 3), [[], []], settings)


def test_a_number_that_nobody_has_says_how_many_there_are():
    with pytest.raises(InputError, match="no face number 3 in picture 1 of 1: at most 2 faces were found"):
        crop_faces(torch.rand(1, 80, 90, 3), [[face(), face(x=2)]], FaceCropSettings(who="number", number=3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"who": "tallest"}, "one of best, all, number, got 'tallest'"),
        ({"background": "pink"}, "one of grey, white, black, got 'pink'"),
    ],
)
def test_unknown_words_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        crop_faces(torch.rand(1, 80, 90, 3), [[face()]], FaceCropSettings(**settings))
