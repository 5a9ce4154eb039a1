"""The quality benchmark's own loaders: what they put into the graph comes from their files."""

import pytest
import torch
from dreamoving.benchmarks._quality_loaders import EncodeFaceWithIdentity, LoadGuiderFrom, fingerprint
from dreamoving.dreamoving_core.bridge.content_guider import numbered_widths
from dreamoving.dreamoving_core.bridge.reference_images import encode_images
from dreamoving.dreamoving_core.bridge.tiny import build_clip_vision
from dreamoving.dreamoving_core.bridge.trainable import new_base, new_content_guider, new_image_encoder
from dreamoving.dreamoving_core.tiny import files
from dreamoving.dreamoving_core.tiny.config import TinyConfig
from dreamoving.dreamoving_core.training.face_recogniser import (
    FaceNetwork,
    export_face_recogniser,
    face_pixels,
)
from dreamoving.dreamoving_core.weights.content_guider import content_guider_metadata
from dreamoving.dreamoving_core.weights.io import write_weights
from einops import rearrange
from torch.nn import functional


@pytest.fixture
def folder(tmp_path):
    """A Content Guider with the supplement, which has something to say."""
    torch.manual_seed(0)
    config = TinyConfig()
    guider = new_content_guider(
        config, sites=numbered_widths(new_base(config).diffusion_model), identity=True
    )
    torch.nn.init.normal_(guider.face.id_proj[-1].weight)
    write_weights(
        tmp_path / files.CONTENT_GUIDER, guider.state_dict(), metadata=content_guider_metadata(guider.config)
    )
    return tmp_path


def test_a_face_is_encoded_with_the_vector_of_the_files_own_recogniser(folder):
    pytest.importorskip("onnx")
    torch.manual_seed(1)
    network = FaceNetwork().eval()
    export_face_recogniser(network, folder / files.FACE_RECOGNISER)
    (guider,) = LoadGuiderFrom().load(str(folder / files.CONTENT_GUIDER))
    vision = build_clip_vision(TinyConfig(), new_image_encoder(TinyConfig()).state_dict())
    image = (torch.rand(1, 128, 128, 3) * 255).round() / 255

    tokens, _ = EncodeFaceWithIdentity().load(
        guider, image, "as trained", "average", vision, str(folder / files.FACE_RECOGNISER)
    )

    with torch.no_grad():
        pixels = face_pixels((rearrange(image, "f h w c -> f c h w") * 255).to(torch.uint8))
        vector = functional.normalize(network(pixels), dim=-1)
    expected, without = (
        encode_images(guider, vision, image, branch="face", identity=identity)[0].positive
        for identity in (vector, None)
    )
    assert (tokens.positive - expected).norm() <= 1e-4 * expected.norm()
    assert (tokens.positive - without).norm() > 0.01 * without.norm()


def test_another_recogniser_is_another_tiny(folder):
    before = fingerprint(folder)
    (folder / "face").mkdir()

    (folder / files.FACE_RECOGNISER).write_bytes(b"one")
    first = fingerprint(folder)
    (folder / files.FACE_RECOGNISER).write_bytes(b"another")

    assert len({before, first, fingerprint(folder)}) == 3
