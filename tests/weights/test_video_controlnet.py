import json
from dataclasses import asdict
from functools import cache

import pytest
import torch
from dreamoving.dreamoving_core.bridge.video_controlnet import (
    load_video_controlnet,
    video_controlnet_state_dict,
)
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.weights.io import WeightsFile, read_weights, write_weights
from dreamoving.dreamoving_core.weights.keymaps import with_prefix
from dreamoving.dreamoving_core.weights.video_controlnet import read_video_controlnet
from small_control import control_model, motion_config, without_motion


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@cache
def written():
    return video_controlnet_state_dict(control_model(motion_config(num_heads=4, norm_mode="clip")))


def file(tensors, **metadata):
    return WeightsFile(name="cn.safetensors", state_dict=tensors, metadata=metadata)


def test_our_own_file_comes_back_with_tensors_and_settings(tmp_path):
    tensors, metadata = written()
    write_weights(tmp_path / "cn.safetensors", tensors, metadata=metadata | {"license": "CC0-1.0"})

    weights = read_video_controlnet(read_weights(tmp_path / "cn.safetensors"))
    control = load_video_controlnet(weights.state_dict, weights.metadata, name=weights.name)

    assert same(weights.state_dict, tensors)
    assert weights.metadata["license"] == "CC0-1.0"
    again, header = video_controlnet_state_dict(control)
    assert same(again, tensors)
    assert json.loads(header["config"]) == json.loads(metadata["config"])
    assert control.control_model.motion_config == motion_config(num_heads=4, norm_mode="clip")


@pytest.mark.parametrize("prefix", ["control_model.", "module."])
def test_a_controlnet_cut_out_of_a_larger_file_loses_prefix_and_company(prefix):
    tensors = without_motion(written()[0])
    company = {"model.diffusion_model.out.0.weight": torch.zeros(1), "global_step": torch.zeros(1)}

    weights = read_video_controlnet(file(with_prefix(tensors, prefix) | company))

    assert same(weights.state_dict, tensors)
    assert weights.left_out == tuple(company)
    assert weights.metadata == {}


@pytest.mark.parametrize("prefix", ["", "module.", "controlnet."])
def test_a_controlnet_of_diffusers_computes_what_comfyuis_loader_makes_of_it(prefix):
    """ComfyUI reads diffusers' names by a table of its own; the numbers must land in the same places."""
    import comfy.utils
    from dreamoving.dreamoving_core.weights.controlnet_keymap import to_diffusers_controlnet
    from small_host import small_config

    tensors = without_motion(written()[0])
    theirs = to_diffusers_controlnet(tensors)

    weights = read_video_controlnet(file(with_prefix(theirs, prefix) | {"step": torch.zeros(1)}))

    assert same(weights.state_dict, tensors)
    assert weights.left_out == ("step",)
    table = comfy.utils.unet_to_diffusers(small_config().unet_config())
    encoder = {key: value for key, value in theirs.items() if not key.startswith("controlnet_")}
    assert all(torch.equal(value, tensors[table[key]]) for key, value in encoder.items())
    assert len(encoder) > 200


@pytest.mark.parametrize(
    ("network", "version", "sparse"),
    [
        ("ControlNetModel", "image ControlNet: no motion blocks", False),
        ("SparseControlNetModel", "SparseCtrl rgb: a few pictures through the VAE", True),
    ],
)
def test_full_size_files_of_diffusers_are_recognised_by_their_tensors(network, version, sparse):
    """On the meta device: names and shapes only."""
    diffusers = pytest.importorskip("diffusers")
    from dreamoving.dreamoving_core.bridge.video_controlnet import detect_unet_config

    with torch.device("meta"):
        theirs = getattr(diffusers, network)(cross_attention_dim=768, attention_head_dim=8)

    weights = read_video_controlnet(file(theirs.state_dict()))

    assert (weights.version, weights.sparse, weights.base) == (version, sparse, "SD1.5")
    found = detect_unet_config("x", weights.state_dict)
    assert (found["num_heads"], found["context_dim"], found["model_channels"]) == (8, 768, 320)


def test_a_sparsectrl_in_a_trainers_wrapper_is_unwrapped(tmp_path):
    from .public_files import WIDTHS, module_shapes, random_tensors

    image = without_motion(written()[0])
    from dreamoving.dreamoving_core.weights.controlnet_keymap import to_diffusers_controlnet

    motion = {}
    for level, width in enumerate(WIDTHS):
        for block in range(2):
            place = f"down_blocks.{level}.motion_modules.{block}"
            motion |= random_tensors(module_shapes(place, width, attentions=1), seed=level)
    stem = {"controlnet_cond_embedding.conv_in.weight": torch.zeros(16, 4, 3, 3)}
    content = {"controlnet": to_diffusers_controlnet(image) | motion | stem, "animatediff_config": {"x": 1}}
    torch.save(content, tmp_path / "v3_sd15_sparsectrl_scribble.ckpt")

    weights = read_video_controlnet(read_weights(tmp_path / "v3_sd15_sparsectrl_scribble.ckpt"))

    assert weights.version == "SparseCtrl scribble: a few drawings"
    assert weights.left_out == ()
    assert same(
        {k.removeprefix("motion."): v for k, v in weights.state_dict.items() if "motion." in k}, motion
    )


def test_a_difference_controlnet_is_refused_with_its_loader():
    tensors = without_motion(written()[0]) | {"difference": torch.zeros(0)}

    with pytest.raises(
        WeightsError, match=r"is a difference ControlNet.*Load ControlNet Model \(diff\) node"
    ):
        read_video_controlnet(file(tensors))


def test_what_tensors_tell_is_taken_from_them_and_settings_of_the_future_are_passed_over():
    tensors, metadata = written()
    config = json.loads(metadata["config"])
    config["motion"] |= {"down": [[1]], "mid": None, "shine": 3}
    config["glitter"] = True

    weights = read_video_controlnet(
        file(tensors, **metadata | {"config": json.dumps(config), "format_version": "1.9"})
    )

    assert json.loads(weights.metadata["config"])["motion"] == json.loads(
        json.dumps(asdict(motion_config(num_heads=4, norm_mode="clip")))
    )
    load_video_controlnet(weights.state_dict, weights.metadata)


@pytest.mark.parametrize(
    "change",
    [
        {"unet": None},
        {"unet": []},
        {"unet": {"model_channels": "32"}},
        {"unet.channel_mult": [1, "2"]},
        {"unet.num_res_blocks": [2, 2]},
        {"unet.transformer_depth": [1]},
        {"unet.context_dim": -1},
    ],
)
def test_a_config_that_is_no_unet_is_refused(change):
    tensors, metadata = written()
    config = json.loads(metadata["config"])
    for key, value in change.items():
        target, leaf = (config["unet"], key.removeprefix("unet.")) if "." in key else (config, key)
        target[leaf] = value

    with pytest.raises(
        WeightsError, match=r"The config in 'cn.safetensors' does not describe a U-Net .*Update DreaMoving"
    ):
        read_video_controlnet(file(tensors, **metadata | {"config": json.dumps(config)}))


def test_motion_settings_that_make_no_sense_are_refused():
    tensors, metadata = written()
    config = json.loads(metadata["config"])
    config["motion"]["norm_mode"] = "video"

    with pytest.raises(WeightsError, match=r"The config in 'cn.safetensors' says .*'video'"):
        read_video_controlnet(file(tensors, **metadata | {"config": json.dumps(config)}))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"label_emb.0.0.weight": torch.zeros(1)}, "is an SDXL ControlNet.*Choose the SD1.5 version"),
        (
            {"input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(320, 1024)},
            "is an SD2 ControlNet",
        ),
    ],
)
def test_a_controlnet_of_another_family_is_refused_by_name(tensors, message):
    stem = {
        "input_hint_block.0.weight": torch.zeros(16, 3, 3, 3),
        "zero_convs.0.0.weight": torch.zeros(4, 4, 1, 1),
    }

    with pytest.raises(WeightsError, match=f"'cn.safetensors' {message}"):
        read_video_controlnet(file(stem | tensors))
