import hashlib
import json
import sys

import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights import __main__ as command
from dreamoving.dreamoving_core.weights import convert as convert_module
from dreamoving.dreamoving_core.weights.content_guider import read_content_guider
from dreamoving.dreamoving_core.weights.convert import SD15_UNET, Conversion, convert
from dreamoving.dreamoving_core.weights.io import read_weights, write_weights
from dreamoving.dreamoving_core.weights.keymaps import to_motion_adapter, with_prefix
from dreamoving.dreamoving_core.weights.motion import read_motion
from dreamoving.dreamoving_core.weights.video_controlnet import read_video_controlnet
from small_control import control_model, motion_config

from .public_files import ip_adapter_file, motion_file


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.fixture
def public(tmp_path):
    """A motion model as its authors saved it."""
    path = tmp_path / "mm.ckpt"
    torch.save(
        {"state_dict": with_prefix(motion_file(rows=24, widths=(32, 64)), "module."), "epoch": 3}, path
    )
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_motion_model_keeps_its_numbers_and_what_was_assumed_of_it(public, tmp_path):
    target = tmp_path / "motion.safetensors"
    before = read_motion(read_weights(public))

    said = convert(public, target)

    file = read_weights(target)
    after = read_motion(file)
    assert file.metadata["format"] == "dreamoving.motion"
    assert same(after.state_dict, before.state_dict)
    assert after.config == before.config
    assert (
        (after.info.betas, after.info.unet_norms)
        == (before.info.betas, before.info.unet_norms)
        == ("linear", "clip")
    )
    assert after.info.notes == ()  # nothing has to be assumed any more
    assert any("AnimateDiff v1" in line for line in said)


def test_the_parent_is_named_with_its_digest(public, tmp_path):
    convert(public, tmp_path / "motion.safetensors", Conversion(license="MIT", title="Mine"))

    metadata = read_weights(tmp_path / "motion.safetensors").metadata
    assert json.loads(metadata["parents"]) == [{"name": "mm.ckpt", "sha256": sha256(public)}]
    assert (metadata["license"], metadata["modelspec.title"], metadata["epoch"]) == ("MIT", "Mine", "3")


def test_a_parent_that_the_catalogue_knows_brings_its_name_and_licence(public, tmp_path, monkeypatch):
    known = next(file for file in convert_module.BY_SHA256.values() if file.name == "v3_sd15_mm.ckpt")
    monkeypatch.setattr(convert_module, "BY_SHA256", {sha256(public): known})

    said = convert(public, tmp_path / "motion.safetensors")

    metadata = read_weights(tmp_path / "motion.safetensors").metadata
    assert json.loads(metadata["parents"])[0]["name"] == "v3_sd15_mm.ckpt"
    assert metadata["license"] == "Apache-2.0"
    assert "  licence     Apache-2.0" in said


def test_a_licence_that_nobody_knows_is_not_made_up(public, tmp_path):
    said = convert(public, tmp_path / "motion.safetensors")

    metadata = read_weights(tmp_path / "motion.safetensors").metadata
    assert "license" not in metadata
    assert "license" not in json.loads(metadata["parents"])[0]
    assert any("not known: look it up" in line for line in said)


def test_converting_once_more_changes_no_number_and_names_the_new_parent(public, tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    convert(public, first, Conversion(license="MIT"))

    convert(first, second)

    assert same(read_weights(first).state_dict, read_weights(second).state_dict)
    metadata = read_weights(second).metadata
    assert json.loads(metadata["parents"]) == [
        {"name": "first.safetensors", "sha256": sha256(first), "license": "MIT"}
    ]
    assert metadata["config"] == read_weights(first).metadata["config"]


def test_diffusers_names_become_animatediffs(tmp_path):
    tensors = motion_file(rows=32, widths=(32, 64))
    write_weights(tmp_path / "adapter.safetensors", to_motion_adapter(tensors))

    convert(tmp_path / "adapter.safetensors", tmp_path / "motion.safetensors")

    assert same(read_weights(tmp_path / "motion.safetensors").state_dict, tensors)


@pytest.mark.parametrize("branch", ["face", "cloth", "both"])
def test_an_ip_adapter_becomes_the_branches_that_were_asked_for(tmp_path, branch):
    tensors = ip_adapter_file()
    write_weights(tmp_path / "ip.safetensors", tensors)

    convert(tmp_path / "ip.safetensors", tmp_path / "guider.safetensors", Conversion(branch=branch))

    guider = read_content_guider(read_weights(tmp_path / "guider.safetensors"))
    names = ("face", "cloth") if branch == "both" else (branch,)
    assert same(guider.state_dict, {f"{name}.{k}": t for name in names for k, t in tensors.items()})
    assert tuple(guider.config.branches()) == names


def test_a_video_controlnet_keeps_its_layout(tmp_path):
    from dreamoving.dreamoving_core.bridge.video_controlnet import (
        load_video_controlnet,
        video_controlnet_state_dict,
    )

    network = control_model(motion_config())
    tensors, metadata = video_controlnet_state_dict(network)
    write_weights(tmp_path / "pose.safetensors", tensors, metadata=metadata)

    convert(tmp_path / "pose.safetensors", tmp_path / "mine.safetensors")

    weights = read_video_controlnet(read_weights(tmp_path / "mine.safetensors"))
    loaded = load_video_controlnet(weights.state_dict, weights.metadata)
    assert same(loaded.control_model.state_dict(), network.state_dict())


def test_a_public_controlnet_gets_the_layout_that_comfyui_sees_in_it():
    from dreamoving.dreamoving_core.bridge.video_control_model import VideoControlModel
    from dreamoving.dreamoving_core.bridge.video_controlnet import PlainLayers, detect_unet_config
    from dreamoving.dreamoving_core.models.backend import Backend

    meta = Backend(operations=PlainLayers, device=torch.device("meta"), dtype=torch.float32)
    full_size = VideoControlModel(SD15_UNET, None, backend=meta).state_dict()

    seen = detect_unet_config("x", full_size)

    assert full_size["input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"].shape == (320, 768)
    assert {key: seen[key] for key in SD15_UNET} == SD15_UNET


def test_a_public_controlnet_is_written_with_that_layout(tmp_path):
    blank = {
        "input_hint_block.0.weight": torch.zeros(16, 3, 3, 3), "input_hint_block.2.weight": torch.zeros(1),
        "zero_convs.0.0.weight": torch.zeros(4, 4, 1, 1), "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(4, 768),
    }  # fmt: skip
    write_weights(tmp_path / "control.safetensors", blank)

    convert(tmp_path / "control.safetensors", tmp_path / "mine.safetensors")

    config = json.loads(read_weights(tmp_path / "mine.safetensors").metadata["config"])
    assert config == {"unet": SD15_UNET, "motion": None}


def test_another_kind_of_number_can_be_asked_for(public, tmp_path):
    convert(public, tmp_path / "motion.safetensors", Conversion(dtype="fp16"))

    wanted = read_motion(read_weights(public)).state_dict
    assert same(
        read_weights(tmp_path / "motion.safetensors").state_dict, {k: t.half() for k, t in wanted.items()}
    )


def test_numbers_that_do_not_fit_into_half_precision_are_refused_and_leave_nothing(tmp_path):
    tensors = motion_file(widths=(32,))
    tensors[next(iter(tensors))][0] = 1e6
    write_weights(tmp_path / "mm.safetensors", tensors)

    with pytest.raises(WeightsError, match=r"'half.safetensors' holds NaN or infinity"):
        convert(tmp_path / "mm.safetensors", tmp_path / "half.safetensors", Conversion(dtype="fp16"))

    assert [path.name for path in tmp_path.iterdir()] == ["mm.safetensors"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("motion.ckpt", r"'motion.ckpt' does not end in .safetensors. Choose"),
        ("no/motion.safetensors", r"There is no folder '.*no'. Make it first"),
        ("taken.safetensors", r"'taken.safetensors' exists already. Choose another name, or add --overwrite"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused(public, tmp_path, target, message):
    (tmp_path / "taken.safetensors").write_text("mine")

    with pytest.raises(WeightsError, match=message):
        convert(public, tmp_path / target)

    assert (tmp_path / "taken.safetensors").read_text() == "mine"


def test_a_file_is_overwritten_only_when_asked_and_never_by_itself(public, tmp_path):
    target = tmp_path / "motion.safetensors"
    target.write_text("old")

    convert(public, target, Conversion(overwrite=True))

    assert read_weights(target).metadata["format"] == "dreamoving.motion"
    with pytest.raises(WeightsError, match=r"is the file to convert. Choose another name"):
        convert(target, target, Conversion(overwrite=True))


def test_what_has_no_format_of_ours_is_refused(tmp_path):
    write_weights(tmp_path / "x.safetensors", {"emb_params": torch.zeros(4, 768)})

    with pytest.raises(
        WeightsError, match=r"'x.safetensors' is a textual inversion embedding; what can be converted"
    ):
        convert(tmp_path / "x.safetensors", tmp_path / "y.safetensors")


def test_the_command_line_converts_and_says_so(public, tmp_path, monkeypatch, capsys):
    target = tmp_path / "motion.safetensors"
    words = ["weights", "convert", str(public), str(target), "--license", "MIT"]
    monkeypatch.setattr(sys, "argv", words)

    assert command.main() == 0
    assert "format dreamoving.motion" in capsys.readouterr().out
    assert command.main() == 1
    assert "exists already" in capsys.readouterr().err
