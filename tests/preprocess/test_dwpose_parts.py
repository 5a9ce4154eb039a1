"""The authors' steps one by one, each against a slow or independent way."""

import numpy as np
import pytest
from dreamoving.benchmarks._pose_extract_figures import plain_decoding
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.preprocess.dwpose_detect import best_boxes, decode_cells, letterbox
from dreamoving.dreamoving_core.preprocess.dwpose_people import given_boxes, next_boxes, told_people
from dreamoving.dreamoving_core.preprocess.dwpose_simcc import (
    MEAN,
    STD,
    crop_matrix,
    crop_person,
    decode_simcc,
    to_picture,
)

cv2 = pytest.importorskip("cv2")
SIZE = (288, 384)


def test_the_letterbox_is_bgr_at_the_top_left_on_grey():
    picture = np.zeros((100, 50, 3), np.uint8)
    picture[...] = (10, 20, 30)

    letter, ratio = letterbox(picture, (640, 640))

    assert ratio == 6.4
    assert letter.shape == (3, 640, 640)
    assert letter.dtype == np.float32
    assert letter[:, 0, 0].tolist() == letter[:, 639, 319].tolist() == [30, 20, 10]
    assert (letter[:, :, 320:] == 114).all()


def test_cells_become_boxes_as_yolox_codes_them():
    rows = np.zeros((525, 85), np.float32)
    rows[:, 2:4] = -20
    cell = 400 + 10 * 4 + 7  # of the second grid, 10 x 10 with stride 16: column 7, row 4
    rows[cell, :4] = [0.5, -0.25, np.log(2.0), np.log(3.0)]
    rows[cell, 4:6] = 0.8, 0.5

    boxes, scores = decode_cells(rows, (160, 160))

    assert np.allclose(boxes[cell], [7.5 * 16 - 16, 3.75 * 16 - 24, 7.5 * 16 + 16, 3.75 * 16 + 24])
    assert scores[cell] == pytest.approx(0.4)
    assert np.delete(scores, cell).max() == 0


def test_a_network_with_another_number_of_cells_is_refused():
    with pytest.raises(WeightsError, match=r"Expected 525 cells .* 160 x 160 pixels, got 500"):
        decode_cells(np.zeros((500, 85), np.float32), (160, 160))


def test_of_overlapping_boxes_the_surest_stays_as_in_a_plain_loop():
    draw = np.random.default_rng(0)
    low = draw.uniform(0, 100, (60, 2))
    boxes = np.concatenate([low, low + draw.uniform(20, 60, (60, 2))], axis=1)
    scores = draw.uniform(0, 1, 60)

    kept, kept_scores = best_boxes(boxes, scores)

    expected = []
    for i in sorted(range(60), key=lambda i: -scores[i]):
        if scores[i] > 0.1 and all(overlap(boxes[i], boxes[j]) <= 0.45 for j in expected):
            expected.append(i)
    assert np.array_equal(kept, boxes[expected])
    assert np.array_equal(kept_scores, scores[expected])


def overlap(a, b):
    sides = [max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1) for i in (0, 1)]
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    shared = sides[0] * sides[1]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("box", [(100, 50, 200, 400), (100, 50, 600, 150), (-40, -30, 60, 90)])
def test_the_crop_is_a_quarter_larger_than_the_box_and_keeps_its_proportions(box):
    matrix = crop_matrix(np.array(box, float), SIZE)

    corners = np.array([[box[0], box[1]], [box[2], box[3]]], float) @ matrix[:, :2].T + matrix[:, 2]
    middle, extent = corners.mean(axis=0), np.ptp(corners, axis=0)
    assert np.allclose(middle, (144, 192))
    assert matrix[0, 0] == matrix[1, 1]
    assert np.isclose((extent * 1.25 / SIZE).max(), 1.0)


def test_points_go_to_the_crop_and_back():
    box = np.array([37.0, 11.0, 180.0, 300.0])
    places = np.random.default_rng(0).uniform(0, 300, (133, 2))
    matrix = crop_matrix(box, SIZE)

    crop = places @ matrix[:, :2].T + matrix[:, 2]

    assert np.abs(to_picture(crop, box, SIZE) - places).max() < 1e-9


def test_the_crop_is_rgb_normalised_and_black_beyond_the_picture():
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[...] = (200, 100, 50)

    crop = crop_person(picture, np.array([0.0, 0.0, 100.0, 100.0]), SIZE)

    middle = crop[:, 192, 144] * np.array(STD) + np.array(MEAN)
    assert np.allclose(middle, (200, 100, 50), atol=1e-3)
    assert np.allclose(crop[:, 0, 0] * np.array(STD) + np.array(MEAN), 0, atol=1e-3)


def test_simcc_is_decoded_as_a_plain_loop_decodes_it():
    draw = np.random.default_rng(0)
    simcc_x, simcc_y = draw.normal(-1.5, 1, (2, 133, 48)), draw.normal(-1.5, 1, (2, 133, 64))
    simcc_x[0, 3] -= 9

    points, scores = decode_simcc(simcc_x, simcc_y)

    for person in range(2):
        plain_points, plain_scores = plain_decoding(simcc_x[person], simcc_y[person])
        assert np.array_equal(points[person], np.array(plain_points))
        assert np.array_equal(scores[person], np.array(plain_scores))
    assert points[0, 3].tolist() == [-0.5, -0.5]


def test_the_next_box_lies_around_the_points_in_sight():
    person = np.zeros((1, 133, 3))
    person[0, :17] = [100, 200, 0.9]
    person[0, 5] = [140, 300, 0.8]
    person[0, 50] = [900, 900, 0.2]  # not in sight

    [box] = next_boxes(person)

    assert np.allclose(box, [97, 192.5, 143, 307.5])


def test_a_person_with_hardly_a_point_in_sight_is_lost():
    person = np.zeros((1, 133, 3))
    person[0, :3] = [100, 200, 0.9]

    assert next_boxes(person) is None
    assert next_boxes(np.zeros((0, 133, 3))) is None


def test_boxes_of_core_are_read_for_one_frame_for_all_and_per_frame():
    one, two = {"x": 1, "y": 2, "width": 3, "height": 4}, {"x": 5, "y": 6, "width": 7, "height": 8}

    assert given_boxes(one, frame=9).tolist() == [[1, 2, 4, 6]]
    assert given_boxes([one, two], frame=3).tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]
    assert given_boxes([[one], [two]], frame=1).tolist() == [[5, 6, 12, 14]]
    assert given_boxes([[one], [two]], frame=7).tolist() == [[5, 6, 12, 14]]
    assert given_boxes([[one], []], frame=1).shape == (0, 4)


def test_the_report_counts_frames_and_people():
    def entry(people):
        return {"canvas_width": 64, "canvas_height": 48, "people": [{}] * people}

    assert told_people([entry(1), entry(0), entry(2)]) == (
        "3 frames of 64 x 48 pixels, up to 2 people at once. Nobody in 1 of them (frame 1)."
    )
    assert told_people([entry(1)]) == "1 frame of 64 x 48 pixels, 1 person."
    assert told_people([entry(0)]).startswith(
        "No person was found in 1 frame of 64 x 48 pixels. Lower the threshold"
    )
