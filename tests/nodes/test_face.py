"""Crop Face and Cut Cloth as nodes: what they take from other nodes, and what they give on."""

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.preprocess.face_identity import load_face_recogniser
from dreamoving.dreamoving_core.preprocess.keypoints import encode_pose_keypoint
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.nodes.cloth import CutCloth
from dreamoving.nodes.face import CropFace

SIZE = 96


@pytest.fixture(scope="module")
def clip():
    return render_clip(ClipSpec(seed=1, split="held_out", num_frames=3, size=SIZE, fps=2.0))


@pytest.fixture(scope="module")
def keypoints(clip):
    return encode_pose_keypoint(clip.keypoints, width=SIZE, height=SIZE)


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    pytest.importorskip("insightface", reason="optional; requirements-dev.txt has it")
    from dreamoving.benchmarks._face_pack import write_face_pack

    folder = tmp_path_factory.mktemp("pack")
    write_face_pack(folder)
    return load_face_recogniser(folder, name="random")


def spot():
    from dreamoving.benchmarks._face_pack import picture_with_a_spot

    return torch.from_numpy(picture_with_a_spot())[None]


@pytest.mark.parametrize("node", [CropFace, CutCloth], ids=lambda node: node.__name__)
def test_every_input_and_output_explains_itself(node):
    schema = node.define_schema()
    schema.validate()

    assert all(len(item.tooltip) > 10 for item in (*schema.inputs, *schema.outputs))


def test_faces_of_a_clip_come_from_its_poses_one_per_frame(clip, keypoints):
    crops, boxes, aligned = CropFace.execute(clip.images, size=64, keypoints=keypoints).args

    assert crops.shape == aligned.shape == (3, 64, 64, 3)
    for frame, (box,) in enumerate(boxes):
        nose = clip.keypoints[frame, 0]
        assert box["x"] < nose[0] < box["x"] + box["width"]
        assert box["y"] < nose[1] < box["y"] + box["height"]


def test_faces_come_from_insightfaces_detector_in_the_pictures_own_pixels(recogniser):
    picture = spot()
    found = recogniser.detect(picture[0])

    crops, boxes, aligned = CropFace.execute(picture, who="all", size=64, face_recogniser=recogniser).args

    order = found.boxes[:, 0].argsort()
    assert len(crops) == len(aligned) == len(boxes[0]) == len(found.boxes)
    assert sorted(box["x"] for box in boxes[0]) == pytest.approx(
        (found.boxes[order, 0] - found.margin).tolist()
    )


def test_best_takes_the_same_face_as_encode_face_does(recogniser):
    from dreamoving.dreamoving_core.preprocess.face_align import align_face

    picture = spot()

    _, _, aligned = CropFace.execute(picture, size=112, face_recogniser=recogniser).args

    expected = align_face(picture[0], recogniser.largest_face(picture[0]).keypoints, size=112)
    assert torch.allclose(aligned[0], expected, atol=1e-5)


def test_poses_help_out_where_the_detector_finds_nothing(recogniser, clip, keypoints):
    dark = clip.images * 0.2

    crops, boxes, _ = CropFace.execute(dark, face_recogniser=recogniser, keypoints=keypoints).args
    alone = CropFace.execute(dark, keypoints=keypoints).args

    assert boxes == alone[1]
    assert torch.equal(crops, alone[0])


def test_without_anything_that_tells_where_faces_are_it_says_what_to_connect(clip):
    with pytest.raises(
        InputError, match="Connect Load Face Recogniser to face_recogniser, Detect Face Landmarks"
    ):
        CropFace.execute(clip.images)


def test_poses_of_another_clip_are_refused(clip, keypoints):
    with pytest.raises(InputError, match="keypoints tell of 2 pictures, image has 3"):
        CropFace.execute(clip.images, keypoints=keypoints[:2])


def test_nobody_in_the_poses_says_the_size_and_what_to_try(clip):
    empty = [{"canvas_width": SIZE, "canvas_height": SIZE, "people": []}] * 3

    with pytest.raises(InputError, match=r"No face was found in picture 1, 2, 3 of 3 \(96 x 96 pixels\)"):
        CropFace.execute(clip.images, keypoints=empty)


@pytest.mark.parametrize("side", [16, 1])
def test_tiny_pictures_are_cut_or_refused_in_words(side, keypoints):
    crops, _, _ = CropFace.execute(torch.rand(3, side, side, 3), keypoints=keypoints).args

    assert torch.isfinite(crops).all()


def test_an_alpha_channel_changes_nothing(clip, keypoints):
    with_alpha = torch.cat([clip.images, torch.rand(3, SIZE, SIZE, 1)], dim=-1)

    assert torch.equal(
        CropFace.execute(with_alpha, keypoints=keypoints).args[0],
        CropFace.execute(clip.images, keypoints=keypoints).args[0],
    )


def test_clothes_of_a_clip_are_cut_by_mask_and_pose(clip, keypoints):
    cloth, mask = CutCloth.execute(clip.images, size=64, mask=clip.mask.float(), keypoints=keypoints).args

    assert cloth.shape == (3, 64, 64, 3)
    assert mask.shape == (3, SIZE, SIZE)
    assert (mask <= clip.mask.float()).all()
    assert torch.allclose(cloth[:, 0, 0], torch.tensor(0.5), atol=1e-6)


def test_clothes_need_to_be_told_where_they_are(clip):
    with pytest.raises(InputError, match="Connect a mask"):
        CutCloth.execute(clip.images)


def test_poses_without_a_person_are_refused(clip):
    empty = [{"canvas_width": SIZE, "canvas_height": SIZE, "people": []}] * 3

    with pytest.raises(InputError, match="No clothes were found in picture 1, 2, 3 of 3"):
        CutCloth.execute(clip.images, keypoints=empty)


def test_pictures_with_nan_are_refused(clip, keypoints):
    with pytest.raises(InputError, match="NaN"):
        CropFace.execute(clip.images * torch.nan, keypoints=keypoints)
