"""The motion nodes on real files: what a file says reaches Apply Motion, LoRAs chain, groups of blocks are named."""

import pytest
import torch
from dreamoving.dreamoving_core.bridge import loading
from dreamoving.dreamoving_core.errors import WeightsError
from small_host import sample_latents, small_model
from weights.public_files import motion_file, motion_lora_file

APPLY = {"strength": 1.0, "scale": 1.0, "start_percent": 0.0, "end_percent": 1.0, "beta_schedule": "auto"}


def loaders():
    from dreamoving.nodes import loaders

    return loaders


def motion_nodes():
    from dreamoving.nodes import motion

    return motion


def sample(model):
    return sample_latents(model, frames=3, size=4, steps=1, cfg=1.0)


def apply(model, motion, **settings):
    return motion_nodes().ApplyMotion.execute(model, motion, **APPLY | settings).args[0]


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty models folder that ComfyUI knows, with our folders registered in it."""
    import folder_paths

    known = {"controlnet": ([str(tmp_path / "controlnet")], {".safetensors", ".pth"})}
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    loading.register_model_folders()
    for name in known:
        (tmp_path / name).mkdir()
    return tmp_path


def put(models, tensors, name, folder="animatediff_models"):
    torch.save(tensors, models / folder / name)
    return name


def load(models, name="mm.ckpt", choice="auto", **layout):
    name = put(models, motion_file(**layout), name)
    return loaders().LoadMotionModel.execute(name, choice).args[0]


@pytest.mark.parametrize(
    ("layout", "version", "sigmas", "norms"),
    [
        ({"rows": 24}, "AnimateDiff v1", 1000, True),
        ({"rows": 32, "mid": True}, "AnimateDiff v2", 1000, False),
        ({"rows": 32}, "AnimateDiff v3", 1000, False),
        ({"mid": True}, "AnimateLCM", 100, False),
        ({"rows": 128, "mid": True}, "LongAnimateDiff", 1000, False),
    ],
)
def test_auto_sets_what_the_file_was_trained_with(models, layout, version, sigmas, norms):
    name = put(models, motion_file(**layout), "any.ckpt")
    loaded, about = loaders().LoadMotionModel.execute(name).args

    moving = apply(small_model(), loaded)

    (call,) = moving.wrappers["apply_model"]["dreamoving_motion"]
    assert call.norms_across_frames is norms
    assert len(moving.get_model_object("model_sampling").sigmas) == sigmas
    assert f"version: {version}" in about
    assert sample(moving).isfinite().all()


def test_a_trainers_checkpoint_is_read_from_its_wrapper(models):
    tensors = {f"module.{key}": value for key, value in motion_file(rows=24).items()}
    content = {"epoch": 3, "global_step": 10, "state_dict": tensors | {"module.conv_in.bias": torch.ones(1)}}
    name = put(models, content, "checkpoint.ckpt")

    loaded = loaders().LoadMotionModel.execute(name).args[0]

    assert torch.equal(
        sample(apply(small_model(), loaded)), sample(apply(small_model(), load(models, rows=24)))
    )


def test_the_norm_of_the_blocks_may_be_chosen_and_is_built_again_so(models):
    frame, clip = load(models, rows=32), load(models, rows=32, choice="across the clip")

    assert (frame.config.norm_mode, clip.config.norm_mode) == ("frame", "clip")
    build, arguments = clip.patcher.cached_patcher_init
    assert build(*arguments).model.config.norm_mode == "clip"
    keep = {"beta_schedule": "keep"}
    assert not torch.allclose(
        sample(apply(small_model(), frame, **keep)), sample(apply(small_model(), clip, **keep))
    )


def test_a_motion_lora_is_listed_loaded_and_chained(models):
    motion = load(models, rows=32, mid=True)
    name = put(models, motion_lora_file(mid=True), "zoom.ckpt", folder="animatediff_motion_lora")
    node = loaders().LoadMotionLora
    widget = next(i for i in node.define_schema().inputs if i.id == "motion_lora")
    assert widget.options == [name]
    assert node.validate_inputs(name) is True

    once = node.execute(motion, name, 1.0).args[0]
    twice = node.execute(node.execute(motion, name, 0.5).args[0], name, 0.5).args[0]
    off = node.execute(motion, name, 0.0).args[0]

    plain, zoomed, chained, nothing = (sample(apply(small_model(), m)) for m in (motion, once, twice, off))
    assert torch.equal(nothing, plain)
    assert torch.allclose(chained, zoomed, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(zoomed, plain, rtol=1e-3, atol=1e-2)


def test_a_motion_lora_for_v2_on_v3_is_refused_by_both_names(models):
    name = put(models, motion_lora_file(mid=True), "zoom.ckpt", folder="animatediff_motion_lora")

    with pytest.raises(
        WeightsError, match=r"'zoom.ckpt' was made for .*\(AnimateDiff v2\), and 'v3.ckpt' has none"
    ):
        loaders().LoadMotionLora.execute(load(models, "v3.ckpt", rows=32), name, 1.0)


def test_a_motion_lora_in_the_place_of_a_motion_model_is_named_and_the_other_way_round(models):
    lora = put(models, motion_lora_file(), "zoom.ckpt")
    model = put(models, motion_file(rows=32), "mm.ckpt", folder="animatediff_motion_lora")

    with pytest.raises(
        WeightsError, match=r"is a motion LoRA, but an SD1.5 motion model.*Use Load Motion LoRA"
    ):
        loaders().LoadMotionModel.execute(lora)
    with pytest.raises(
        WeightsError, match=r"is a motion model, but a motion LoRA is needed.*Use Load Motion Model"
    ):
        loaders().LoadMotionLora.execute(None, model, 1.0)
    assert "There is no model 'none.ckpt'" in loaders().LoadMotionLora.validate_inputs("none.ckpt")


def test_block_strengths_are_chained_and_silence_the_groups_that_they_name(models):
    motion, node = load(models, rows=32, mid=True), motion_nodes().MotionBlockStrengths
    ones = {i.id: 1.0 for i in node.define_schema().inputs if i.id.startswith(("down", "mid", "up"))}
    assert len(ones) == 9

    off = node.execute("strength", **dict.fromkeys(ones, 0.0)).args[0]
    sharper = node.execute("scale", **ones | {"mid": 2.0}, block_strengths=off).args[0]
    same = node.execute("strength", **ones).args[0]

    assert (sharper.strength["mid"], sharper.scale["mid"]) == (0.0, 2.0)
    model = small_model()
    assert torch.equal(sample(apply(model, motion, block_strengths=sharper)), sample(model))
    assert torch.equal(sample(apply(model, motion, block_strengths=same)), sample(apply(model, motion)))
