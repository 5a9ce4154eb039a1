import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.keypoints import (
    decode_pose_keypoint,
    encode_pose_keypoint,
    to_openpose,
)

KEYS = (
    "pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "foot_keypoints_2d",
)  # fmt: skip


def whole_body(frames: int = 2, people: int = 1) -> torch.Tensor:
    """Point j of person p in frame f stands at (2 + j, 3 + 100 p + 10 f), all visible; f p 133 3."""
    points = torch.ones(frames, people, 133, 3)
    points[..., 0] = 2 + torch.arange(133)
    points[..., 1] = 3 + 100 * torch.arange(people)[None, :, None] + 10 * torch.arange(frames)[:, None, None]
    return points


def test_every_openpose_point_comes_from_its_coco_point():
    pose = to_openpose(whole_body())

    names = [0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    expected = [5.5 if j is None else float(j) for j in names]  # the neck is between shoulders 5 and 6
    assert (pose.body[0, 0, :, 0] - 2).tolist() == expected
    assert (pose.face[0, 0, :, 0] - 2).tolist() == [*range(23, 91), 2, 1]
    assert (pose.left_hand[0, 0, :, 0] - 2).tolist() == list(range(91, 112))
    assert (pose.right_hand[0, 0, :, 0] - 2).tolist() == list(range(112, 133))


def test_the_neck_needs_both_shoulders():
    points = whole_body()
    points[0, 0, 5, 2] = 0.2

    neck = to_openpose(points).body[:, 0, 1]

    assert neck[0].tolist() == [0, 0, 0]
    assert neck[1, 2] == 1


def test_encoding_and_decoding_returns_the_same_people():
    points = whole_body(frames=3, people=2)
    points[1, 0, ::2, 2] = 0.0
    pose = to_openpose(points)

    decoded = decode_pose_keypoint(encode_pose_keypoint(pose, width=512, height=768))

    for name, value in vars(decoded).items():
        expected = getattr(pose, name)
        seen = expected[..., 2:] > 0.3
        assert torch.equal(value, torch.where(seen, expected, torch.zeros(()))), name


def test_encoded_frames_hold_plain_lists_with_binary_scores_and_their_canvas():
    points = whole_body()
    points[..., 2] = torch.linspace(0, 1, 133)

    frames = encode_pose_keypoint(points[:, 0], width=320, height=240)

    assert [(f["canvas_width"], f["canvas_height"], len(f["people"])) for f in frames] == [(320, 240, 1)] * 2
    person = frames[0]["people"][0]
    assert [len(person[key]) for key in KEYS] == [54, 210, 63, 63, 18]
    assert {score for key in KEYS for score in person[key][2::3]} == {0.0, 1.0}
    assert all(isinstance(value, float) for value in person[KEYS[0]])
    assert person[KEYS[0]][:3] == [0.0, 0.0, 0.0]  # missing points carry no place


def test_a_frame_without_anybody_has_no_people_and_reads_as_zeros():
    points = whole_body()
    points[1, ..., 2] = 0

    frames = encode_pose_keypoint(points, width=320, height=240)
    decoded = decode_pose_keypoint(frames)

    assert [len(frame["people"]) for frame in frames] == [1, 0]
    assert decoded.body[1].abs().sum() == 0
    assert decoded.body[0, 0, 0].tolist() == [2, 3, 1]


def test_missing_and_none_lists_read_as_missing_points():
    frames = encode_pose_keypoint(whole_body(), width=320, height=240)
    frames[0]["people"][0]["hand_left_keypoints_2d"] = None
    frames[0]["people"][0]["hand_right_keypoints_2d"] = []
    del frames[0]["people"][0]["face_keypoints_2d"]
    frames[1]["people"] = None

    pose = decode_pose_keypoint(frames)

    assert pose.left_hand.sum() == pose.right_hand.sum() == pose.face.sum() == 0
    assert pose.body[0].sum() > 0
    assert pose.body[1].sum() == 0


def test_68_face_points_get_the_bodys_eyes_as_pupils():
    frames = encode_pose_keypoint(whole_body(), width=320, height=240)
    for frame in frames:
        frame["people"][0]["face_keypoints_2d"] = frame["people"][0]["face_keypoints_2d"][: 68 * 3]

    pose = decode_pose_keypoint(frames)

    assert torch.equal(pose.face[..., 68:, :], pose.body[..., [14, 15], :])


def test_fractions_of_the_canvas_become_pixels():
    frames = encode_pose_keypoint(whole_body(), width=320, height=240)
    expected = decode_pose_keypoint(frames)
    for frame in frames:
        for key in KEYS:
            values = frame["people"][0][key]
            values[0::3] = [x / 320 for x in values[0::3]]
            values[1::3] = [y / 240 for y in values[1::3]]

    pose = decode_pose_keypoint(frames)

    assert torch.allclose(pose.body, expected.body, atol=1e-4)
    assert torch.allclose(pose.face, expected.face, atol=1e-4)


def test_fractions_may_leave_the_canvas_a_little():
    frames = [{"canvas_width": 100, "canvas_height": 200, "people": [{KEYS[0]: [1.1, 0.5, 1.0] * 18}]}]

    assert decode_pose_keypoint(frames).body[0, 0, 0, :2].tolist() == pytest.approx([110, 100])


def test_hands_can_be_swapped_for_writers_that_mix_them_up():
    frames = encode_pose_keypoint(whole_body(), width=320, height=240)

    straight, swapped = decode_pose_keypoint(frames), decode_pose_keypoint(frames, swap_hands=True)

    assert torch.equal(straight.left_hand, swapped.right_hand)
    assert torch.equal(straight.right_hand, swapped.left_hand)
    assert not torch.equal(straight.left_hand, straight.right_hand)


def test_hands_that_begin_at_the_other_wrist_are_put_right_by_themselves():
    points = whole_body()
    points[..., 91, :2] = points[..., 9, :2] + 1  # left hand at the left wrist
    points[..., 112, :2] = points[..., 10, :2] + 1
    points[..., 10, 1] += 50
    points[..., 112, 1] += 50
    frames = encode_pose_keypoint(points, width=320, height=240)
    for frame in frames:
        person = frame["people"][0]
        left, right = "hand_left_keypoints_2d", "hand_right_keypoints_2d"
        person[left], person[right] = person[right], person[left]

    pose, truth = decode_pose_keypoint(frames, swap_hands="auto"), to_openpose(points)

    assert torch.equal(pose.left_hand, truth.left_hand)
    straight = encode_pose_keypoint(points, width=320, height=240)
    assert torch.equal(decode_pose_keypoint(straight, swap_hands="auto").left_hand, truth.left_hand)


def test_feet_are_the_six_points_behind_the_body():
    pose = to_openpose(whole_body())

    decoded = decode_pose_keypoint(encode_pose_keypoint(pose, width=512, height=768))

    assert (pose.feet[0, 0, :, 0] - 2).tolist() == list(range(17, 23))
    assert torch.equal(decoded.feet, pose.feet)


def test_openposes_25_points_are_read_as_body_and_feet():
    names = [
        "nose", "neck", "rsho", "relb", "rwri", "lsho", "lelb", "lwri", "midhip", "rhip", "rkne", "rank", "lhip", "lkne",
        "lank", "reye", "leye", "rear", "lear", "lbig", "lsmall", "lheel", "rbig", "rsmall", "rheel",
    ]  # fmt: skip
    values = [number for joint in range(25) for number in (10.0 * joint, 5.0, 0.9)]
    frame = {"canvas_width": 320, "canvas_height": 240, "people": [{"pose_keypoints_2d": values}]}

    pose = decode_pose_keypoint([frame])

    assert [names[int(x / 10)] for x in pose.body[0, 0, :, 0]] == [
        "nose", "neck", "rsho", "relb", "rwri", "lsho", "lelb", "lwri", "rhip", "rkne", "rank", "lhip", "lkne", "lank",
        "reye", "leye", "rear", "lear",
    ]  # fmt: skip
    assert [names[int(x / 10)] for x in pose.feet[0, 0, :, 0]] == names[19:]


def test_other_layouts_are_refused_in_words():
    frames = encode_pose_keypoint(whole_body(), width=320, height=240)
    frames[1]["people"][0]["pose_keypoints_2d"] = [0.0] * 51

    with pytest.raises(InputError, match=r"Expected 18 points \(54 numbers\) in frame 1, person 0.*got 51"):
        decode_pose_keypoint(frames)
    with pytest.raises(InputError, match="Frame 0 of the POSE_KEYPOINT list lacks canvas_height"):
        decode_pose_keypoint([{"canvas_width": 3, "people": []}])
    with pytest.raises(InputError, match="at least 1 frame, got an empty"):
        decode_pose_keypoint([])
    with pytest.raises(InputError, match="frames x 133 x 3, got 4 x 17 x 3"):
        to_openpose(torch.zeros(4, 17, 3))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "one entry per frame, got int"),
        ([{"canvas_width": 8, "canvas_height": 8, "people": [3]}], "no dictionaries"),
    ],
)
def test_what_is_no_pose_is_refused_in_words(value, text):
    with pytest.raises(InputError, match=text):
        decode_pose_keypoint(value)
