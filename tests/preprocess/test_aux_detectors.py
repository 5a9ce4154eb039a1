"""controlnet_aux's detectors as a backend: real code of that package where it is installed, its objects' shapes elsewhere."""

import socket
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.preprocess.aux_detectors import (
    FILES,
    aux_depth,
    aux_folder,
    aux_people,
    clip_of,
    detection_size,
    load_aux,
    person_points,
    refuse_other_file,
)
from dreamoving.dreamoving_core.preprocess.pose_clip import NOSE, NUM_JOINTS, PARTS


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args):
        raise AssertionError("a detector wanted to go to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_all_files_of_a_detector_must_lie_together(tmp_path):
    first, *others = FILES["OpenPose"]
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / first).touch()
    for name in others:
        (tmp_path / "b" / name).touch()

    assert aux_folder("OpenPose", [tmp_path / "none", tmp_path]) == tmp_path / "b"


def test_another_file_under_zoedepths_name_is_refused_instead_of_loading_nothing(tmp_path):
    torch.save({"model": {"a": torch.zeros(2)}}, tmp_path / "ZoeD_M12_N.pt")

    with pytest.raises(WeightsError, match="is no ZoeDepth file"):
        refuse_other_file("ZoeDepth", tmp_path / "ZoeD_M12_N.pt")


def test_points_come_in_pixels_and_missing_ones_as_zeros():
    point = SimpleNamespace(x=0.25, y=0.5)
    pose = SimpleNamespace(
        body=SimpleNamespace(keypoints=[point] + [None] * 17),
        face=None,
        left_hand=[point] * 21,
        right_hand=None,
    )

    points = person_points(pose, width=80, height=40)

    assert points.shape == (NUM_JOINTS, 3)
    assert points[NOSE].tolist() == [20, 20, 1]
    assert points[:, 2].sum() == 1 + PARTS["left_hand"]


def test_frames_keep_their_own_number_of_people():
    one = np.ones((NUM_JOINTS, 3))

    clip = clip_of([[one], [], [one, one]], width=8, height=8)

    assert clip.seen.any(axis=-1).sum(axis=1).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("size", "expected"), [((720, 1280), (512, 896)), ((16, 16), (512, 512)), ((480, 270), (896, 512))]
)
def test_the_size_of_detection_is_that_packages(size, expected):
    assert detection_size(*size, 512) == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["OpenPose", "MiDaS"])
def test_detectors_run_from_local_files_without_a_network(tmp_path, offline, kind):
    pytest.importorskip("controlnet_aux", reason="optional")
    from controlnet_aux.midas.midas.dpt_depth import DPTDepthModel
    from controlnet_aux.open_pose.face import FaceNet
    from controlnet_aux.open_pose.model import bodypose_model, handpose_model

    if kind == "MiDaS":
        model = DPTDepthModel(path=None, backbone="vitb_rn50_384", non_negative=True)
        torch.save(model.state_dict(), tmp_path / FILES[kind][0])
    else:
        for name, model in zip(FILES[kind], (bodypose_model(), handpose_model(), FaceNet()), strict=True):
            skip = 0 if isinstance(model, FaceNet) else 1
            weights = {".".join(key.split(".")[skip:]): value for key, value in model.state_dict().items()}
            torch.save(weights, tmp_path / name)
    detector = load_aux(kind, tmp_path)

    frame = torch.rand(48, 64, 3)
    if kind == "MiDaS":
        assert aux_depth(detector, frame, resolution=64).shape == (48, 64)
    else:
        assert isinstance(aux_people(detector, frame, resolution=64), list)
