"""The loader nodes on real files in real model folders, and Apply Motion behind them."""

import os
from dataclasses import asdict
from functools import cache

import pytest
import torch
from dreamoving.dreamoving_core.bridge import loading
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.models.backend import Backend
from dreamoving.dreamoving_core.models.content_guider import BranchConfig, ContentGuider, ContentGuiderConfig
from dreamoving.dreamoving_core.models.motion import MotionConfig, MotionModel
from dreamoving.dreamoving_core.models.token_encoders import EncoderConfig
from dreamoving.dreamoving_core.weights.content_guider import content_guider_metadata
from dreamoving.dreamoving_core.weights.formats import write_config
from dreamoving.dreamoving_core.weights.io import write_weights
from dreamoving.dreamoving_core.weights.motion import motion_metadata, read_motion
from small_control import control_model, fresh_model, motion_config
from small_host import randomise, sample_latents, small_config, unet_state_dict

from ..weights.public_files import ip_adapter_variant

SITES = tuple(
    (2 * i + 1, w)
    for i, w in enumerate([32, 32, 64, 64, 128, 128, 128, 128, 128, 64, 64, 64, 32, 32, 32, 128])
)
WIDE = MotionConfig(
    down=((32, 32), (64, 64), (128, 128), (128, 128)),
    mid=128,
    up=((128,) * 3, (128,) * 3, (64,) * 3, (32,) * 3),
)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@cache
def random_motion():
    return randomise(MotionModel(WIDE).state_dict(), seed=5)


def motion_tensors():
    return dict(random_motion())


@cache
def random_control():
    return control_model(motion_config())


def guider_config():
    sizes = {
        "context_dim": 64,
        "dim": 32,
        "depth": 1,
        "heads": 2,
        "dim_head": 16,
        "feature_width": 24,
        "tokens": 4,
    }
    branch = BranchConfig(encoder=EncoderConfig(**sizes))
    return ContentGuiderConfig(sites=SITES, face=branch, cloth=branch, base_model="tiny")


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


def put_motion(models, name="mm.safetensors", folder="animatediff_models", **metadata):
    write_weights(models / folder / name, motion_tensors(), metadata=metadata or None)
    return name


def put_control(models):
    network = random_control()
    config = {"unet": network.unet_config, "motion": asdict(network.motion_config)}
    metadata = write_config("dreamoving.video_controlnet", config)
    write_weights(models / "dreamoving" / "pose.safetensors", network.state_dict(), metadata=metadata)
    return "pose.safetensors", network.state_dict()


def put_guider(models):
    config = guider_config()
    tensors = randomise(ContentGuider(config).state_dict(), seed=7)
    write_weights(
        models / "dreamoving" / "guider.safetensors", tensors, metadata=content_guider_metadata(config)
    )
    return "guider.safetensors", tensors


def nodes():
    from dreamoving.nodes import loaders

    return loaders


def options(node, name):
    """The list that the widget shows."""
    widget = next(i for i in node.define_schema().inputs if i.id == name)
    return widget.options


# ---- good files


def test_a_motion_model_is_listed_loaded_and_moves_the_model(models):
    from dreamoving.nodes.motion import ApplyMotion

    name = put_motion(models)
    assert options(nodes().LoadMotionModel, "motion_model") == [name]
    with torch.inference_mode():
        loaded = nodes().LoadMotionModel.execute(name).args[0]
    assert same(loaded.patcher.model.state_dict(), motion_tensors())

    def sample(**settings):
        defaults = {
            "strength": 1.0,
            "scale": 1.0,
            "start_percent": 0.0,
            "end_percent": 1.0,
            "beta_schedule": "keep",
        }
        moving = ApplyMotion.execute(fresh_model(), loaded, **defaults | settings).args[0]
        return sample_latents(moving, frames=3, size=4, steps=1, cfg=1.0)

    stock = sample_latents(fresh_model(), frames=3, size=4, steps=1, cfg=1.0)
    assert torch.equal(sample(strength=0.0), stock)
    moved = sample()
    assert moved.isfinite().all()
    assert (moved - stock).abs().max() > 0.01
    linear = sample(beta_schedule="linear (AnimateDiff)")
    assert not torch.equal(linear, moved)
    assert torch.equal(sample(beta_schedule="auto"), linear)


def test_auto_keeps_the_noise_schedule_of_a_file_that_was_trained_with_it(models):
    name = put_motion(models, **motion_metadata(WIDE, betas="scaled_linear"))

    loaded = nodes().LoadMotionModel.execute(name).args[0]

    assert loaded.info["beta_schedule"] == "keep"


def test_a_video_controlnet_is_listed_and_loaded(models):
    name, tensors = put_control(models)

    assert options(nodes().LoadVideoControlNet, "control_net") == [name]
    with torch.inference_mode():
        control = nodes().LoadVideoControlNet.execute(name).args[0]

    assert same(control.control_model.state_dict(), tensors)
    assert control.control_model.motion.mid() is not None


@pytest.mark.parametrize("choice", ["off", "from the motion model"])
def test_a_controlnets_motion_blocks_come_from_where_the_node_says(models, choice):
    name, tensors = put_control(models)
    put_motion(models)
    motion = nodes().LoadMotionModel.execute("mm.safetensors").args[0]

    with torch.inference_mode():
        control = nodes().LoadVideoControlNet.execute(name, choice, motion).args[0]

    found = {k: v for k, v in control.control_model.state_dict().items() if k.startswith("motion.")}
    image = {k: v for k, v in tensors.items() if not k.startswith("motion.")}
    wanted = {f"motion.{k}": v for k, v in motion_tensors().items() if not k.startswith("up_blocks.")}
    assert same(found, {} if choice == "off" else wanted)
    assert same({k: v for k, v in control.control_model.state_dict().items() if k not in found}, image)
    assert not any(p.is_inference() for p in control.control_model.parameters())


def test_what_is_chosen_for_a_controlnet_changes_its_fingerprint(models):
    name, _ = put_control(models)
    node = nodes().LoadVideoControlNet

    found = {
        node.fingerprint_inputs(name),
        node.fingerprint_inputs(name, "off"),
        node.fingerprint_inputs(name, "off", None, True),
    }

    assert len(found) == 3
    assert not nodes().LoadVideoControlNet.execute(name).args[0].settings.pooled
    assert nodes().LoadVideoControlNet.execute(name, pooled=True).args[0].settings.pooled


def test_a_content_guider_is_listed_and_loaded(models):
    name, tensors = put_guider(models)

    assert options(nodes().LoadContentGuider, "content_guider") == [name]
    with torch.inference_mode():
        loaded = nodes().LoadContentGuider.execute(name, "both").args[0]

    assert same(loaded.guider.state_dict(), tensors)
    assert loaded.config == guider_config()


@pytest.mark.parametrize(
    ("choice", "branches"), [("face", {"face"}), ("cloth", {"cloth"}), ("both", {"face", "cloth"})]
)
def test_an_ip_adapter_serves_the_branch_that_is_chosen(models, choice, branches):
    tensors = {
        k.removeprefix("face."): v
        for k, v in ContentGuider(guider_config()).state_dict().items()
        if k.startswith("face.")
    }
    torch.save(tensors, models / "ipadapter" / "ip.bin")

    loaded = nodes().LoadContentGuider.execute("ip.bin", choice).args[0]

    assert set(loaded.config.branches()) == branches


@pytest.mark.parametrize("dynamic", [False, True])
def test_every_patcher_can_be_built_again_and_for_another_device(models, monkeypatch, dynamic):
    import comfy.memory_management
    import comfy.model_patcher

    names = put_motion(models), put_control(models)[0], put_guider(models)[0]
    # as under dynamic VRAM: layers have no weights until a state dict gives them some
    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", dynamic)
    motion = nodes().LoadMotionModel.execute(names[0]).args[0].patcher
    control = nodes().LoadVideoControlNet.execute(names[1]).args[0].control_model_wrapped
    guider = nodes().LoadContentGuider.execute(names[2], "both").args[0].patcher

    for patcher in (motion, control, guider):
        build, arguments = patcher.cached_patcher_init
        for again in (
            build(*arguments),
            build(*arguments, disable_dynamic=True),
            patcher.deepclone_multigpu(),
        ):
            assert type(again) is comfy.model_patcher.ModelPatcher
            assert again.model is not patcher.model
            assert same(again.model.state_dict(), patcher.model.state_dict())
        assert len(patcher.model.state_dict()) > 0


def test_weights_that_a_node_loaded_can_still_learn(models):
    name = put_motion(models)
    with torch.inference_mode():
        # under dynamic VRAM the file's tensors themselves become the weights
        read = loading.read(models / "animatediff_models" / name, read_motion).state_dict.values()
        motion = nodes().LoadMotionModel.execute(name).args[0].patcher
        control = nodes().LoadVideoControlNet.execute(put_control(models)[0]).args[0].control_model_wrapped
        guider = nodes().LoadContentGuider.execute(put_guider(models)[0], "both").args[0].patcher

    assert not any(tensor.is_inference() for tensor in read)
    for patcher in (motion, control, guider):
        assert not any(p.is_inference() for p in patcher.model.parameters())


def test_tensors_that_are_not_used_are_named_in_the_log(models, caplog):
    write_weights(models / "animatediff_models" / "mm.ckpt", motion_tensors() | {"step": torch.zeros(1)})

    nodes().LoadMotionModel.execute("mm.ckpt")

    assert "'mm.ckpt' holds 1 tensors that are not used: step" in caplog.text


# ---- bad files


def sdxl_motion():
    config = MotionConfig(down=((320,), (640,), (1280,)), up=((1280,), (640,), (320,)))
    shapes = MotionModel(config, Backend(device=torch.device("meta"))).state_dict()
    return {k: torch.zeros(t.shape) for k, t in shapes.items() if "norm" in k or "proj_in" in k}


BAD = {
    "page.safetensors": (lambda: b"<!doctype html><title>Login</title>", r"web page \(HTML\)"),
    "pointer.safetensors": (lambda: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "empty.safetensors": (lambda: b"", "is empty"),
    "xl.safetensors": (sdxl_motion, "is an SDXL motion model"),
    "lora.safetensors": (lambda: {"lora_unet_x.lora_down.weight": torch.zeros(1)}, "is an ordinary LoRA"),
    "holes.safetensors": (
        lambda: dict(list(motion_tensors().items())[:-1]),
        "does not fit: 1 tensors missing",
    ),
    "unet.safetensors": (lambda: unet_state_dict(small_config()), "is a U-Net alone"),
    "newer.safetensors": (None, "has format version 2"),
    "cut.safetensors": (None, "is truncated"),
}


def put_bad(models, name, folder):
    path, (content, _) = models / folder / name, BAD[name]
    if name == "newer.safetensors":
        write_weights(path, motion_tensors(), metadata=motion_metadata(WIDE) | {"format_version": "2"})
    elif name == "cut.safetensors":
        write_weights(path, motion_tensors())
        path.write_bytes(path.read_bytes()[:-1000])
    elif isinstance(content(), bytes):
        path.write_bytes(content())
    else:
        write_weights(path, content())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_motion_file_is_refused_in_words_and_leaves_everything_clean(models, name):
    import comfy.model_management

    put_bad(models, name, "animatediff_models")
    before = list(comfy.model_management.current_loaded_models)
    files = sorted(os.listdir(models / "animatediff_models"))

    with pytest.raises(WeightsError, match=f"'{name}'.*{BAD[name][1]}"):
        nodes().LoadMotionModel.execute(name)

    assert list(comfy.model_management.current_loaded_models) == before
    assert sorted(os.listdir(models / "animatediff_models")) == files
    assert same(
        nodes().LoadMotionModel.execute(put_motion(models)).args[0].patcher.model.state_dict(),
        motion_tensors(),
    )


@pytest.mark.parametrize(
    "name", ["page.safetensors", "lora.safetensors", "unet.safetensors", "xl.safetensors"]
)
def test_the_other_loaders_refuse_them_too(models, name):
    put_bad(models, name, "dreamoving")

    with pytest.raises(WeightsError, match=BAD[name][1]):
        nodes().LoadVideoControlNet.execute(name)
    with pytest.raises(WeightsError, match=BAD[name][1]):
        nodes().LoadContentGuider.execute(name, "both")


def test_one_kind_in_the_place_of_another_is_named(models):
    motion = put_motion(models, folder="dreamoving")
    control, _ = put_control(models)
    guider, _ = put_guider(models)

    with pytest.raises(
        WeightsError, match=r"is a motion model, but a Video ControlNet .*Use Load Motion Model"
    ):
        nodes().LoadVideoControlNet.execute(motion)
    with pytest.raises(
        WeightsError, match=r"is a Video ControlNet, but a Content Guider .*Use Load Video ControlNet"
    ):
        nodes().LoadContentGuider.execute(control, "both")
    with pytest.raises(
        WeightsError, match=r"is a Content Guider, but an SD1.5 motion model .*Use Load Content Guider"
    ):
        nodes().LoadMotionModel.execute(guider)


def test_motion_of_other_widths_is_refused_by_the_model_it_is_applied_to(models, small_sd15):
    from dreamoving.nodes.motion import ApplyMotion

    narrow = MotionConfig(down=((32, 32), (64, 64)), up=((64,) * 3, (32,) * 3))
    write_weights(models / "dreamoving" / "narrow.safetensors", randomise(MotionModel(narrow).state_dict()))
    loaded = nodes().LoadMotionModel.execute("narrow.safetensors").args[0]

    with pytest.raises(Exception, match=r"motion") as caught:
        ApplyMotion.execute(small_sd15, loaded, 1.0, 1.0, 0.0, 1.0, "auto")
    assert isinstance(caught.value, InputError | WeightsError)


def test_the_loader_says_what_it_assumed_about_a_file_and_a_choice_ends_it(models, caplog):
    write_weights(models / "ipadapter" / "face.safetensors", ip_adapter_variant("faceid_plus", lora=True))

    with caplog.at_level("INFO"):
        loaded, about = nodes().LoadContentGuider.execute("face.safetensors", "face").args
    chosen, words = nodes().LoadContentGuider.execute("face.safetensors", "face", "FaceID-Plus").args

    assert about.startswith(
        "IP-Adapter, FaceID-Plus\nFaceID-Plus v1 and v2 have the same tensors: v2 is assumed."
    )
    assert about.endswith("face: id_clip_perceiver, 4 tokens\nwith a LoRA for the model")
    assert "'face.safetensors': FaceID-Plus v1 and v2 have the same tensors" in caplog.text
    assert "assumed" not in words
    assert (loaded.config.face.encoder.shortcut, chosen.config.face.encoder.shortcut) == (True, False)
    assert loaded.guider.face.image_proj.shortcut
    assert not chosen.guider.face.image_proj.shortcut
    assert len(loaded.lora) == 256


# ---- folders and names


@pytest.mark.parametrize(
    "name",
    [
        "../secret.safetensors",
        "/etc/passwd",
        "a/../../b.safetensors",
        "C:\\models\\x.ckpt",
        "..\\x.ckpt",
        "\\\\host\\x",
    ],
)
def test_names_that_leave_the_model_folders_are_refused(models, name):
    (models / "secret.safetensors").write_bytes(b"x")

    with pytest.raises(InputError, match="leads out of the model folders"):
        nodes().LoadMotionModel.execute(name)
    assert "leads out of the model folders" in nodes().LoadMotionModel.validate_inputs(name)


@pytest.mark.parametrize("name", ["gone.safetensors", "", None])
def test_a_missing_file_says_where_to_put_it(models, name):
    message = nodes().LoadMotionModel.validate_inputs(name)

    assert message.startswith(
        f"There is no model '{name or ''}'. Put it in {models / 'animatediff_models'} or "
    )
    assert message.endswith("press R to reload the list.")


def test_files_in_subfolders_are_found(models):
    (models / "dreamoving" / "mine").mkdir()
    name = os.path.join("mine", put_motion(models, folder="dreamoving/mine"))

    assert nodes().LoadMotionModel.validate_inputs(name) is True
    assert same(nodes().LoadMotionModel.execute(name).args[0].patcher.model.state_dict(), motion_tensors())


def test_a_node_runs_again_when_its_file_changes_and_not_otherwise(models):
    name = put_motion(models)
    before = nodes().LoadMotionModel.fingerprint_inputs(name)

    assert nodes().LoadMotionModel.fingerprint_inputs(name) == before
    os.utime(models / "animatediff_models" / name, ns=(1, 1))
    assert nodes().LoadMotionModel.fingerprint_inputs(name) != before


def test_only_weight_files_are_listed(models):
    for suffix in ("safetensors", "sft", "ckpt", "pt", "pth", "bin", "txt", "onnx", "yaml"):
        (models / "animatediff_models" / f"a.{suffix}").write_bytes(b"x")
        (models / "dreamoving" / f"b.{suffix}").write_bytes(b"x")

    expected = [f"a.{s}" for s in ("bin", "ckpt", "pt", "pth", "safetensors", "sft")] + [
        "b.safetensors",
        "b.sft",
    ]
    assert loading.model_files("motion") == expected


def test_folders_that_users_and_other_packs_registered_are_kept(tmp_path, monkeypatch):
    import folder_paths

    theirs = {".ckpt"}
    known = {"animatediff_models": (["/theirs"], theirs), "ipadapter": (["/from/yaml"], set())}
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)

    loading.register_model_folders()
    loading.register_model_folders()

    assert known["animatediff_models"] == (["/theirs", str(tmp_path / "animatediff_models")], theirs)
    assert known["animatediff_models"][1] is theirs
    assert known["ipadapter"] == (["/from/yaml", str(tmp_path / "ipadapter")], set(loading.PUBLIC_SUFFIXES))
    assert known["dreamoving"] == ([str(tmp_path / "dreamoving")], {".safetensors", ".sft"})


def test_every_input_and_output_has_a_tooltip():
    from dreamoving.nodes import motion

    for node in (*nodes().NODES, *motion.NODES):
        schema = node.GET_SCHEMA()
        for part in (*schema.inputs, *schema.outputs):
            assert part.tooltip, f"{schema.node_id}.{part.id}"
