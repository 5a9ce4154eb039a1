"""From a face picture to FaceID tokens, and what is said when the parts do not fit."""

import pytest
import torch
from dreamoving.dreamoving_core.bridge import loading
from dreamoving.dreamoving_core.bridge.content_guider import load_content_guider
from dreamoving.dreamoving_core.bridge.face_recogniser import (
    face_pack_path,
    face_packs,
    load_face_pack,
    pack_fingerprint,
    unusable_pack,
)
from dreamoving.dreamoving_core.bridge.reference_images import encode_images, image_features
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.models.content_guider import (
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
    metadata_from_config,
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from dreamoving.dreamoving_core.preprocess.face_identity import FaceRecogniser, face_crop
from small_vision import pictures, vision

SIZES = {"context_dim": 64, "identity_width": 12, "identity_hidden": 24, "tokens": 4}
LAYERS = {"feature_width": 48, "dim": 64, "depth": 1, "heads": 1, "dim_head": 64}
FACEID = EncoderConfig(kind="id_mlp", **SIZES)
FACEID_PLUS = EncoderConfig(kind="id_clip_perceiver", shortcut=True, **SIZES, **LAYERS)
DM_FACE = EncoderConfig(
    kind="dm_face", context_dim=64, tokens=5, identity_width=12, identity_hidden=16, **LAYERS
)


class Detector:
    """A face at the brightest pixel of every picture that has one brighter than a half."""

    def detect(self, pixels, input_size):
        import numpy as np

        if pixels.max() < 128:
            return np.zeros((0, 5)), np.zeros((0, 5, 2))
        y, x = np.unravel_index(pixels.sum(axis=2).argmax(), pixels.shape[:2])
        points = np.array([[-3, -3], [3, -2], [0, 0], [-2, 3], [2, 3]]) + np.array([x, y])
        return np.array([[x - 5, y - 5, x + 5, y + 5, 0.9]]), points[None].astype(np.float32)


class Recogniser:
    """Twelve numbers out of a crop."""

    def __init__(self, width=12):
        self.width = width

    def get_feat(self, crop):
        import numpy as np

        generator = np.random.default_rng(0)
        return crop.reshape(1, -1).astype(np.float32) @ generator.normal(size=(crop.size, self.width)).astype(
            np.float32
        )


def recogniser(*, space="buffalo_l", width=12):
    return FaceRecogniser(name="toy", space=space, detector=Detector(), recogniser=Recogniser(width))


def load(encoder, *, crop="center", uncond="zero_pixels", space="buffalo_l"):
    branch = BranchConfig(encoder=encoder, crop=crop, uncond=uncond, recogniser=space)
    config = ContentGuiderConfig(sites=((1, 32),), face=branch, cloth=branch)
    torch.manual_seed(0)
    guider = ContentGuider(config)
    if encoder.kind == "dm_face":
        for name in ("face", "cloth"):
            torch.nn.init.normal_(guider.branch(name).id_proj[2].weight)
    return load_content_guider(guider.state_dict(), metadata_from_config(config))


def face(seed=0):
    return pictures(1, 48, 48, seed=seed)


@pytest.mark.parametrize("branch", ["face", "cloth"])
def test_faceid_reads_the_identity_alone_and_no_face_is_a_vector_of_zeros(branch):
    loaded, image = load(FACEID, uncond="zero_embed"), face()
    identity = recogniser().largest_face(image[0]).identity

    tokens, crops = encode_images(loaded, None, image, branch=branch, recogniser=recogniser())

    network = loaded.guider.branch(branch).image_proj
    assert torch.allclose(tokens.positive, network(identity[None]), atol=1e-6, rtol=0)
    assert torch.allclose(tokens.negative, network(torch.zeros(1, 12)), atol=1e-6, rtol=0)
    assert tokens.negative.abs().max() > 0.1
    assert crops.shape == (1, 224, 224, 3)


def test_faceid_plus_sees_the_aligned_face_and_zero_pixels_with_zero_identity_stand_for_no_face():
    loaded, clip, image = load(FACEID_PLUS, crop="face"), vision(), face()
    found = recogniser().largest_face(image[0])

    tokens, crops = encode_images(loaded, clip, image, branch="face", recogniser=recogniser())

    crop = face_crop(image[0], found.keypoints, size=32)
    seen = clip.encode_image(crop[None])["penultimate_hidden_states"].float()
    blank = image_features(clip, torch.zeros(1, 3, 32, 32), feature="penultimate")
    network = loaded.guider.face.image_proj
    assert torch.allclose(tokens.positive, network(seen, found.identity[None]), atol=1e-5, rtol=0)
    assert torch.allclose(tokens.negative, network(blank, torch.zeros(1, 12)), atol=1e-5, rtol=0)
    assert (crops[0] - crop).abs().max() < 0.5 / 255 + 1e-6


def test_several_faces_side_by_side_have_tokens_each():
    loaded, images = load(FACEID, uncond="zero_embed"), torch.cat([face(1), face(2), face(3)])
    each = [
        encode_images(loaded, None, images[i, None], branch="face", recogniser=recogniser())[0].positive
        for i in range(3)
    ]

    tokens, _ = encode_images(loaded, None, images, branch="face", recogniser=recogniser(), combine="concat")

    assert torch.allclose(tokens.positive, torch.cat(each, dim=1), atol=1e-6, rtol=0)
    assert tokens.positive.shape == tokens.negative.shape == (1, 12, 64)


def test_a_supplement_acts_where_a_face_is_and_nothing_is_missed_where_none_is():
    loaded, clip = load(DM_FACE), vision()
    images = torch.cat([face(), 0.3 * face(1)])

    def encode(**settings):
        return encode_images(loaded, clip, images, branch="face", combine="per frame", **settings)[0].positive

    with_faces, without = encode(recogniser=recogniser()), encode()

    assert (with_faces - without)[0].abs().max() > 0.01
    assert torch.equal(with_faces[1], without[1])


def test_a_crop_around_the_face_serves_files_that_know_nothing_of_identities():
    plus = EncoderConfig(context_dim=64, tokens=5, **LAYERS)
    loaded, clip, image = load(plus, space=""), vision(), face()

    tokens, crops = encode_images(loaded, clip, image, branch="face", crop="face", recogniser=recogniser())

    crop = face_crop(image[0], recogniser().largest_face(image[0]).keypoints, size=32)
    features = clip.encode_image(crop[None])["penultimate_hidden_states"].float()
    assert torch.allclose(tokens.positive, loaded.guider.encode("face", features), atol=1e-5, rtol=0)
    assert (crops[0] - crop).abs().max() < 0.5 / 255 + 1e-6


def test_parts_that_do_not_fit_are_refused_in_words():
    faceid, plus, image = load(FACEID, uncond="zero_embed"), load(FACEID_PLUS, crop="face"), face()
    dark = torch.cat([face(), 0.3 * face(1), 0.3 * face(2)])

    def refuse(text, loaded, clip, pictures, **settings):
        with pytest.raises(InputError, match=text):
            encode_images(loaded, clip, pictures, branch="face", **settings)

    refuse(
        r"reads who a face is \(FaceID\). Connect Load Face Recogniser with the pack buffalo_l",
        faceid,
        None,
        image,
    )
    refuse(
        r"learned faces as buffalo_l sees them, but 'toy' is antelopev2, .*Load buffalo_l in Load Face Recogniser",
        faceid,
        None,
        image,
        recogniser=recogniser(space="antelopev2"),
    )
    refuse(
        r"needs identities of 12 numbers, the face recogniser gives 7",
        faceid,
        None,
        image,
        recogniser=recogniser(width=7),
    )
    refuse(r"No face was found in face picture 2, 3 of 3", faceid, None, dark, recogniser=recogniser())
    refuse(
        r"looks at pictures through an image encoder. Connect Load CLIP Vision with CLIP ViT-H/14",
        plus,
        None,
        image,
        recogniser=recogniser(),
    )
    refuse(
        r"crop around the face in the face picture needs a face recogniser",
        plus,
        vision(),
        image,
        identity=torch.ones(1, 12),
    )


def test_a_recogniser_that_nobody_knows_is_used_with_a_warning(caplog):
    loaded = load(FACEID, uncond="zero_embed")

    encode_images(loaded, None, face(), branch="face", recogniser=recogniser(space=""))

    assert "'toy' is taken for buffalo_l, which this Content Guider needs" in caplog.text


# ---- packs in the model folders


@pytest.fixture
def models(tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", {})
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    loading.register_model_folders()
    for folder in ("models/buffalo_l", "models/antelopev2/antelopev2", "models/empty"):
        (tmp_path / "insightface" / folder).mkdir(parents=True)
    (tmp_path / "insightface" / "inswapper_128.onnx").write_bytes(b"x")
    (tmp_path / "insightface" / "models" / "antelopev2" / "antelopev2" / "glintr100.onnx").write_bytes(b"x")
    (tmp_path / "insightface" / "models" / "buffalo_l" / "w600k_r50.onnx").write_bytes(b"x")
    return tmp_path / "insightface"


def test_every_folder_with_networks_is_listed_even_where_an_archive_nested_it(models):
    assert face_packs() == ["models/antelopev2/antelopev2", "models/buffalo_l"]
    assert face_pack_path("models/buffalo_l") == models / "models" / "buffalo_l"


@pytest.mark.parametrize("name", ["models/gone", "..", "", None, "/etc"])
def test_another_name_is_told_where_packs_go(models, name):
    assert unusable_pack("models/buffalo_l") is None
    message = unusable_pack(name)

    assert message.startswith(f"There is no face pack '{name or ''}'. Unpack buffalo_l.zip")
    assert str(models / "models" / "buffalo_l") in message
    assert message.endswith("Nothing is downloaded for you.")


def test_a_pack_is_read_again_when_its_networks_change(models):
    before = pack_fingerprint("models/buffalo_l")

    assert pack_fingerprint("models/buffalo_l") == before
    (models / "models" / "buffalo_l" / "w600k_r50.onnx").write_bytes(b"xy")
    assert pack_fingerprint("models/buffalo_l") != before


def test_the_nodes_lead_from_a_pack_to_tokens(models, caplog):
    pytest.importorskip("insightface", reason="optional; requirements-dev.txt has it")
    from dreamoving.benchmarks._face_pack import picture_with_a_spot, write_face_pack
    from dreamoving.nodes import content

    write_face_pack(models / "models" / "buffalo_l")
    encoder = EncoderConfig(kind="id_mlp", context_dim=64, identity_width=512, identity_hidden=24, tokens=4)
    loaded = load(encoder, uncond="zero_embed")
    image = torch.from_numpy(picture_with_a_spot())[None]

    pack = content.LoadFaceRecogniser.execute(pack="models/buffalo_l", space="auto").result[0]
    tokens, _ = content.EncodeFace.execute(
        content_guider=loaded, image=image, crop="as trained", combine="average", face_recogniser=pack
    ).result

    assert tokens.positive.shape == (1, 4, 64)
    assert "holds a face recogniser that is not known" in caplog.text
    assert load_face_pack("models/buffalo_l", space="buffalo_l").space == "buffalo_l"
