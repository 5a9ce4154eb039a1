"""Pose extraction on files that see paint: the whole way from pixels to POSE_KEYPOINT, and its parts against slow ones."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.preprocess.dwpose import ExtractSettings, open_extractor
from dreamoving.dreamoving_core.preprocess.keypoints import decode_pose_keypoint

from .dwpose_files import painted, person_file, points_file, scattered

SIZE = {"width": 320, "height": 240}
LEFT = {"left": 16, "top": 30, "width": 112, "height": 180}
RIGHT = {"left": 184, "top": 20, "width": 116, "height": 200}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dwpose")
    small = {"size": (96, 128)}
    return {
        "raw": person_file(folder / "yolox_l.onnx", size=320),
        "suppressed": person_file(folder / "yolox_nms.onnx", size=320, suppressed=True),
        "points": points_file(folder / "dw-ll_ucoco_384.onnx", **small),
        "fixed": points_file(folder / "rtmw_fixed.onnx", batch=3, **small),
    }


def extractor(files, *, detector="raw", points="points", **settings):
    chosen = None if detector is None else files[detector]
    return open_extractor(chosen, files[points], ExtractSettings(**settings), device="CPU")


def two_people(seed=0):
    return [scattered(seed, **LEFT), scattered(seed + 1, **RIGHT)]


def found_points(entry):
    """The 133 points of each person of one POSE_KEYPOINT entry, from left to right, in COCO-WholeBody's order."""
    pose = decode_pose_keypoint([entry])
    coco = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]
    parts = [pose.body[0][:, coco], pose.feet[0], pose.face[0][:, :68], pose.left_hand[0], pose.right_hand[0]]
    people = np.concatenate([part.numpy() for part in parts], axis=1)
    return people[np.argsort(people[..., 0].mean(axis=1))]


@pytest.mark.parametrize("detector", ["raw", "suppressed"])
def test_every_painted_joint_comes_back_at_its_place(files, detector):
    people = two_people()

    [entry] = extractor(files, detector=detector).extract([painted(people, **SIZE)])

    found = found_points(entry)
    error = np.linalg.norm(found[..., :2] - np.stack(people), axis=-1)
    assert found.shape[0] == 2
    assert (found[..., 2] == 1).all()
    assert np.median(error) < 1.0
    assert error.max() < 2.5
    assert (entry["canvas_width"], entry["canvas_height"]) == (320, 240)


def test_a_file_with_a_fixed_batch_gets_it_filled_up(files):
    picture = painted(two_people(), **SIZE)

    assert extractor(files, points="fixed").extract([picture]) == extractor(files).extract([picture])


def test_files_of_the_authors_sizes_are_read_by_their_own_sizes(tmp_path):
    person = scattered(0, left=300, top=60, width=330, height=580, dot=4)
    detector, points = (
        person_file(tmp_path / "yolox_l.onnx"),
        points_file(tmp_path / "dw.onnx", size=(288, 384)),
    )
    boxes = [{"x": 285, "y": 45, "width": 360, "height": 610}]

    extract = open_extractor(detector, points, ExtractSettings(), device="CPU")
    [entry] = extract.extract([painted([person], width=960, height=720, dot=4)], boxes=boxes)

    assert extract.detector.size == (640, 640)
    error = np.linalg.norm(found_points(entry)[0, :, :2] - person, axis=-1)
    assert np.median(error) < 1.0
    assert error.max() < 2.5


def test_the_neck_lies_between_the_shoulders(files):
    people = two_people()

    [entry] = extractor(files).extract([painted(people[:1], **SIZE)])

    body = decode_pose_keypoint([entry]).body[0, 0]
    assert np.allclose(body[1, :2], (body[2, :2] + body[5, :2]) / 2, atol=1e-4)


@pytest.mark.parametrize("every", [1, 3])
def test_frame_n_in_is_frame_n_out(files, every):
    """Each frame shows other people: none, one or two, of which nobody stays where they were."""
    shown = [two_people(i)[: i % 3] for i in range(11)]

    frames = extractor(files, every=every).extract([painted(people, **SIZE) for people in shown])

    assert len(frames) == 11
    if every == 1:
        assert [len(frame["people"]) for frame in frames] == [len(people) for people in shown]
    for frame, people in zip(frames[::3], shown[::3], strict=True):
        assert len(frame["people"]) == len(people)
        if people:
            error = np.linalg.norm(found_points(frame)[..., :2] - np.stack(people), axis=-1)
            assert np.median(error) < 1.0


def test_between_two_searches_a_person_is_followed_by_their_points(files):
    start = scattered(0, **LEFT)
    shown = [start + np.array([4 * i, -i]) for i in range(9)]
    searched = []
    extract = extractor(files, every=4)
    run = extract.detector.model.session.run

    class Counted:
        def run(self, *arguments):
            searched.append(1)
            return run(*arguments)

    object.__setattr__(extract.detector.model, "session", Counted())
    frames = extract.extract([painted([points], **SIZE) for points in shown])

    assert len(searched) == 3
    for frame, points in zip(frames, shown, strict=True):
        error = np.linalg.norm(found_points(frame)[0, :, :2] - points, axis=-1)
        assert np.median(error) < 1.0


def test_somebody_who_is_lost_is_looked_for_at_once(files):
    pictures = [painted([scattered(i, **(LEFT if i < 2 else RIGHT))], **SIZE) for i in range(4)]

    frames = extractor(files, every=100).extract(pictures)

    assert [len(frame["people"]) for frame in frames] == [1, 1, 1, 1]
    assert found_points(frames[2])[0, :, 0].min() > 150


def test_only_the_largest_people_are_kept_when_asked(files):
    small = scattered(0, left=10, top=60, width=108, height=140)

    [entry] = extractor(files, people=1).extract([painted([small, two_people()[1]], **SIZE)])

    assert len(entry["people"]) == 1
    assert found_points(entry)[0, :, 0].min() > 150


def test_boxes_from_a_socket_take_the_detectors_place(files):
    people = two_people()
    boxes = [[{"x": 178, "y": 14, "width": 128, "height": 212}]]

    frames = extractor(files, detector=None).extract([painted(people, **SIZE)] * 2, boxes=boxes)

    for frame in frames:
        error = np.linalg.norm(found_points(frame)[0, :, :2] - people[1], axis=-1)
        assert np.median(error) < 1.0


def test_boxes_of_another_kind_are_refused_in_words(files):
    pictures = [painted([], **SIZE)]

    with pytest.raises(InputError, match="boxes of frame 0 are not x, y, width and height"):
        extractor(files, detector=None).extract(pictures, boxes=[[{"left": 1}]])
    with pytest.raises(InputError, match="Boxes are a list with one entry per frame, got str"):
        extractor(files, detector=None).extract(pictures, boxes="here")


def test_a_clip_without_pictures_is_refused_in_words(files):
    with pytest.raises(InputError, match="not one picture"):
        extractor(files).extract([])


def test_pictures_are_taken_from_the_stream_a_few_at_a_time(files):
    """1800 frames of 720p would be 5 GB."""
    alive, most = set(), []

    class Watched(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def stream():
        for _ in range(60):
            picture = np.full((72, 128, 3), 90, np.uint8).view(Watched)
            alive.add(id(picture))
            most.append(len(alive))
            yield picture

    assert len(extractor(files, every=1).extract(stream())) == 60
    assert max(most) <= 40


def test_what_a_progress_callback_raises_stops_the_run_at_that_frame(files):
    class CancelledError(Exception):
        pass

    done = []

    def on_frame(count):
        done.append(count)
        if count == 3:
            raise CancelledError

    with pytest.raises(CancelledError):
        extractor(files, every=2).extract([painted([], **SIZE)] * 9, on_frame=on_frame)
    assert done == [1, 2, 3]


@pytest.mark.parametrize(("width", "height"), [(16, 16), (7, 300), (2000, 16)])
def test_pictures_of_any_shape_are_read(files, width, height):
    [entry] = extractor(files).extract([np.full((height, width, 3), 90, np.uint8)])

    assert entry == {"canvas_width": width, "canvas_height": height, "people": []}


def test_exchanged_files_are_told_from_each_other(files):
    with pytest.raises(WeightsError, match=r"'dw-ll_ucoco_384.onnx' is no person detector.*takes input . x 3 x 128 x 96.*"
                       "choose it under pose_model"):  # fmt: skip
        open_extractor(files["points"], files["points"], ExtractSettings())
    with pytest.raises(WeightsError, match=r"'yolox_l.onnx' does not give whole-body points.*takes images 1 x 3 x 320 x 320.*"
                       "choose it under detector"):  # fmt: skip
        open_extractor(files["raw"], files["raw"], ExtractSettings())


def test_a_file_with_17_points_is_refused_with_what_it_gives(tmp_path, files):
    body_only = points_file(tmp_path / "vitpose.onnx", size=(96, 128), points=17)

    with pytest.raises(WeightsError, match=r"expected a DWPose or RTMW file.*gives simcc_x . x 17 x 192"):
        open_extractor(files["raw"], body_only, ExtractSettings())


def test_a_damaged_file_is_refused_in_words(tmp_path, files):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(files["points"].read_bytes()[:900])

    with pytest.raises(WeightsError, match=r"'broken.onnx' cannot be read as an .onnx file .*fetch it again"):
        open_extractor(files["raw"], broken, ExtractSettings())
    with pytest.raises(WeightsError, match="There is no file"):
        open_extractor(files["raw"], tmp_path / "nowhere.onnx", ExtractSettings())
