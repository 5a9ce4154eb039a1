import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.models.content_guider import BranchConfig, ContentGuider, ContentGuiderConfig
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from dreamoving.dreamoving_core.weights.content_guider import content_guider_metadata, read_content_guider
from dreamoving.dreamoving_core.weights.io import WeightsFile, read_weights, write_weights
from dreamoving.dreamoving_core.weights.keymaps import to_ip_adapter, with_prefix

from .public_files import ip_adapter_file


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
            r"'g.safetensors' holds a LoRA \(1 tensors.*Choose an IP-Adapter without one",
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
