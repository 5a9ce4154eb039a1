import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.models.content_guider import BranchConfig, ContentGuider, ContentGuiderConfig
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from dreamoving.dreamoving_core.weights import ip_adapter_variants
from dreamoving.dreamoving_core.weights.content_guider import content_guider_metadata, read_content_guider
from dreamoving.dreamoving_core.weights.io import WeightsFile, read_weights, write_weights
from dreamoving.dreamoving_core.weights.keymaps import to_ip_adapter, with_prefix

from .public_files import ip_adapter_file, ip_adapter_variant


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def file(tensors, **metadata):
    return WeightsFile(name="g.safetensors", state_dict=tensors, metadata=metadata)


def small_config():
    sizes = {
        "context_dim": 64,
        "dim": 32,
        "depth": 1,
        "heads": 2,
        "dim_head": 16,
        "feature_width": 24,
        "tokens": 4,
    }
    face = BranchConfig(
        encoder=EncoderConfig(kind="dm_face", identity_width=8, identity_hidden=16, **sizes), uncond="black"
    )
    cloth = BranchConfig(encoder=EncoderConfig(**sizes), crop="pad", clip="tiny")
    return ContentGuiderConfig(
        sites=((1, 32), (3, 64)), face=face, cloth=cloth, base_model="tiny", prediction="v"
    )


def test_our_own_file_comes_back_with_all_its_settings(tmp_path):
    config = small_config()
    guider = ContentGuider(config)
    metadata = content_guider_metadata(config, extra={"license": "CC0-1.0"})
    write_weights(tmp_path / "g.safetensors", guider.state_dict(), metadata=metadata)

    weights = read_content_guider(read_weights(tmp_path / "g.safetensors"))

    assert weights.config == config
    assert same(weights.state_dict, guider.state_dict())
    assert weights.metadata["license"] == "CC0-1.0"
    ContentGuider(weights.config).load_state_dict(weights.state_dict, strict=True)


@pytest.mark.parametrize(
    ("branch", "branches"), [("face", {"face"}), ("cloth", {"cloth"}), ("both", {"face", "cloth"})]
)
def test_an_ip_adapter_becomes_the_branches_asked_for_and_goes_back_unchanged(branch, branches):
    tensors = ip_adapter_file()

    weights = read_content_guider(file(tensors), branch=branch)

    assert set(weights.config.branches()) == branches
    for name in branches:
        assert same(to_ip_adapter(weights.state_dict, branch=name), tensors)
    ContentGuider(weights.config).load_state_dict(weights.state_dict, strict=True)


def test_tensors_beside_the_branches_are_left_out_and_listed():
    weights = read_content_guider(file(with_prefix(ip_adapter_file(), "face.") | {"step": torch.zeros(1)}))

    assert weights.left_out == ("step",)
    assert "step" not in weights.state_dict


def test_the_base_model_of_a_raw_training_checkpoint_is_left_out_and_listed():
    raw = {k.replace("ip_adapter.", "adapter_modules."): v for k, v in ip_adapter_file().items()}

    weights = read_content_guider(file(raw | {"unet.conv_in.weight": torch.zeros(1)}), branch="face")

    assert weights.left_out == ("unet.conv_in.weight",)
    assert same(to_ip_adapter(weights.state_dict, branch="face"), ip_adapter_file())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image_proj.norm.weight": None},
            r"'g.safetensors' does not fit: 1 tensors missing \(face.image_proj.norm.weight\)",
        ),
        ({"ip_adapter.31.to_v_ip.weight": None}, r"1 tensors missing \(face.ip_adapter.31.to_v_ip.weight\)"),
        ({"image_proj.gate": torch.zeros(1)}, r"0 tensors missing, 1 unexpected \(face.image_proj.gate\)"),
        (
            {"ip_adapter.5.to_v_ip.weight": torch.zeros(3, 3)},
            r"1 of another shape \(face.ip_adapter.5.to_v_ip.weight: \[3, 3\]",
        ),
        (
            {"image_proj.proj.weight": None},
            r"'g.safetensors': This image encoder is of a kind that is not supported",
        ),
        (
            {"ip_adapter.0.to_q_lora.up.weight": torch.zeros(2, 2)},
            r"'g.safetensors' holds a LoRA that is not whole: 255 tensors missing \(0.to_k_lora.down.weight",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_named(change, message):
    tensors = {k: v for k, v in {**ip_adapter_file(), **change}.items() if v is not None}

    with pytest.raises(WeightsError, match=message):
        read_content_guider(file(tensors), branch="face")


def test_a_site_that_is_wholly_missing_is_noticed():
    tensors = {k: v for k, v in ip_adapter_file().items() if ".5.to_" not in k}
    with pytest.raises(
        WeightsError,
        match=r"keys and values for 15 cross-attentions .*expected 15 with the odd numbers 1 to 29",
    ):
        read_content_guider(file(tensors))

    full = {k: v for k, v in ip_adapter_file(width=768).items() if ".31.to_" not in k}
    with pytest.raises(
        WeightsError, match=r"for 15 cross-attentions .*expected 16 with the odd numbers 1 to 31"
    ):
        read_content_guider(file(full))


def test_an_sdxl_ip_adapter_is_refused_by_name():
    with pytest.raises(
        WeightsError,
        match=r"is an SDXL IP-Adapter, but a Content Guider or an IP-Adapter for SD1.5 is needed here",
    ):
        read_content_guider(file(ip_adapter_file(width=2048)))


def test_a_newer_format_is_refused_with_the_files_name():
    metadata = content_guider_metadata(small_config()) | {"format_version": "2"}

    with pytest.raises(
        WeightsError, match=r"'g.safetensors' has format version 2; this version of DreaMoving reads 1"
    ):
        read_content_guider(file(ContentGuider(small_config()).state_dict(), **metadata))


@pytest.mark.parametrize(
    ("variant", "kind", "feature", "uncond", "crop", "tokens", "title"),
    [
        (
            "plus",
            "clip_resampler",
            "penultimate",
            "zero_pixels",
            "center",
            5,
            "IP-Adapter, plus or plus-face",
        ),
        ("full_face", "clip_mlp", "penultimate", "zero_pixels", "center", 257, "IP-Adapter, full-face"),
        ("faceid", "id_mlp", "", "zero_embed", "center", 4, "IP-Adapter, FaceID or portrait"),
        ("portrait", "id_mlp", "", "zero_embed", "center", 16, "IP-Adapter, FaceID or portrait"),
        (
            "faceid_plus",
            "id_clip_perceiver",
            "penultimate",
            "zero_pixels",
            "face",
            4,
            "IP-Adapter, FaceID-Plus",
        ),
    ],
)
def test_every_variant_is_known_by_its_tensors(variant, kind, feature, uncond, crop, tokens, title):
    tensors = ip_adapter_variant(variant, lora=variant in ("faceid", "faceid_plus"))

    weights = read_content_guider(file(tensors), branch="face")

    face = weights.config.face
    assert (face.encoder.kind, face.encoder.tokens, face.feature) == (kind, tokens, feature)
    assert (face.uncond, face.crop) == (uncond, crop)
    assert face.recogniser == ("" if variant in ("plus", "full_face") else "buffalo_l")
    assert weights.version == title
    ContentGuider(weights.config).load_state_dict(weights.state_dict, strict=True)


def test_faceids_lora_is_kept_apart_and_goes_back_into_the_file():
    tensors = ip_adapter_variant("faceid", lora=True)

    weights = read_content_guider(file(tensors), branch="face")

    assert len(weights.lora) == 256
    assert torch.equal(weights.lora["0.to_q_lora.up.weight"], tensors["ip_adapter.0.to_q_lora.up.weight"])
    assert not any("lora" in key for key in weights.state_dict)
    assert same(to_ip_adapter(weights.tensors(), branch="face"), tensors)
    again = read_content_guider(file(weights.tensors(), **weights.metadata))
    assert same(again.lora, weights.lora)
    assert again.config == weights.config


def test_a_lora_of_other_sizes_is_refused_with_the_pair():
    tensors = ip_adapter_variant("faceid", lora=True)
    tensors["ip_adapter.3.to_k_lora.down.weight"] = torch.zeros(4, 99)

    with pytest.raises(
        WeightsError,
        match=r"LoRA that does not fit SD1.5: 3.to_k_lora is \[4, 99\] and \[32, 4\], expected \[rank, 64\]",
    ):
        read_content_guider(file(tensors), branch="face")


def test_auto_says_that_it_took_a_faceid_plus_file_for_v2():
    weights = read_content_guider(file(ip_adapter_variant("faceid_plus")), branch="both")

    assert weights.config.face.encoder.shortcut
    assert weights.config.cloth.encoder.shortcut
    assert weights.notes == (ip_adapter_variants.ASSUMED["id_clip_perceiver"],)
    assert "v2 is assumed" in weights.notes[0]


@pytest.mark.parametrize(("choice", "shortcut"), [("FaceID-Plus", False), ("FaceID-Plus v2", True)])
def test_a_choice_decides_between_faceid_plus_v1_and_v2_and_is_remembered(choice, shortcut):
    tensors = ip_adapter_variant("faceid_plus")

    weights = read_content_guider(file(tensors), branch="face", variant=choice)

    assert weights.config.face.encoder.shortcut is shortcut
    assert weights.notes == ()
    assert read_content_guider(file(weights.tensors(), **weights.metadata)).config == weights.config


@pytest.mark.parametrize(
    ("variant", "known"),
    [("faceid_plus", "FaceID-Plus"), ("faceid_plus", "FaceID-Plus v2"), ("plus", "plus-face")],
)
def test_the_bytes_of_a_published_file_decide_whatever_its_name(tmp_path, monkeypatch, variant, known):
    write_weights(tmp_path / "renamed.safetensors", ip_adapter_variant(variant))
    read = read_weights(tmp_path / "renamed.safetensors", values=False)
    monkeypatch.setitem(ip_adapter_variants.KNOWN, read.sha256(), known)

    weights = read_content_guider(read, branch="face")

    assert weights.version == f"IP-Adapter, {known}"
    assert weights.notes == ()
    assert weights.config.face.encoder.shortcut is (known == "FaceID-Plus v2")


def test_a_choice_that_the_tensors_contradict_is_refused():
    with pytest.raises(
        WeightsError,
        match=r"cannot be FaceID-Plus v2: its tensors are those of base or light. Set ip_adapter_variant",
    ):
        read_content_guider(file(ip_adapter_file()), variant="FaceID-Plus v2")


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        ("image_proj.proj.0.weight", (4,), r"proj.0.weight has the shape \[4\], expected 2 sizes above zero"),
        (
            "image_proj.perceiver_resampler.proj_out.weight",
            None,
            r"image_proj.perceiver_resampler.proj_out.weight is missing",
        ),
    ],
)
def test_a_damaged_faceid_plus_file_is_refused_by_its_tensor(key, shape, message):
    tensors = ip_adapter_variant("faceid_plus")
    tensors.pop(key)
    if shape:
        tensors[key] = torch.zeros(shape)

    with pytest.raises(WeightsError, match=message):
        read_content_guider(file(tensors), branch="face")


def test_the_digests_that_decide_are_those_of_the_catalogue():
    from dreamoving.dreamoving_core.catalogue.files import BY_SHA256

    ends = {
        "plus": "ip-adapter-plus_sd15",
        "plus-face": "ip-adapter-plus-face_sd15",
        "FaceID-Plus": "ip-adapter-faceid-plus_sd15",
        "FaceID-Plus v2": "ip-adapter-faceid-plusv2_sd15",
    }

    for digest, variant in ip_adapter_variants.KNOWN.items():
        assert BY_SHA256[digest].name.split(".")[0] == ends[variant]
