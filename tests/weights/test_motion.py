import json
import re

import pytest
import torch
from dreamoving.dreamoving_core.errors import WeightsError
from dreamoving.dreamoving_core.models.motion import MotionConfig, MotionModel
from dreamoving.dreamoving_core.weights.io import WeightsFile, read_weights, write_weights
from dreamoving.dreamoving_core.weights.keymaps import to_motion_adapter, with_prefix
from dreamoving.dreamoving_core.weights.motion import motion_metadata, read_motion

from .public_files import WIDTHS, motion_file

SMALL = (32, 64)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def file(tensors, **metadata):
    return WeightsFile(name="mm.safetensors", state_dict=tensors, metadata=metadata)


def built(weights):
    model = MotionModel(weights.config)
    model.load_state_dict(weights.state_dict, strict=True)
    return model


@pytest.mark.parametrize("rows", [None, 24, 32])
@pytest.mark.parametrize("mid", [False, True])
def test_animatediff_files_come_through_unchanged_and_fill_the_network(rows, mid):
    tensors = motion_file(rows=rows, mid=mid, widths=SMALL)

    weights = read_motion(file(tensors))

    assert same(weights.state_dict, tensors)
    assert weights.config.down == ((32, 32), (64, 64))
    assert weights.config.up == ((64, 64, 64), (32, 32, 32))
    assert weights.config.mid == (64 if mid else None)
    model = built(weights)
    assert same(model.state_dict(), {k: v for k, v in tensors.items() if not k.endswith(".pe")})
    assert weights.info.positions == rows


def test_a_diffusers_adapter_gives_the_same_network():
    tensors = motion_file(rows=32, mid=True, widths=SMALL)

    weights = read_motion(file(to_motion_adapter(tensors)))

    assert same(weights.state_dict, tensors)
    assert weights.info.version == "AnimateDiff v2, diffusers names"


def test_a_trainers_checkpoint_gives_its_motion_blocks_and_lists_the_rest():
    tensors = motion_file(rows=24, widths=SMALL)

    weights = read_motion(file(with_prefix(tensors | {"conv_in.weight": torch.zeros(3, 4, 3, 3)}, "module.")))

    assert same(weights.state_dict, tensors)
    assert weights.info.left_out == ("module.conv_in.weight",)


def test_rows_that_were_edited_survive_and_the_formulas_do_not_count():
    tensors = motion_file(rows=40, widths=SMALL)
    assert built(read_motion(file(tensors))).max_frames() is None
    edited = {k: v[:, :32] * 0.5 if k.endswith(".pe") else v for k, v in tensors.items()}

    assert built(read_motion(file(edited))).max_frames() == 32


def test_our_own_file_comes_back_with_all_its_settings(tmp_path):
    config = MotionConfig(
        down=((32,), (64,)), mid=64, up=((64, 64), (32, 32)), num_heads=4, num_attentions=1, norm_mode="clip"
    )
    model = MotionModel(config)
    metadata = motion_metadata(
        config, betas="scaled_linear", unet_norms="clip", trained_frames=24, extra={"license": "CC0-1.0"}
    )
    write_weights(tmp_path / "mm.safetensors", model.state_dict(), metadata=metadata)

    weights = read_motion(read_weights(tmp_path / "mm.safetensors"))

    assert weights.config == config
    assert same(weights.state_dict, model.state_dict())
    assert (weights.info.betas, weights.info.unet_norms) == ("scaled_linear", "clip")
    assert (weights.info.trained_frames, weights.info.span) == (24, 24)
    assert weights.info.metadata["license"] == "CC0-1.0"


@pytest.mark.parametrize(
    ("rows", "mid", "version"),
    [
        (24, False, "AnimateDiff v1"),
        (32, False, "AnimateDiff v3"),
        (32, True, "AnimateDiff v2"),
        (64, True, "LongAnimateDiff, 64 positions"),
        (128, True, "LongAnimateDiff, 128 positions"),
        (48, True, "AnimateDiff v2 layout, 48 positions stored"),
        (None, True, "AnimateLCM"),
        (None, False, "AnimateDiff v3 layout"),
    ],
)
def test_the_version_is_told_from_mid_block_and_positions(rows, mid, version):
    assert read_motion(file(motion_file(rows=rows, mid=mid, widths=(32,)))).info.version == version


@pytest.mark.parametrize(
    ("rows", "mid", "betas", "unet_norms", "span", "note"),
    [
        (24, False, "linear", "clip", 24, "taken for AnimateDiff v1.*set norms_across_frames to off"),
        (32, False, "linear", "frame", 32, "A v1 with longer positions.*set norms_across_frames to on"),
        (32, True, "linear", "frame", 32, "AnimateDiff-Lightning.*euler, sgm_uniform and cfg 1"),
        (128, True, "linear", "frame", 128, "^$"),
        (None, True, "lcm", "frame", 64, "taken for AnimateLCM.*sampler lcm"),
    ],
)
def test_a_public_file_says_what_it_was_trained_with_and_what_was_assumed(
    rows, mid, betas, unet_norms, span, note
):
    weights = read_motion(file(motion_file(rows=rows, mid=mid, widths=(32,))))

    assert (weights.info.betas, weights.info.unet_norms, weights.info.span) == (betas, unet_norms, span)
    assert re.search(note, " ".join(weights.info.notes))
    assert weights.config.norm_mode == "frame"


def test_a_diffusers_adapter_without_positions_may_be_any_model_and_says_so():
    tensors = to_motion_adapter(motion_file(mid=True, widths=(32,)))

    info = read_motion(file(tensors)).info

    assert info.version == "AnimateDiff v2 layout, no positions stored, diffusers names"
    assert info.betas == "linear"
    assert "set beta_schedule to lcm" in info.notes[0]


def test_the_artist_may_choose_the_norm_that_tensors_do_not_tell():
    tensors = motion_file(rows=32, widths=(32,))

    assert read_motion(file(tensors), norm_mode="clip").config.norm_mode == "clip"


@pytest.mark.parametrize(
    "drop", ["norm.weight", "proj_out.bias", "attention_blocks.1.to_v.weight", "ff.net.2.weight"]
)
def test_a_missing_tensor_is_named(drop):
    tensors = motion_file(widths=SMALL)
    key = next(k for k in tensors if k.endswith(drop))
    del tensors[key]

    with pytest.raises(WeightsError, match=r"'mm.safetensors' does not fit: .*(missing|unexpected) \("):
        read_motion(file(tensors))


def test_extra_and_misshapen_tensors_of_a_block_are_named():
    block = "down_blocks.0.motion_modules.0.temporal_transformer."
    tensors = motion_file(widths=SMALL)

    with pytest.raises(WeightsError, match=rf"0 tensors missing, 1 unexpected \({block}gate\)"):
        read_motion(file(tensors | {block + "gate": torch.zeros(1)}))
    with pytest.raises(
        WeightsError, match=rf"1 of another shape \({block}proj_in.bias: \[33\], expected \[32\]\)"
    ):
        read_motion(file(tensors | {block + "proj_in.bias": torch.zeros(33)}))


def test_a_position_table_of_another_shape_is_refused():
    tensors = motion_file(rows=32, widths=SMALL)
    key = next(k for k in tensors if k.endswith(".pe"))

    with pytest.raises(
        WeightsError, match=r"the positions '.*pe' have shape \[32, 32\], expected \[1, frames, 32\]"
    ):
        read_motion(file(tensors | {key: tensors[key][0]}))


@pytest.mark.parametrize(
    "change",
    [
        {"norm_mode": "video"},
        {"unet_norms": "video"},
        {"num_heads": 0},
        {"num_heads": "8"},
        {"betas": "cosine"},
    ],
)
def test_settings_that_make_no_sense_are_refused(change):
    metadata = motion_metadata(MotionConfig())
    metadata["config"] = json.dumps(json.loads(metadata["config"]) | change)

    with pytest.raises(
        WeightsError, match=r"The config in 'mm.safetensors' says .*expected are.*Update DreaMoving"
    ):
        read_motion(file(motion_file(widths=SMALL), **metadata))


def test_an_sdxl_motion_model_is_refused_by_name():
    shapes = {k: tuple(v.shape) for k, v in motion_file(widths=(32,)).items()}
    sdxl = {
        k.replace("down_blocks.0", f"down_blocks.{i}"): torch.empty(
            [c if n == 32 else n for n in s], device="meta"
        )
        for k, s in shapes.items()
        for i, c in enumerate((320, 640, 1280))
        if k.startswith("down")
    }

    with pytest.raises(
        WeightsError,
        match=r"is an SDXL motion model, but an SD1.5 motion model \(AnimateDiff\) is needed here. .*Choose the SD1.5",
    ):
        read_motion(file(sdxl))


def test_reading_does_not_touch_the_files_tensors():
    tensors = motion_file(rows=32, widths=WIDTHS[:1])
    before = {k: v.clone() for k, v in tensors.items()}

    built(read_motion(file(tensors)))

    assert same(tensors, before)
