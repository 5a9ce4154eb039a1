import json

import numpy as np
import pytest
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.pose_clip import NOSE, read_clip, write_clip
from dreamoving.dreamoving_core.preprocess.pose_json import read_pose_json
from pose_figures import dancing


def openpose_file(x: float) -> str:
    """As OpenPose's --write_json writes a frame: no size, 25 points, raw scores."""
    person = {
        "person_id": [-1], "pose_keypoints_2d": [v for j in range(25) for v in (x + j, 30.0, 0.7)],
        "face_keypoints_2d": [], "hand_left_keypoints_2d": [], "hand_right_keypoints_2d": [], "pose_keypoints_3d": [],
    }  # fmt: skip
    return json.dumps({"version": 1.3, "people": [person]})


def test_what_a_pose_node_saved_comes_back():
    frames = write_clip(dancing(1, frames=3))

    assert read_pose_json([json.dumps(frames)]) == frames
    assert read_pose_json([json.dumps([[frame] for frame in frames])]) == frames
    assert read_pose_json([json.dumps(frame) for frame in frames]) == frames


def test_openposes_files_are_frames_in_their_order_at_the_given_size():
    frames = read_pose_json([openpose_file(x) for x in (10, 20, 30)], width=320, height=240)

    clip = read_clip(frames)
    assert (clip.width, clip.height) == (320, 240)
    assert clip.points[:, 0, NOSE, 0].tolist() == [10, 20, 30]
    assert clip.seen[0, 0, :24].all()
    assert not clip.seen[0, 0, 24:].any()


def test_a_frame_without_people_stays_a_frame():
    frames = read_pose_json([openpose_file(10), '{"version": 1.3, "people": []}'], width=32, height=24)

    assert [len(frame["people"]) for frame in frames] == [1, 0]
    assert not np.any(read_clip(frames).points[1])


def test_a_missing_size_is_asked_for_in_words():
    with pytest.raises(InputError, match=r"Frame 0 doesn't say how large its picture was: .*got 0 x 240"):
        read_pose_json([openpose_file(1)], height=240)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["{nonsense"], r"Expected JSON in the text, found something else at line 1, column 2"),
        ([openpose_file(1), "[1"], r"Expected JSON in text 2 of 2"),
        (["[]"], "holds no frames"),
        (['{"points": []}'], r"Frame 0 in the text is no pose: expected a dictionary with 'people'"),
        (["[1, 2]"], r"Frame 0 in the text is no pose: .*got int"),
    ],
)
def test_text_that_is_no_pose_is_refused_in_words(texts, said):
    with pytest.raises(InputError, match=said):
        read_pose_json(texts, width=8, height=8)
