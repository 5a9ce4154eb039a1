"""From pictures to tokens, through ComfyUI's own image encoder class at a small size."""

import pytest
import torch
from dreamoving.dreamoving_core.bridge.content_guider import load_content_guider
from dreamoving.dreamoving_core.bridge.reference_images import cut_out, encode_images, image_features, squared
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.models.content_guider import (
    BranchConfig,
    ContentGuider,
    ContentGuiderConfig,
    metadata_from_config,
)
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from small_host import small_model
from small_vision import pictures, vision

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])


PLUS = {
    "feature_width": 48,
    "context_dim": 64,
    "tokens": 5,
    "dim": 32,
    "depth": 1,
    "heads": 2,
    "dim_head": 16,
}


def make(*, uncond="zero_pixels"):
    face = EncoderConfig(**{**PLUS, "kind": "dm_face", "identity_width": 12, "identity_hidden": 16})
    cloth = EncoderConfig(kind="clip_linear", feature_width=40, context_dim=64, tokens=4)
    config = ContentGuiderConfig(
        sites=((1, 32),),
        face=BranchConfig(encoder=face, uncond=uncond),
        cloth=BranchConfig(encoder=cloth, uncond="zero_embed", crop="pad"),
    )
    torch.manual_seed(0)
    guider = ContentGuider(config)
    torch.nn.init.normal_(guider.face.id_proj[2].weight)
    return load_content_guider(guider.state_dict(), metadata_from_config(config))


def test_the_tokens_are_those_of_cores_own_encoding():
    loaded, clip, image = make(), vision(), pictures()

    tokens, _ = encode_images(loaded, clip, image, branch="face")

    features = clip.encode_image(image)["penultimate_hidden_states"].float()
    assert torch.allclose(tokens.positive, loaded.guider.encode("face", features), atol=1e-5, rtol=0)
    assert tokens.branch == "face"


def test_a_base_branch_reads_the_image_embedding():
    loaded, clip, image = make(), vision(), pictures()

    tokens, _ = encode_images(loaded, clip, image, branch="cloth")

    features = clip.encode_image(image)["image_embeds"].float()
    assert torch.allclose(tokens.positive, loaded.guider.encode("cloth", features), atol=1e-5, rtol=0)
    assert torch.equal(tokens.negative, loaded.guider.encode("cloth", torch.zeros(1, 40)))


@pytest.mark.parametrize(("uncond", "level"), [("zero_pixels", torch.zeros(3)), ("black", None)])
def test_no_picture_is_what_the_weights_saw_in_training(uncond, level):
    loaded, clip = make(uncond=uncond), vision()
    std = torch.tensor(clip.image_std)
    blank = (-MEAN / std if level is None else level)[None, :, None, None].expand(1, 3, 32, 32)

    tokens, _ = encode_images(loaded, clip, pictures(2), branch="face")

    features = image_features(clip, blank, feature="penultimate")
    assert torch.allclose(tokens.negative, loaded.guider.encode("face", features), atol=1e-5, rtol=0)


def test_a_branch_that_leaves_the_negative_alone_has_no_negative_tokens():
    tokens, _ = encode_images(make(uncond="none"), vision(), pictures(), branch="face")

    assert tokens.negative is None
    assert tokens.positive.shape == (1, 5, 64)


def test_several_pictures_are_averaged_set_side_by_side_or_kept_per_frame():
    loaded, clip, images = make(), vision(), pictures(3)
    each = torch.cat(
        [encode_images(loaded, clip, images[i, None], branch="face")[0].positive for i in range(3)]
    )

    found = {
        how: encode_images(loaded, clip, images, branch="face", combine=how)[0]
        for how in ("average", "concat", "per frame")
    }

    assert torch.allclose(found["average"].positive, each.mean(0, keepdim=True), atol=1e-5, rtol=0)
    assert torch.allclose(found["concat"].positive, each.reshape(1, 15, 64), atol=1e-5, rtol=0)
    assert torch.allclose(found["per frame"].positive, each, atol=1e-5, rtol=0)
    assert [found[how].negative.shape[1] for how in found] == [5, 15, 5]


def test_an_identity_reaches_the_pictures_and_never_the_negative():
    loaded, clip, image = make(), vision(), pictures()
    identity = torch.nn.functional.normalize(torch.randn(1, 12, generator=torch.Generator().manual_seed(2)))

    without, _ = encode_images(loaded, clip, image, branch="face")
    with_identity, _ = encode_images(loaded, clip, image, branch="face", identity=identity)

    expected = loaded.guider.face.id_proj(identity)
    assert torch.allclose(with_identity.positive - without.positive, expected, atol=1e-4, rtol=0)
    assert torch.equal(with_identity.negative, without.negative)


def test_the_centre_or_the_whole_picture_becomes_the_square():
    image = pictures(1, 4, 10)

    centre = squared(image, crop="center", colour=MEAN)
    whole = squared(image, crop="pad", colour=MEAN)

    assert torch.equal(centre, image[:, :, 3:7])
    assert torch.equal(whole[:, 3:7], image)
    assert torch.equal(whole[:, :3], MEAN.expand(1, 3, 10, 3))
    assert torch.equal(whole[:, 7:], MEAN.expand(1, 3, 10, 3))


def test_the_second_output_shows_what_the_encoder_saw():
    loaded, clip, image = make(), vision(), pictures(1, 32, 64)

    _, centre = encode_images(loaded, clip, image, branch="face")
    _, padded = encode_images(loaded, clip, image, branch="cloth")

    eighth_bit = 0.5 / 255 + 1e-6
    assert (centre - image[:, :, 16:48]).abs().max() < eighth_bit
    assert padded.shape == (1, 32, 32, 3)
    assert (padded[:, 0] - MEAN).abs().max() < eighth_bit


def test_the_ground_around_a_mask_is_the_neutral_colour():
    image, mask = pictures(2, 8, 8), torch.zeros(1, 4, 4)
    mask[:, :2] = 1

    found = cut_out(image, mask, colour=MEAN, name="cloth")

    assert torch.allclose(found[:, :3], image[:, :3])
    assert torch.allclose(found[:, 6:], MEAN.expand(2, 2, 8, 3))


def test_an_alpha_channel_is_dropped():
    loaded, clip, image = make(), vision(), pictures(1, channels=4)

    with_alpha, crops = encode_images(loaded, clip, image, branch="face")
    without, _ = encode_images(loaded, clip, image[..., :3], branch="face")

    assert torch.equal(with_alpha.positive, without.positive)
    assert crops.shape == (1, 32, 32, 3)


def test_what_is_no_picture_is_refused_in_words():
    loaded, clip = make(), vision()

    def refuse(text, images, **settings):
        with pytest.raises(InputError, match=text):
            encode_images(loaded, clip, images, branch="face", **settings)

    refuse(
        r"face picture must be an IMAGE with 3 colour channels, got the shape \(1, 32, 32, 1\)",
        pictures(channels=1),
    )
    refuse(r"got the shape \(1, 32, 32\)", torch.rand(1, 32, 32))
    refuse(r"face picture is empty \(shape \(0, 32, 32, 3\)\)", pictures(0))
    refuse("holds NaN or infinite values", torch.full((1, 8, 8, 3), float("nan")))
    refuse("face mask has 3 frames for 2 pictures", pictures(2), mask=torch.ones(3, 8, 8))


def test_an_image_encoder_of_another_size_is_refused_by_name():
    loaded = make()

    with pytest.raises(
        InputError, match=r"\(patches 48 wide\), found ViT-L/14 \(1024 wide\). Load the matching"
    ):
        encode_images(loaded, Sized(1024, 768), pictures(), branch="face")
    with pytest.raises(InputError, match=r"\(an embedding 40 wide\), found ViT-bigG/14 \(1280 wide\)"):
        encode_images(loaded, Sized(1664, 1280), pictures(), branch="cloth")


def test_the_encoder_that_a_public_file_needs_is_named():
    from dreamoving.dreamoving_core.bridge.reference_images import refuse_other_encoder

    with pytest.raises(
        InputError, match=r"needs the image encoder ViT-H/14 \(patches 1280 wide\), found ViT-bigG/14"
    ):
        refuse_other_encoder(BranchConfig(), Sized(1664, 1280))


class Sized:
    """An image encoder's description alone: the real ones are too large for a test."""

    model_type = "clip_vision_model"

    def __init__(self, hidden, projection):
        self.config = {"hidden_size": hidden, "projection_dim": projection}


def test_the_nodes_lead_from_pictures_to_a_guided_model():
    from dreamoving.dreamoving_core.bridge.content_guider import numbered_widths
    from dreamoving.nodes import content

    base, clip = small_model(), vision()
    branch = BranchConfig(encoder=EncoderConfig(**PLUS))
    config = ContentGuiderConfig(sites=numbered_widths(base.model.diffusion_model), face=branch, cloth=branch)
    loaded = load_content_guider(ContentGuider(config).state_dict(), metadata_from_config(config))
    encode = {"clip_vision": clip, "content_guider": loaded, "crop": "as trained", "combine": "average"}

    face, face_crops = content.EncodeFace.execute(image=pictures(seed=1), **encode).result
    cloth, _ = content.EncodeCloth.execute(image=pictures(seed=2), **encode).result
    percents = {"start_percent": 0.0, "end_percent": 1.0}
    guided = content.ApplyContentGuider.execute(
        model=base,
        content_guider=loaded,
        face_tokens=face,
        cloth_tokens=cloth,
        alpha_f=1.0,
        alpha_c=0.5,
        **percents,
    ).result[0]

    assert face_crops.shape == (1, 32, 32, 3)
    slots = guided.model_options["transformer_options"]["patches_replace"]["attn2"]
    assert len(slots) == 16
    assert "patches_replace" not in base.model_options["transformer_options"]


def test_every_input_and_output_of_the_nodes_says_what_it_is():
    from dreamoving.nodes import content

    for node in content.NODES:
        schema = node.define_schema()
        schema.validate()
        assert schema.node_id.startswith("DreaMoving")
        for part in (*schema.inputs, *schema.outputs):
            assert part.tooltip, (schema.node_id, part.id)


def test_a_strength_can_be_typed_or_connected():
    from dreamoving.nodes import content

    info = content.ApplyContentGuider.GET_NODE_INFO_V1()["input"]["required"]["alpha_f"]

    assert info[0] == "FLOAT,CURVE,FLOATS,STRING"
    assert info[1]["default"] == 1.0
