"""POSE_KEYPOINT of ComfyUI's own pose nodes and of controlnet_aux, and ours in their hands."""

import numpy as np
import pytest
import torch
from comfy_extras import nodes_sdpose
from dreamoving.dreamoving_core.preprocess.draw_pose import draw_pose
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint, to_openpose
from dreamoving.dreamoving_core.preprocess.pose_clip import (
    FEET,
    LEFT_HAND,
    NECK,
    RIGHT_HAND,
    PoseClip,
    read_clip,
    write_clip,
)
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip

SIZE = 512
LISTS = {
    "pose_keypoints_2d": 54, "face_keypoints_2d": 210, "hand_left_keypoints_2d": 63, "hand_right_keypoints_2d": 63,
    "foot_keypoints_2d": 18,
}  # fmt: skip


@pytest.fixture(scope="module")
def danced() -> torch.Tensor:
    """COCO-WholeBody truth, `f 133 3`."""
    return render_clip(ClipSpec(seed=3, num_frames=3, size=SIZE)).keypoints


def sdpose(keypoints: torch.Tensor) -> list[dict]:
    """What core's SDPose extractor writes of these detections."""
    points = keypoints.numpy()
    return nodes_sdpose._to_openpose_frames(
        [[frame[:, :2]] for frame in points], [[frame[:, 2]] for frame in points], SIZE, SIZE
    )


def aux_reader(points: list[float] | None) -> list[tuple[float, float] | None] | None:
    """How controlnet_aux reads a list: what is not certain is missing."""
    if not points:
        return None
    triples = np.array(points).reshape(-1, 3)
    return [(x, y) if c >= 1.0 else None for x, y, c in triples]


def test_sdposes_points_are_read_in_their_places_with_hands_put_right(danced):
    theirs, ours = read_clip(sdpose(danced)), read_clip(encode_pose_keypoint(danced, width=SIZE, height=SIZE))

    assert theirs.points.shape == ours.points.shape == (3, 1, 136, 3)
    np.testing.assert_allclose(theirs.points, ours.points, atol=1e-3)
    assert ours.seen[:, :, LEFT_HAND].any()
    assert ours.seen[:, :, FEET].any()


def test_sdpose_draws_our_poses_where_they_are(danced):
    ours = encode_pose_keypoint(danced, width=SIZE, height=SIZE)
    args = {"stick_width": 4, "face_point_size": 3, "score_threshold": 0.3}
    parts = {"draw_body": True, "draw_hands": True, "draw_face": True, "draw_feet": True, "draw_head": True}

    drawn = nodes_sdpose.SDPoseDrawKeypoints.execute(ours, **args, **parts).args[0]
    mine = draw_pose(ours, width=SIZE, height=SIZE, feet=True)

    lit, expected = drawn.amax(dim=-1) > 0, mine.amax(dim=-1) > 0
    assert lit.sum() > 1000
    assert (lit & expected).sum() / (lit | expected).sum() > 0.97


def test_a_pose_without_hands_and_face_can_be_drawn_by_sdpose(danced):
    bare = danced.clone()
    bare[:, 23:, 2] = 0

    drawn = nodes_sdpose.SDPoseDrawKeypoints.execute(
        encode_pose_keypoint(bare, width=SIZE, height=SIZE), True, True, True, False, 4, 3, 0.3, True
    ).args[0]

    assert drawn.shape == (3, SIZE, SIZE, 3)
    assert drawn.amax() > 0


def test_controlnet_aux_finds_every_point_that_we_write(danced):
    uncertain = danced.clone()
    uncertain[..., 2] *= 0.6  # as a detector says it: far below their threshold of 1

    for frame, truth in zip(encode_pose_keypoint(uncertain, width=SIZE, height=SIZE), danced, strict=True):
        person = frame["people"][0]
        assert {key: len(person[key]) for key in LISTS} == LISTS
        found = aux_reader(person["pose_keypoints_2d"])
        expected = to_openpose(truth[None]).body[0, 0]
        assert [point is not None for point in found] == (expected[:, 2] > 0).tolist()


def test_what_controlnet_aux_writes_is_read(danced):
    frames = encode_pose_keypoint(danced, width=SIZE, height=SIZE)
    expected = read_clip(frames)
    for frame in frames:
        frame["people"][0] |= {"hand_left_keypoints_2d": None, "foot_keypoints_2d": None}
        frame["animals"] = []

    clip = read_clip(frames)

    assert not clip.seen[:, :, LEFT_HAND].any()
    assert np.array_equal(clip.points[:, :, RIGHT_HAND], expected.points[:, :, RIGHT_HAND])
    assert np.array_equal(clip.points[:, :, :18], expected.points[:, :, :18])


def test_clips_survive_there_and_back(danced):
    clip = read_clip(encode_pose_keypoint(danced, width=SIZE, height=384))

    back = read_clip(write_clip(clip))

    assert (back.width, back.height) == (SIZE, 384)
    np.testing.assert_allclose(back.points, clip.points, atol=1e-4)


def test_frames_of_other_sizes_come_to_the_first_ones_canvas():
    points = np.zeros((1, 1, 136, 3))
    points[0, 0, NECK] = [10, 20, 1]
    small = write_clip(PoseClip(points=points, width=100, height=100))
    large = write_clip(PoseClip(points=points * [2, 4, 1], width=200, height=400))

    clip = read_clip(small + large)

    assert (clip.width, clip.height) == (100, 100)
    assert np.array_equal(clip.points[0], clip.points[1])
