"""The paper's stages from files to files, on a small SD1.5: what learns, what it starts from, what the loaders get back.

Only reading the checkpoint and the image encoder is replaced, because ComfyUI knows SD1.5 by its full size alone;
`bench train-sd15` does the same with full-size files.
"""

import itertools
import json

import pytest
import torch
from dreamoving.dreamoving_core.bridge.face_recogniser import refuse_other_space
from dreamoving.dreamoving_core.bridge.loading import (
    load_content_guider_file,
    load_motion_model,
    load_video_controlnet_file,
)
from dreamoving.dreamoving_core.bridge.trainable_sd15 import load_base, trainable_motion
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.models.motion import MotionConfig, MotionModel
from dreamoving.dreamoving_core.preprocess.draw_pose import draw_keypoints
from dreamoving.dreamoving_core.preprocess.face_identity import FaceRecogniser
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, render_clip
from dreamoving.dreamoving_core.tiny import files as tiny_files
from dreamoving.dreamoving_core.training import cli, sd15, sd15_cli
from dreamoving.dreamoving_core.training.export import half
from dreamoving.dreamoving_core.training.folder_items import find_items, frame_numbers
from dreamoving.dreamoving_core.training.stages import changed
from dreamoving.dreamoving_core.training.stages_sd15 import STAGES
from dreamoving.dreamoving_core.training.trainer import new_accelerator
from dreamoving.dreamoving_core.video.encode import encode_video
from dreamoving.dreamoving_core.weights.io import read_weights, write_weights
from small_host import randomise
from training.small_sd15 import small_base, small_files

pytestmark = pytest.mark.skipif(not tiny_files.FOLDER.is_dir(), reason="this copy has no trained weights")

SMALL = ["steps=2", "size=64", "frames=3", "stride=1", "precision=no", "warmup=0"]
DOWN = ((32, 32), (64, 64), (128, 128), (128, 128))
UP = ((128,) * 3, (128,) * 3, (64,) * 3, (32,) * 3)


@pytest.fixture(scope="module")
def small():
    with small_files(sd15):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two dances with all that a stage may want, and some files that no stage can use."""
    folder = tmp_path_factory.mktemp("data")
    for seed in range(2):
        clip = render_clip(ClipSpec(seed=seed, num_frames=5, size=64))
        pose = draw_keypoints(clip.keypoints, width=64, height=64)
        (folder / f"{seed}.txt").write_text(clip.caption)
        for name, frames in ((f"{seed}", clip.images), (f"{seed}.pose", pose)):
            encode_video(folder / name, frames, format="png sequence", frame_rate=8)
        for part, picture in (("face", clip.face_reference), ("cloth", clip.cloth_reference)):
            encode_video(folder / f"{seed}.{part}.webp", picture[None], format="webp", frame_rate=1)
    encode_video(folder / "mute.mp4", clip.images, format="mp4", frame_rate=8)
    (folder / "notes.md").write_text("nothing to learn from")
    return folder


@pytest.fixture(scope="module")
def motion_file(tmp_path_factory):
    """AnimateDiff v1's layout, as mm_sd_v15.ckpt: no middle, 24 positions, norms across frames."""
    path = tmp_path_factory.mktemp("motion") / "v1.safetensors"
    state_dict = randomise(MotionModel(MotionConfig(down=DOWN, up=UP)).state_dict(), seed=4)
    tables = {
        key.removesuffix("to_q.weight") + "pos_encoder.pe": MotionModel(MotionConfig(down=DOWN, up=UP))
        .get_submodule(key.removesuffix(".to_q.weight"))
        .pos_encoder.pe[:, :24]
        .clone()
        for key in state_dict
        if key.endswith("to_q.weight")
    }
    write_weights(path, state_dict | tables)
    return path


def run(stage, data, folder, *words, settings=()):
    """Train a stage by the functions of the command line; the networks, what moved, and the files."""
    given = ["--stage", stage, "--data", str(data), "--base", str(data), "--folder", str(folder)]
    for setting in (*SMALL, *settings):
        given += ["--set", setting]
    args = sd15_cli.parsed(
        [*given, "--export", str(folder / "out"), "--license", "CC0-1.0", *map(str, words)]
    )
    stage, files = sd15_cli.stage_of(args), sd15_cli.files_of(args)
    networks = sd15.build(stage, files)
    before = {name: p.detach().clone() for name, p in networks.trainee.named_parameters()}
    source = sd15_cli.FolderSource(
        args.data, stage, encoders=networks.encoders, guider=networks.trainee.guider
    )
    trainer = sd15_cli.train(stage, networks, source, args, new_accelerator(device="cpu"))
    moved = {n for n, p in networks.trainee.named_parameters() if not torch.equal(p, before[n])}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sd15, "sha256_of", lambda _path: "0" * 64)  # the base is a folder here
        paths = sd15.export(
            networks, stage, args.export, files=files, steps=trainer.step, data="dances", license=args.license
        )
    return networks.trainee, before, moved, paths[0]


def same_as(loaded, trained):
    expected = half(trained)
    return loaded.keys() == expected.keys() and all(
        torch.equal(loaded[key].cpu().to(value.dtype), value) for key, value in expected.items()
    )


@pytest.fixture(scope="module")
def long_frame(small, data, motion_file, tmp_path_factory):
    return run("long_frame", data, tmp_path_factory.mktemp("long"), "--motion", motion_file)


@pytest.fixture(scope="module")
def video_control(small, data, long_frame, tmp_path_factory):
    return run("video_control", data, tmp_path_factory.mktemp("control"), "--motion", long_frame[3])


def test_long_frames_teach_the_motion_blocks_alone_and_the_file_loads(long_frame, motion_file):
    trainee, before, moved, path = long_frame
    stored = read_weights(motion_file).state_dict

    loaded = load_motion_model(path)

    assert moved == {name for name in before if name.startswith("motion.")}
    assert all(torch.equal(before[f"motion.{k}"], v) for k, v in stored.items() if "pos_encoder" not in k)
    assert same_as(loaded.patcher.model.state_dict(), trainee.motion.state_dict())
    assert loaded.info["norms_across_frames"] == "on"  # as the v1 that it started from
    assert loaded.info["beta_schedule"] == "linear"
    assert loaded.info["span"] == "3"


def test_motion_is_trained_on_animatediffs_noise(long_frame):
    sampling = long_frame[0].base.model_sampling
    betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)

    expected = ((1 - (1 - betas).cumprod(0)) / (1 - betas).cumprod(0)).sqrt()

    assert torch.allclose(sampling.sigmas.double(), expected, rtol=1e-4)


def test_the_header_says_where_a_file_comes_from(long_frame, motion_file):
    metadata = read_weights(long_frame[3]).metadata

    assert metadata["license"] == "CC0-1.0"
    assert metadata["training_steps"] == "2"
    assert metadata["training_data"] == "dances"
    assert [parent["name"] for parent in json.loads(metadata["parents"])][1] == motion_file.name


def test_the_log_begins_with_the_settings_that_are_not_the_presets(long_frame):
    log = long_frame[3].parents[1] / "long_frame.jsonl"

    run = json.loads(log.read_text().splitlines()[0])["run"]

    assert run["settings"] == {"steps": 2, "size": 64, "frames": 3, "stride": 1, "precision": "no"}


def test_the_video_control_learns_whole_and_starts_from_the_unet_and_its_motion(video_control):
    trainee, before, moved, path = video_control

    loaded = load_video_controlnet_file(path)

    # the hint encoder's inner layers wait for its last one, which starts at zero as the other zero convolutions [CN]
    assert moved <= {name for name in before if name.startswith("controls.pose.")}
    assert any(name.startswith("controls.pose.motion.") for name in moved)
    assert any(name.startswith("controls.pose.zero_convs.") for name in moved)
    assert same_as(loaded.control_model.state_dict(), trainee.controls["pose"].state_dict())
    for name, value in before.items():
        part = name.removeprefix("controls.pose.")
        if part != name and part.startswith(("input_blocks.", "time_embed.")):
            assert torch.equal(value, before[f"base.diffusion_model.{part}"])
        if part.startswith("motion.down_blocks."):
            assert torch.equal(value, before[part])


def test_expression_teaches_the_unets_motion_with_the_video_control_in_place(
    small, data, long_frame, video_control, tmp_path
):
    words = ("--motion", long_frame[3], "--control", video_control[3])

    trainee, before, moved, path = run("expression", data, tmp_path, *words)

    assert moved == {name for name in before if name.startswith("motion.")}
    assert same_as(load_motion_model(path).patcher.model.state_dict(), trainee.motion.state_dict())
    stored = read_weights(video_control[3]).state_dict
    assert all(torch.equal(before[f"controls.pose.{k}"].half(), v) for k, v in stored.items())


def test_the_content_guider_learns_alone_from_the_texts_keys_and_values(small, data, tmp_path):
    words = ("--clip-vision", data, "--set", "frames=1", "--set", "clips=2")

    trainee, before, moved, path = run("content_guider", data, tmp_path, *words)

    loaded = load_content_guider_file(path)
    assert {name.split(".")[0] for name in moved} == {"guider"}
    assert same_as(loaded.guider.state_dict(), trainee.guider.state_dict())
    text = before["base.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"]
    assert torch.equal(before["guider.face.ip_adapter.1.to_k_ip.weight"], text)
    again = run("content_guider", data, tmp_path / "again", *words, "--content-guider", path)
    assert all(
        torch.equal(again[1][f"guider.{k}"].half(), v) for k, v in read_weights(path).state_dict.items()
    )


class NobodyThere:
    def detect(self, _pixels, input_size):
        return torch.zeros(0, 5).numpy(), torch.zeros(0, 5, 2).numpy()


@pytest.mark.parametrize(("space", "told"), [("antelopev2", "antelopev2"), ("", "my_faces")])
def test_an_exported_content_guider_names_the_recogniser_that_it_learned_with(
    small, data, tmp_path, monkeypatch, space, told
):
    def recogniser(_folder, *, name):
        return FaceRecogniser(name=name, space=space, detector=NobodyThere(), recogniser=None)

    monkeypatch.setattr(sd15, "load_face_recogniser", recogniser)
    faces = tmp_path / "my_faces"
    faces.mkdir()
    words = ("--clip-vision", data, "--set", "frames=1", "--set", "clips=2", "--face-recogniser", faces)

    *_, path = run("content_guider", data, tmp_path, *words, settings=("steps=1",))

    face = load_content_guider_file(path).guider.config.face
    assert (face.recogniser, face.encoder.identity_width) == (told, 512)
    refuse_other_space(face, recogniser(faces, name="my_faces"))
    stranger = FaceRecogniser(name="models/x", space="glintr", detector=None, recogniser=None)
    with pytest.raises(InputError, match=f"learned faces as {told} sees them"):
        refuse_other_space(face, stranger)


def test_a_run_that_is_done_takes_no_further_step(small, data, long_frame, motion_file, tmp_path):
    first = run("long_frame", data, tmp_path, "--motion", motion_file)

    again = run("long_frame", data, tmp_path, "--motion", motion_file)

    assert all(torch.equal(p, q) for p, q in zip(first[0].parameters(), again[0].parameters(), strict=True))


def test_new_motion_blocks_change_nothing_yet(small):
    base, _, _ = small_base(None)

    motion, info = trainable_motion(None, base)

    assert info is None
    assert motion.config.down == DOWN
    assert not any(t.proj_out.weight.any() or t.proj_out.bias.any() for t in motion.transformers())


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("content_guider", "needs --clip-vision"),
        ("video_control", "needs --motion: the motion model of the stage long_frame"),
        ("expression", "needs --motion: .*--control: the Video ControlNet"),
    ],
)
def test_a_stage_says_which_files_it_needs(small, data, stage, told):
    with pytest.raises(InputError, match=told):
        sd15.build(STAGES[stage], sd15.Files(base=data))


def departures(name, data, *, processes=1, settings=(), **files):
    stage = changed(STAGES[name], dict(settings))
    return sd15.departures(stage, sd15.Files(base=data, **files), processes=processes)


def test_a_lone_process_is_told_how_to_get_the_papers_batch(data):
    (told,) = departures("content_guider", data, face_recogniser=data)

    assert "a step sees 16 pictures, the paper's 128" in told
    assert "8 processes with accelerate launch" in told
    assert "--set accumulate=8, which takes 8 passes a step" in told
    (halved,) = departures("content_guider", data, processes=2, face_recogniser=data)
    assert "sees 32 pictures" in halved
    assert "--set accumulate=4" in halved
    assert departures("content_guider", data, processes=8, face_recogniser=data) == []
    assert departures("content_guider", data, settings={"accumulate": 8}, face_recogniser=data) == []


def test_a_content_guider_without_a_recogniser_is_told_what_it_goes_without(data):
    (told,) = departures("content_guider", data, processes=8)

    assert told.startswith("without --face-recogniser the paper's ArcFace supplement is not trained")
    assert "Give the folder of a pack" in told


def test_long_frames_from_new_blocks_are_told_where_the_papers_start(data):
    (told,) = departures("long_frame", data)

    assert "the motion blocks start new, where the paper's start from AnimateDiff's" in told
    assert departures("long_frame", data, motion=data) == []
    assert departures("video_control", data) == []


def test_the_command_line_says_where_it_leaves_the_paper(small, data, tmp_path, capsys):
    words = ["--stage", "long_frame", "--data", str(data), "--base", str(data), "--folder", str(tmp_path)]
    words += [word for setting in SMALL for word in ("--set", setting)]

    assert cli.main(["sd15", *words, "--device", "cpu", "--dry-run"]) == 0

    assert "not as in the paper: without --motion the motion blocks start new" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named_with_its_option(data):
    with pytest.raises(InputError, match=r"There is no .*nowhere.*Check --clip-vision"):
        sd15.Files(base=data, clip_vision=data / "nowhere")


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    write_weights(tmp_path / "x.safetensors", {"model.weight": torch.ones(2)})

    with pytest.raises(WeightsError, match=r"'x\.safetensors' is no diffusion model; training starts from"):
        load_base(tmp_path / "x.safetensors")


def test_clips_without_what_a_stage_needs_are_left_out_and_counted(data, caplog):
    caplog.set_level("INFO")

    found = find_items(data, changed(STAGES["video_control"], {"frames": 5}))

    assert [item.source.name for item in found] == ["0", "1"]
    assert {item.num_frames for item in found} == {5}
    assert "left out: 1 without a caption" in caplog.text


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"frames": 6}, "2 shorter than 6 frames"), ({"frames": 2, "controls": ["depth"]}, "2 without depth")],
)
def test_a_folder_that_serves_no_clip_says_why(data, settings, told):
    with pytest.raises(InputError, match=rf"serves the stage video_control: .*{told}"):
        find_items(data, changed(STAGES["video_control"], settings))


def test_a_data_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="There is no folder"):
        find_items(tmp_path / "none", STAGES["long_frame"])


def test_frames_are_taken_at_the_stride_and_closer_together_in_short_videos():
    stage = changed(STAGES["long_frame"], {"frames": 4, "stride": 4})

    def numbers(count, seed=0):
        return frame_numbers(count, stage, torch.Generator().manual_seed(seed))

    long = [numbers(100, seed) for seed in range(20)]
    assert all(b - a == 4 for clip in long for a, b in itertools.pairwise(clip))
    assert len({clip[0] for clip in long}) > 5
    assert max(clip[-1] for clip in long) < 100
    assert numbers(4) == [0, 1, 2, 3]


def test_a_pose_shows_the_same_frames_and_square_as_its_clip(data):
    source = sd15_cli.FolderSource(
        data,
        changed(STAGES["video_control"], {"frames": 3, "size": 64, "crop": "random"}),
        encoders=None,
        guider=None,
    )
    item = source.items[0]
    twin = type(item)(source=item.source, caption="x", num_frames=5, beside={"pose": item.source})

    seen = source.look(twin, "pose", torch.Generator().manual_seed(5))

    assert torch.equal(seen.pictures, seen.control)
    assert seen.pictures.shape == (3, 64, 64, 3)
