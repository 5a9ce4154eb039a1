"""The small ArcFace: its loss, its data, and its file, which must be of insightface's kind."""

import sys

import numpy as np
import pytest
import torch
from dreamoving.dreamoving_core.errors import MissingPackageError
from dreamoving.dreamoving_core.preprocess.face_identity import task_of
from dreamoving.dreamoving_core.training.face_recogniser import (
    MARGIN,
    SCALE,
    ArcFaceLoss,
    FaceNetwork,
    export_face_recogniser,
    face_pixels,
    face_source,
)
from dreamoving.dreamoving_core.training.rendering import face_pool
from torch.nn import functional


def generators(count):
    return [torch.Generator().manual_seed(i) for i in range(count)]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return FaceNetwork().eval()


def test_the_own_persons_angle_counts_half_a_radian_more(network):
    module = ArcFaceLoss(5)
    module.network = network
    pixels, person = torch.randn(3, 3, 112, 112), torch.tensor([4, 0, 2])

    loss, _ = module(pixels, person)

    with torch.no_grad():
        angles = (functional.normalize(network(pixels)) @ functional.normalize(module.centres).T).acos()
    angles[torch.arange(3), person] += MARGIN
    assert float(loss) == pytest.approx(
        float(functional.cross_entropy(SCALE * angles.cos(), person)), rel=1e-4
    )


def test_its_pictures_show_the_person_whose_number_they_have():
    shades = torch.arange(6, dtype=torch.uint8) * 40
    faces = shades.reshape(6, 1, 1, 1, 1).expand(6, 2, 3, 64, 64)

    pixels, person = face_source(faces)(0, generators(12))

    assert pixels.shape == (12, 3, 112, 112)
    light = (pixels.mean(dim=(1, 2, 3)) * 127.5 + 127.5) / 40  # up to a tenth brighter or darker around grey
    assert len(person.unique()) > 3
    assert (light - person).abs().max() < 0.5


def test_it_learns_to_tell_drawn_people_apart():
    torch.manual_seed(0)
    faces = face_pool(people=4, pictures=3, first_seed=900)
    module, source = ArcFaceLoss(4), face_source(faces)
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)

    for step in range(25):
        loss, _ = module(*source(step, [torch.Generator().manual_seed(100 * step + i) for i in range(8)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    with torch.no_grad():
        vectors = functional.normalize(module.network(face_pixels(faces.flatten(0, 1))), dim=1)
    alike = (vectors @ vectors.T).reshape(4, 3, 4, 3).mean(dim=(1, 3))
    own = alike.diagonal().clone()
    assert bool((own > alike.fill_diagonal_(-1).amax(dim=1) + 0.2).all())


def test_the_same_person_has_the_same_head_in_all_pictures_and_other_clothes():
    faces = face_pool(people=2, pictures=2, first_seed=40)

    assert faces.shape == (2, 2, 3, 64, 64)
    assert faces.dtype == torch.uint8
    assert not torch.equal(faces[0, 0], faces[0, 1])
    assert torch.equal(faces, face_pool(people=2, pictures=2, first_seed=40))


def test_the_file_is_one_of_insightfaces_recognisers_and_gives_the_networks_vectors(network, tmp_path):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    path = tmp_path / "face" / "tiny.onnx"

    export_face_recogniser(network, path)

    pixels = torch.randn(3, 3, 112, 112)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: pixels.numpy()})[0]
    assert task_of(onnx, path) == "recogniser"
    with torch.no_grad():
        expected = network(pixels).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert [p.name for p in path.parent.iterdir()] == ["tiny.onnx"]


def test_without_onnx_the_export_says_what_to_install(network, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)

    with pytest.raises(MissingPackageError, match="pip install onnx"):
        export_face_recogniser(network, tmp_path / "x.onnx")
