"""Video ControlNet files: what is read, what is written, what is refused."""

import json

import pytest
import torch
from small_control import (
    control_model,
    distance,
    motion_config,
    pictures,
    run,
    stock_control,
    video_control,
    weights,
    without_motion,
)
from small_host import small_config


def load(*arguments, **options):
    from dreamoving.dreamoving_core.bridge.video_controlnet import load_video_controlnet

    return load_video_controlnet(*arguments, **options)


def save(control):
    from dreamoving.dreamoving_core.bridge.video_controlnet import video_controlnet_state_dict

    return video_controlnet_state_dict(control)


def weights_error(text):
    from dreamoving.dreamoving_core.errors import WeightsError

    return pytest.raises(WeightsError, match=text)


def test_there_and_back_is_the_same_network_without_being_told_the_layout(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    control = load(
        control_model(motion_config(norm_mode="clip")).state_dict(),
        unet_config=small_config().unet_config(),
        motion_config=motion_config(norm_mode="clip"),
    )
    state_dict, metadata = save(control)
    save_file(state_dict, tmp_path / "control.safetensors", metadata=metadata)

    with safe_open(tmp_path / "control.safetensors", framework="pt") as file:
        again = load({key: file.get_tensor(key) for key in file.keys()}, file.metadata())  # noqa: SIM118

    assert state_dict.keys() == save(again)[0].keys()
    assert metadata == save(again)[1]
    assert again.control_model.motion_config == motion_config(norm_mode="clip")
    assert torch.equal(run(again, pictures()), run(control, pictures()))


def test_the_file_has_the_fixed_names_and_metadata():
    state_dict, metadata = save(video_control())

    assert metadata["format"] == "dreamoving.video_controlnet"
    assert metadata["format_version"] == "1"
    assert json.loads(metadata["config"])["motion"]["mid"] == 128
    assert "input_blocks.1.0.in_layers.0.weight" in state_dict
    assert "motion.down_blocks.3.motion_modules.1.temporal_transformer.proj_out.weight" in state_dict
    assert not any(key.endswith(".pe") for key in state_dict)


def test_a_network_alone_is_saved_as_its_control_is():
    control = video_control()

    assert save(control.control_model)[1] == save(control)[1]


def test_without_metadata_the_motion_blocks_are_read_from_the_names():
    state = control_model(motion_config(num_attentions=1, mid=None)).state_dict()

    assert video_control(state).control_model.motion_config == motion_config(num_attentions=1, mid=None)


def test_the_prefix_of_whole_checkpoints_is_understood():
    prefixed = {f"control_model.{key}": value for key, value in without_motion(weights()).items()}

    assert torch.equal(run(video_control(prefixed), pictures()), run(stock_control(weights()), pictures()))


def test_a_missing_middle_block_starts_as_a_no_op_when_training_asks_for_one():
    state = control_model(motion_config(mid=None)).state_dict()

    trained = video_control(state, motion_config=motion_config())

    middle = trained.control_model.motion.mid().temporal_transformer
    assert not middle.proj_out.weight.any()
    assert middle.proj_in.weight.std() > 0
    assert torch.isfinite(middle.transformer_blocks[0].ff.net[2].weight).all()
    assert torch.equal(run(trained, pictures()), run(video_control(state), pictures()))


def test_initial_motion_is_the_same_for_the_same_seed_and_leaves_the_global_generator_alone():
    from dreamoving.dreamoving_core.weights.control_motion import initial_motion

    before = torch.random.get_rng_state()

    first, second = initial_motion(motion_config()), initial_motion(motion_config())

    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_that_a_node_loads_can_learn():
    with torch.inference_mode():
        control = video_control({key: value.clone() for key, value in weights().items()})
        run(control, pictures())

    network = control.control_model
    features = network.encode_hint(torch.rand(1, 3, 64, 64))
    residuals = network(
        torch.rand(1, 4, 8, 8), torch.ones(1), torch.rand(1, 7, 64), hint_features=features, num_frames=1
    )
    residuals["middle"][0].square().mean().backward()

    assert not any(p.is_inference() for p in network.parameters())
    assert network.input_hint_block[0].weight.grad.norm() > 0
    assert network.motion.down(0).temporal_transformer.proj_in.weight.grad.norm() > 0


def test_stored_positions_that_differ_from_the_formula_are_honoured():
    key = "motion.down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe"
    edited = weights() | {key: torch.randn(1, 32, 32)}

    control = video_control(edited)

    assert distance(run(control, pictures()), run(video_control(), pictures())) > 1e-6
    assert torch.equal(save(control)[0][key], edited[key])


def test_it_is_built_and_loaded_under_dynamic_vram(monkeypatch):
    import comfy.memory_management

    expected = run(video_control(), pictures())
    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True)
    control = video_control(weights())
    monkeypatch.undo()

    assert torch.equal(run(control, pictures()), expected)


def test_a_truncated_file_is_refused_with_the_missing_names():
    state = weights()
    del (
        state["zero_convs.3.0.bias"],
        state["motion.mid_block.motion_modules.0.temporal_transformer.proj_in.weight"],
    )

    with weights_error(
        r"'pose.safetensors' does not fit: 2 tensors missing \(motion.mid_block.*zero_convs.3.0.bias\)"
    ):
        video_control(state, name="pose.safetensors")


def test_a_tensor_of_another_shape_is_refused_under_dynamic_vram_too(monkeypatch):
    import comfy.memory_management

    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True)
    key = "time_embed.0.weight"

    with weights_error(rf"{key}: \[128, 16\], expected \[128, 32\]"):
        video_control(weights() | {key: torch.zeros(128, 16)})


def test_motion_blocks_of_another_width_are_refused_with_both_widths():
    motion = {"motion." + k: v for k, v in motion_of(motion_config(down=((64, 64),) * 4)).items()}

    with weights_error(
        r"\[64, 64, 64, 64, 64, 64, 64, 64\] wide.*room for \[32, 32, 64, 64, 128, 128, 128, 128\]"
    ):
        video_control(without_motion(weights()) | motion)


def motion_of(config):
    from dreamoving.dreamoving_core.weights.control_motion import initial_motion

    return initial_motion(config)


def test_a_controlnet_of_unknown_size_without_metadata_is_refused():
    with weights_error("is not an SD1.5 ControlNet: it reads text 64 numbers wide, SD1.5's has 768"):
        load(weights())


def test_an_sdxl_controlnet_is_refused():
    with weights_error("'xl' is an SDXL ControlNet"):
        load(without_motion(weights()) | {"label_emb.0.0.weight": torch.zeros(128, 2816)}, name="xl")


def test_something_else_is_refused_by_name():
    with weights_error("'m' is .*motion"):
        load(
            {k.removeprefix("motion."): v for k, v in weights().items() if k.startswith("motion.")}, name="m"
        )


def test_a_format_of_the_future_is_refused():
    state_dict, metadata = save(video_control())

    with weights_error("format version 2; this version of DreaMoving reads 1"):
        load(state_dict, metadata | {"format_version": "2"})


def test_full_size_sd15_is_recognised_by_its_tensors():
    """On the meta device: names and shapes only."""
    from dreamoving.dreamoving_core.bridge.video_controlnet import detect_unet_config
    from dreamoving.dreamoving_core.tiny.config import TinyConfig

    sd15 = TinyConfig(
        model_channels=320,
        channel_mult=(1, 2, 4, 4),
        num_res_blocks=2,
        attention_levels=(True, True, True, False),
        context_dim=768,
        num_heads=8,
    ).unet_config()
    with torch.device("meta"):
        network = shapes_only(
            sd15, motion_config(down=((320,) * 2, (640,) * 2, (1280,) * 2, (1280,) * 2), mid=1280)
        )

    found = detect_unet_config("sd15", network.state_dict())

    assert network.slot_widths() == [320, 320, 640, 640, 1280, 1280, 1280, 1280]
    for key in ("model_channels", "context_dim", "num_heads", "transformer_depth", "num_res_blocks"):
        assert found[key] == sd15[key], key
    assert shapes_only(found, None).state_dict().keys() == without_motion(network.state_dict()).keys()
    assert json.loads(json.dumps(found))


def shapes_only(unet_config, config):
    import comfy.ops
    from dreamoving.dreamoving_core.bridge.video_control_model import VideoControlModel
    from dreamoving.dreamoving_core.models.backend import Backend

    meta = Backend(operations=comfy.ops.disable_weight_init, device=torch.device("meta"), dtype=torch.float16)
    return VideoControlModel(unet_config, config, backend=meta)
