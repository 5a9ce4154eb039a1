"""The motion blocks of a ControlNet that has none: off, or started from a motion model's. [DM §2.4.3]"""

import json

import pytest
import small_control
import torch
from dreamoving.dreamoving_core.bridge.loading import load_video_controlnet_file, reload_control
from dreamoving.dreamoving_core.bridge.motion import load_motion
from dreamoving.dreamoving_core.bridge.video_controlnet import video_controlnet_state_dict
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.models.motion import MotionConfig, MotionModel
from dreamoving.dreamoving_core.weights.control_motion import started_from_motion
from dreamoving.dreamoving_core.weights.formats import provenance, write_config
from dreamoving.dreamoving_core.weights.io import read_weights, write_weights
from dreamoving.dreamoving_core.weights.video_controlnet import FORMAT, read_video_controlnet
from small_control import distance, pictures, stock_control, video_control, weights, without_motion
from small_host import randomise, small_config

MOTION = "from the motion model"
DOWN = ((32, 32), (64, 64), (128, 128), (128, 128))
UP = ((128,) * 3, (128,) * 3, (64,) * 3, (32,) * 3)


def motion_model(*, mid=128, norm_mode="frame"):
    config = MotionConfig(down=DOWN, mid=mid, up=UP, norm_mode=norm_mode)
    return load_motion(
        randomise(MotionModel(config).state_dict(), seed=8), config, info={"name": "mm.safetensors"}
    )


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.fixture
def image_file(tmp_path):
    """A small image ControlNet; its metadata tells its size alone."""
    metadata = write_config(FORMAT, {"unet": small_config().unet_config(), "motion": None})
    write_weights(tmp_path / "pose.safetensors", without_motion(weights()), metadata=metadata)
    return tmp_path / "pose.safetensors"


@pytest.fixture
def moving_file(tmp_path):
    tensors, metadata = video_controlnet_state_dict(video_control())
    write_weights(tmp_path / "moving.safetensors", tensors, metadata=metadata)
    return tmp_path / "moving.safetensors"


def run(control, images):
    return small_control.run(control, images, steps=1)


def motion_of(control):
    tensors = control.control_model.state_dict()
    return {k.removeprefix("motion."): v for k, v in tensors.items() if k.startswith("motion.")}


def below(motion):
    """A motion model's blocks on the way down and in the middle."""
    return {k: v for k, v in motion.patcher.model.state_dict().items() if not k.startswith("up_blocks.")}


def test_started_blocks_are_the_motion_models_and_the_rest_is_the_files(image_file):
    control = load_video_controlnet_file(image_file, motion_blocks=MOTION, motion=motion_model())

    assert same(motion_of(control), below(motion_model()))
    assert same(without_motion(control.control_model.state_dict()), without_motion(weights()))
    assert distance(run(control, pictures()), run(stock_control(weights()), pictures())) > 1e-3


def test_a_middle_that_the_motion_model_lacks_starts_as_a_no_op(image_file):
    control = load_video_controlnet_file(image_file, motion_blocks=MOTION, motion=motion_model(mid=None))

    middle = control.control_model.motion.mid().temporal_transformer
    assert not middle.proj_out.weight.any()
    assert not middle.proj_out.bias.any()
    assert middle.proj_in.weight.any()
    found = {k: v for k, v in motion_of(control).items() if k.startswith("down_blocks.")}
    assert same(found, below(motion_model(mid=None)))


def test_started_blocks_share_no_memory_with_the_motion_model():
    """Under dynamic VRAM the tensors themselves become the weights: what trains one must not change the other."""
    motion = motion_model()
    theirs = motion.patcher.model.state_dict()

    ours, _ = started_from_motion(without_motion(weights()), theirs, motion.config)

    copied = {tensor.data_ptr() for key, tensor in ours.items() if key.startswith("motion.")}
    assert not copied & {tensor.data_ptr() for tensor in theirs.values()}


def test_a_video_controlnets_own_blocks_are_replaced(moving_file):
    control = load_video_controlnet_file(moving_file, motion_blocks=MOTION, motion=motion_model())

    assert same(motion_of(control), below(motion_model()))


def test_a_motion_lora_on_the_motion_model_is_taken_along(image_file):
    key = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"
    change, motion = torch.randn(32, 32, generator=torch.Generator().manual_seed(1)), motion_model()
    patcher = motion.patcher.clone()
    patcher.add_patches({key: ("diff", (change,))}, 0.5)
    from dataclasses import replace

    control = load_video_controlnet_file(
        image_file, motion_blocks=MOTION, motion=replace(motion, patcher=patcher)
    )

    plain = below(motion)[key]
    assert distance(motion_of(control)[key], plain + 0.5 * change) < 1e-6
    assert same(
        motion_of(load_video_controlnet_file(image_file, motion_blocks=MOTION, motion=motion)), below(motion)
    )


def test_a_motion_lora_of_another_branch_that_is_loaded_just_now_stays_out(image_file):
    key = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"
    motion = motion_model()
    clean = {k: v.clone() for k, v in below(motion).items()}
    other = motion.patcher.clone()
    other.add_patches({key: ("diff", (torch.ones(32, 32),))}, 1.0)
    other.patch_model()

    control = load_video_controlnet_file(image_file, motion_blocks=MOTION, motion=motion)

    assert not torch.equal(below(motion)[key], clean[key])  # what the test is about
    assert same(motion_of(control), clean)


def test_off_is_the_image_controlnet_bit_for_bit(moving_file):
    control = load_video_controlnet_file(moving_file, motion_blocks="off")

    assert control.control_model.motion is None
    assert torch.equal(run(control, pictures()), run(stock_control(weights()), pictures()))


def test_by_default_the_file_decides(moving_file, image_file):
    assert same(load_video_controlnet_file(moving_file).control_model.state_dict(), weights())
    assert load_video_controlnet_file(image_file).control_model.motion is None


def test_the_result_is_saved_in_our_format_with_its_parents(image_file, tmp_path):
    control = load_video_controlnet_file(
        image_file, motion_blocks=MOTION, motion=motion_model(norm_mode="clip")
    )
    parents = [
        {"name": "pose.safetensors", "license": "OpenRAIL"},
        {"name": "mm.safetensors", "license": "Apache-2.0"},
    ]

    tensors, metadata = video_controlnet_state_dict(
        control, extra=provenance(license="OpenRAIL", parents=parents)
    )
    write_weights(tmp_path / "started.safetensors", tensors, metadata=metadata)

    again = load_video_controlnet_file(tmp_path / "started.safetensors")
    assert again.control_model.motion_config == control.control_model.motion_config
    assert again.control_model.motion_config.norm_mode == "clip"
    assert torch.equal(run(again, pictures()), run(control, pictures()))
    header = read_video_controlnet(read_weights(tmp_path / "started.safetensors")).metadata
    assert json.loads(header["parents"]) == parents


def test_it_is_built_again_as_it_was_chosen(image_file, moving_file):
    started = load_video_controlnet_file(image_file, motion_blocks=MOTION, motion=motion_model())
    off = load_video_controlnet_file(moving_file, motion_blocks="off")

    for control in (started, off):
        build, arguments = control.control_model_wrapped.cached_patcher_init
        assert build is reload_control
        assert same(build(*arguments).model.state_dict(), control.control_model.state_dict())


# ---- refused


def test_starting_from_no_motion_model_is_refused(image_file):
    with pytest.raises(InputError, match=r"no motion model is connected. Connect Load Motion Model, or set"):
        load_video_controlnet_file(image_file, motion_blocks=MOTION)


def test_a_motion_model_of_other_widths_is_refused_with_both(image_file):
    config = MotionConfig(down=((32, 32), (64, 64)), mid=None, up=())
    other = load_motion(MotionModel(config).state_dict(), config, info={"name": "small.ckpt"})

    with pytest.raises(
        WeightsError,
        match=r"'small.ckpt' has motion blocks \[32, 32, 64, 64\] wide, middle None; the ControlNet has room for "
        r"\[32, 32, 64, 64, 128, 128, 128, 128\], middle 128",
    ):
        load_video_controlnet_file(image_file, motion_blocks=MOTION, motion=other)


def test_sparsectrls_own_blocks_are_not_exchanged(image_file):
    metadata = write_config(FORMAT, {"unet": small_config().unet_config(), "motion": None})
    tensors = without_motion(weights()) | {"input_hint_block.0.weight": torch.zeros(16, 4, 3, 3)}
    write_weights(image_file.with_name("sparse.safetensors"), tensors, metadata=metadata)

    with pytest.raises(
        InputError, match=r"'sparse.safetensors' is a SparseCtrl, whose motion blocks were trained with"
    ):
        load_video_controlnet_file(
            image_file.with_name("sparse.safetensors"), motion_blocks=MOTION, motion=motion_model()
        )
