"""Faces to vectors, on random networks with buffalo_l's inputs and outputs."""

import math
import socket
import sys

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError, MissingPackageError, WeightsError
from dreamoving.dreamoving_core.file_digest import sha256_of
from dreamoving.dreamoving_core.preprocess import face_identity
from dreamoving.dreamoving_core.preprocess.face_identity import (
    TEMPLATE,
    aligned,
    face_crop,
    load_face_recogniser,
    similarity,
)

pytest.importorskip("insightface", reason="optional; requirements-dev.txt has it")
pytest.importorskip("onnx")

from dreamoving.benchmarks._face_pack import picture_with_a_spot, write_face_pack


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("insightface") / "models" / "random"
    write_face_pack(folder)
    return folder


@pytest.fixture(scope="module")
def recogniser(pack):
    return load_face_recogniser(pack, name="random")


def moved(points, *, angle, scale, shift):
    """Turned about the origin, scaled, shifted."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return scale * points @ turn.T + shift


@pytest.mark.parametrize(("angle", "scale"), [(0.0, 1.0), (0.4, 2.5), (-2.0, 0.3)])
def test_the_similarity_undoes_a_turn_a_scale_and_a_shift(angle, scale):
    keypoints = moved(TEMPLATE, angle=angle, scale=scale, shift=np.array([40.0, -7.0]))

    matrix = similarity(keypoints, TEMPLATE)

    assert np.abs(keypoints @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE).max() < 1e-3


def test_no_similarity_near_the_found_one_is_nearer():
    keypoints = TEMPLATE * 1.7 + np.random.default_rng(0).normal(size=(5, 2)) * 4 + 30
    matrix = similarity(keypoints, TEMPLATE)

    def distance(m):
        return np.square(keypoints @ m[:, :2].T + m[:, 2] - TEMPLATE).sum()

    for change in ([[1e-3, 0, 0], [0, 1e-3, 0]], [[0, -1e-3, 0], [1e-3, 0, 0]], [[0, 0, 0.1], [0, 0, 0]]):
        assert distance(matrix + change) > distance(matrix)
        assert distance(matrix - np.array(change)) > distance(matrix)


def test_points_on_one_spot_are_refused():
    with pytest.raises(InputError, match="five points of a face lie on one spot"):
        similarity(np.ones((5, 2)), TEMPLATE)


def test_an_aligned_crop_has_the_face_where_the_template_is():
    keypoints = TEMPLATE * 2 + 20
    picture = np.zeros((300, 300, 3), np.uint8)
    for x, y in keypoints.round().astype(int):
        picture[y - 4 : y + 5, x - 4 : x + 5] = 255

    crop = aligned(picture, keypoints, size=224)

    for x, y in (TEMPLATE * 2).round().astype(int):
        assert crop[y, x].min() == 255
    assert crop[5, 5].max() == 0


def test_the_crop_for_the_image_encoder_keeps_the_colours_in_order():
    picture = torch.tensor([0.1, 0.5, 0.9]).expand(200, 200, 3)

    crop = face_crop(picture, TEMPLATE + 30, size=112)

    assert crop.shape == (112, 112, 3)
    assert (crop - torch.tensor([0.1, 0.5, 0.9])).abs().max() < 0.5 / 255 + 1e-6


def test_the_identity_is_insightfaces_own(pack, recogniser):
    from insightface.app import FaceAnalysis

    picture = torch.from_numpy(picture_with_a_spot())
    analysis = FaceAnalysis(
        name="random", root=str(pack.parents[1]), allowed_modules=["detection", "recognition"]
    )
    analysis.prepare(ctx_id=-1, det_thresh=0.5, det_size=(640, 640))
    faces = analysis.get(face_identity.bgr(picture))
    largest = max(faces, key=lambda f: (f.bbox[2] - f.bbox[0]) * (f.bbox[3] - f.bbox[1]))

    face = recogniser.largest_face(picture)

    expected = torch.from_numpy(largest.normed_embedding)
    assert (face.identity - expected).abs().max() / expected.abs().max() < 1e-5
    assert np.array_equal(face.keypoints, largest.kps)
    assert abs(float(face.identity.norm()) - 1) < 1e-6


def test_a_picture_without_a_face_gives_none(recogniser):
    assert recogniser.largest_face(torch.zeros(64, 64, 3)) is None


def test_a_face_that_is_only_found_with_a_border_has_its_points_in_the_picture(recogniser):
    """The detector sees nothing in the bare picture, as SCRFD does when a face fills it."""

    class Shy:
        def detect(self, pixels, input_size):
            tall = pixels.shape[0]
            if tall == 100:
                return np.zeros((0, 5)), np.zeros((0, 5, 2))
            margin = (tall - 100) / 2
            return np.array([[margin, margin, tall - margin, tall - margin, 0.9]]), (TEMPLATE + margin)[None]

    shy = face_identity.FaceRecogniser(name="shy", space="", detector=Shy(), recogniser=recogniser.recogniser)

    face = shy.largest_face(torch.rand(100, 100, 3))

    assert np.allclose(face.keypoints, TEMPLATE)


def test_networks_are_told_by_what_they_take_and_give_not_by_their_names(tmp_path, pack, recogniser):
    for new, old in (("a.onnx", "w600k_r50.onnx"), ("b.onnx", "2d106det.onnx"), ("c.onnx", "det_10g.onnx")):
        (tmp_path / new).write_bytes((pack / old).read_bytes())
    picture = torch.from_numpy(picture_with_a_spot())

    renamed = load_face_recogniser(tmp_path, name="renamed")

    assert torch.equal(renamed.largest_face(picture).identity, recogniser.largest_face(picture).identity)


@pytest.mark.parametrize("changed", ["w600k_r50.onnx", "det_10g.onnx"])
def test_a_pack_is_told_by_the_content_of_both_networks_not_by_its_name(tmp_path, pack, recogniser, changed):
    onnx = pytest.importorskip("onnx")
    for name in ("w600k_r50.onnx", "det_10g.onnx"):
        (tmp_path / name).write_bytes((pack / name).read_bytes())
    assert load_face_recogniser(tmp_path, name="random").content == recogniser.content

    network = onnx.load(str(tmp_path / changed))
    weights = onnx.numpy_helper.to_array(network.graph.initializer[0])
    network.graph.initializer[0].raw_data = (weights + weights.dtype.type(1)).tobytes()
    onnx.save(network, str(tmp_path / changed))

    assert load_face_recogniser(tmp_path, name="random").content != recogniser.content


def test_a_packs_space_is_known_by_its_bytes_or_by_choice(pack, monkeypatch):
    assert load_face_recogniser(pack, name="random").space == ""
    assert load_face_recogniser(pack, name="random", space="antelopev2").space == "antelopev2"

    digest = sha256_of(pack / "w600k_r50.onnx")
    monkeypatch.setitem(face_identity.SPACES, digest, "buffalo_l")
    assert load_face_recogniser(pack, name="random").space == "buffalo_l"


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (["w600k_r50.onnx"], r"'p' has no face detector \(in .*: w600k_r50.onnx\)"),
        (["det_10g.onnx", "2d106det.onnx"], r"'p' has no face recogniser"),
        ([], r"'p' has no face detector and no face recogniser \(in .*: nothing\)"),
    ],
)
def test_an_incomplete_pack_is_refused_with_what_it_holds(tmp_path, pack, left, message):
    for name in left:
        (tmp_path / name).write_bytes((pack / name).read_bytes())

    with pytest.raises(WeightsError, match=message):
        load_face_recogniser(tmp_path, name="p")


def test_a_damaged_network_is_refused_by_name(tmp_path):
    (tmp_path / "det.onnx").write_bytes(b"<!doctype html>")

    with pytest.raises(WeightsError, match=r"'det.onnx' is damaged: it is no ONNX file"):
        load_face_recogniser(tmp_path, name="p")


def test_nothing_is_downloaded_even_when_a_network_is_missing(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a download was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    with pytest.raises(WeightsError, match="Unpack it again"):
        load_face_recogniser(tmp_path, name="models/buffalo_l")


def test_a_missing_package_is_named_with_its_install_command(pack, monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface.model_zoo", None)

    with pytest.raises(
        MissingPackageError,
        match=r"needs insightface, which is not installed .*python -m pip install insightface onnxruntime",
    ):
        load_face_recogniser(pack, name="random")
