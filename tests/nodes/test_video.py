"""The Video Combine node, executed as ComfyUI executes it, in a folder of its own."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video.clip_file import FileClip
from dreamoving.dreamoving_core.video.decode import probe_video, read_audio, read_frames
from dreamoving.dreamoving_core.video.encode import encode_video
from dreamoving.dreamoving_core.video.formats import FORMATS
from dreamoving.dreamoving_core.video.metadata import read_metadata
from dreamoving.nodes.video import NODES, VideoCombine

PROMPT = {"1": {"class_type": "DreaMovingVideoCombine", "inputs": {}}}
WORKFLOW = {"nodes": [{"id": 1, "type": "DreaMovingVideoCombine"}], "links": []}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    import folder_paths

    for kind in ("output", "temp"):
        (tmp_path / kind).mkdir()
        monkeypatch.setattr(folder_paths, f"{kind}_directory", str(tmp_path / kind))
    return tmp_path


def clip(num_frames=6, *, height=64, width=80, channels=3, seed=0):
    return torch.rand(num_frames, height, width, channels, generator=torch.Generator().manual_seed(seed))


def combine(images, *, hidden=True, **inputs):
    """Runs `execute` on the same kind of clone, with the same hidden values, that ComfyUI makes."""
    from comfy_api.latest import io

    values = {
        "frame_rate": "12",
        "format": "mp4",
        "quality": 70,
        "filename_prefix": "DreaMoving/dance",
        "save_output": True,
    }
    node = VideoCombine.PREPARE_CLASS_CLONE(
        {
            "hidden_inputs": {io.Hidden.prompt: PROMPT, io.Hidden.extra_pnginfo: {"workflow": WORKFLOW}}
            if hidden
            else {}
        }
    )
    return node.execute(images, **{**values, **inputs})


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_input_and_output_explains_itself():
    for node in NODES:
        schema = node.define_schema()
        schema.validate()
        for item in (*schema.inputs, *schema.outputs):
            assert item.tooltip
            assert len(item.tooltip) > 10


def test_the_result_is_a_numbered_file_a_core_video_and_a_preview_that_plays(folders):
    first, second = combine(clip()), combine(clip())

    assert files_of(folders / "output") == ["DreaMoving/dance_00001_.mp4", "DreaMoving/dance_00002_.mp4"]
    assert Path(first[1]) == folders / "output/DreaMoving/dance_00001_.mp4"
    assert second.ui == {
        "images": [{"filename": "dance_00002_.mp4", "subfolder": "DreaMoving", "type": "output"}],
        "animated": (True,),
    }
    components = first[0].get_components()
    assert components.images.shape == (6, 64, 80, 3)
    assert components.frame_rate == 12


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_yields_core_video_preview_and_workflow(folders, format):
    result = combine(clip(5), format=format)

    video, filename, _ = result.result
    assert video.get_components().images.shape == (5, 64, 80, 3)
    assert video.get_frame_rate() == 12
    assert Path(filename).suffix.removeprefix(".") == FORMATS[format].extension
    assert result.ui["animated"] == (True,)
    assert [path for path in files_of(folders) if path.endswith(".part")] == []
    metadata = read_metadata(filename)
    assert json.loads(metadata["workflow"]) == WORKFLOW
    assert json.loads(metadata["prompt"]) == PROMPT


@pytest.mark.parametrize("format", FORMATS)
def test_disable_metadata_is_respected(folders, monkeypatch, format):
    from comfy.cli_args import args

    monkeypatch.setattr(args, "disable_metadata", True)

    filename = combine(clip(3), format=format)[1]

    assert not {"workflow", "prompt", "dreamoving"} & set(read_metadata(filename))
    for path in files_of(folders):
        assert b"class_type" not in (folders / path).read_bytes()


def test_a_run_without_hidden_values_still_works(folders):
    assert "prompt" not in read_metadata(combine(clip(3), hidden=False)[1])


@pytest.mark.parametrize(
    ("frame_rate", "rate"),
    [
        (24, 24),
        (29.97, Fraction(30000, 1001)),
        ("24000/1001", Fraction(24000, 1001)),
        ("12.5", Fraction(25, 2)),
    ],
)
def test_rates_come_as_text_or_from_a_number_socket(folders, frame_rate, rate):
    video, filename, _ = combine(clip(4), frame_rate=frame_rate).result

    assert probe_video(filename).frame_rate == rate
    assert video.get_frame_rate() == rate


def test_the_rate_input_accepts_links_of_numbers_and_text_and_shows_a_text_widget():
    from comfy_execution.validation import validate_node_input

    kind, options = VideoCombine.INPUT_TYPES()["required"]["frame_rate"]

    assert all(validate_node_input(sent, kind) for sent in ("FLOAT", "INT", "STRING"))
    assert not validate_node_input("IMAGE", kind)
    assert (options["widgetType"], options["default"]) == ("STRING", "12")


def test_sound_passes_through_and_is_cut_with_the_picture(folders):
    audio = {"waveform": torch.sin(torch.arange(96000) / 20).view(1, 1, -1), "sample_rate": 48000}

    video, filename, _ = combine(clip(12), audio=audio).result

    sound = read_audio(filename)
    assert sound["waveform"].shape[-1] / sound["sample_rate"] == pytest.approx(1.0, abs=1 / 12)
    assert video.get_components().audio["sample_rate"] == 48000


def test_the_poses_stand_to_the_left_of_the_result(folders):
    result = torch.full((4, 16, 24, 3), 0.8)
    poses = torch.full((4, 32, 32, 3), 0.2)

    frames = list(read_frames(combine(result, side_by_side=poses, quality=90)[1]))

    assert [tuple(frame.shape) for frame in frames] == [(16, 40, 3)] * 4
    assert frames[0][:, :14].mean().item() == pytest.approx(0.2, abs=0.02)
    assert frames[0][:, 18:].mean().item() == pytest.approx(0.8, abs=0.02)


def test_without_save_output_only_the_temp_folder_is_written(folders):
    result = combine(clip(3), save_output=False)

    assert files_of(folders / "output") == []
    assert files_of(folders / "temp") == ["DreaMoving/dance_00001_.mp4"]
    assert result.ui["images"][0]["type"] == "temp"


def test_inputs_are_left_as_they_were(folders):
    images, poses = clip(3, channels=4), clip(3, height=8, seed=1)
    before = images.clone(), poses.clone()

    for format in ("mp4", "gif"):
        combine(images, side_by_side=poses, format=format)

    assert torch.equal(images, before[0])
    assert torch.equal(poses, before[1])


def test_progress_is_counted_in_frames(folders, monkeypatch):
    import comfy.utils

    seen = []
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, *_, **__: seen.append((value, total))
    )

    combine(clip(7))

    assert seen[-1] == (7, 7)


def test_a_cancelled_run_stops_at_once_and_leaves_no_file(folders):
    import comfy.model_management as management

    management.interrupt_current_processing(True)
    try:
        with pytest.raises(management.InterruptProcessingException):
            combine(clip(50))
    finally:
        management.interrupt_current_processing(False)

    assert files_of(folders) == []


def test_latents_gone_to_nan_are_an_error_on_this_node_and_leave_no_file(folders):
    images = clip(6)
    images[2:] = float("nan")

    with pytest.raises(InputError, match=r"Frame 3 holds values that are not numbers"):
        combine(images)

    assert files_of(folders) == []


@pytest.mark.parametrize("with_poses", [False, True])
def test_no_frames_are_an_error_in_words(folders, with_poses):
    with pytest.raises(InputError, match=r"no frame to write: got 0"):
        combine(clip(0), side_by_side=clip(4) if with_poses else None)


def test_poses_of_another_count_are_an_error_with_both_counts(folders):
    with pytest.raises(InputError, match=r"same number of frames.*got 5 and 6"):
        combine(clip(6), side_by_side=clip(5))

    assert files_of(folders) == []


@pytest.mark.parametrize("prefix", ["../outside", "/somewhere/else", "a/../../b"])
def test_a_prefix_that_leads_out_of_the_output_folder_is_refused(folders, prefix):
    with pytest.raises(InputError, match=r"leads outside ComfyUI's output folder"):
        combine(clip(3), filename_prefix=prefix)

    assert files_of(folders) == []


def test_an_empty_prefix_is_refused(folders):
    with pytest.raises(InputError, match=r"filename_prefix is empty"):
        combine(clip(3), filename_prefix="  ")


def test_the_size_of_the_file_is_the_size_of_its_name(folders):
    filename = combine(clip(3, height=15, width=23), filename_prefix="%width%x%height%")[1]

    assert Path(filename).name == "23x15_00001_.mp4"
    info = probe_video(filename)
    assert (info.width, info.height) == (24, 16)


# ---- what plays, and where the files are


def shown(result):
    return [(entry["type"], Path(entry["filename"]).suffix) for entry in result.ui["images"]]


@pytest.mark.parametrize("format", [name for name, row in FORMATS.items() if row.playback != "preview"])
def test_what_a_browser_plays_is_shown_itself(folders, format):
    result = combine(clip(3), format=format)

    assert shown(result) == [("output", f".{FORMATS[format].extension}")]
    assert files_of(folders / "temp") == []


@pytest.mark.parametrize("format", ["gif", "mp4 h265", "mov prores 4444", "mkv ffv1"])
def test_what_no_browser_plays_is_listed_after_an_mp4_that_does(folders, format):
    result = combine(clip(3), format=format)

    assert shown(result) == [("temp", ".mp4"), ("output", f".{FORMATS[format].extension}")]
    assert files_of(folders / "output") == [str(Path(result[1]).relative_to(folders / "output"))], (
        "one file per run"
    )
    preview = folders / "temp" / "DreaMoving" / result.ui["images"][0]["filename"]
    assert len(list(read_frames(preview))) == 3


def test_a_preview_and_its_file_keep_apart_in_the_temp_folder(folders):
    result = combine(clip(3), format="mp4 h265", save_output=False)

    assert shown(result) == [("temp", ".mp4"), ("temp", ".mp4")]
    assert files_of(folders / "temp") == [
        "DreaMoving/dance_00001_.mp4",
        "DreaMoving/dance_preview_00001_.mp4",
    ]


def test_a_png_sequence_is_a_folder_whose_files_are_listed_beside_the_preview(folders):
    first, second = combine(clip(3), format="png sequence"), combine(clip(2), format="png sequence")

    assert files_of(folders / "output") == [
        *(f"DreaMoving/dance_00001_/frame_0000{i}.png" for i in (1, 2, 3)),
        *(f"DreaMoving/dance_00002_/frame_0000{i}.png" for i in (1, 2)),
    ]
    assert shown(first) == [("temp", ".mp4")]
    assert second.ui["frames"] == [
        {"filename": f"frame_0000{i}.png", "subfolder": "DreaMoving/dance_00002_", "type": "output"}
        for i in (1, 2)
    ]


def test_the_name_of_a_run_that_was_killed_is_not_used_again(folders):
    (folders / "output" / "DreaMoving" / "dance_00001_.part").mkdir(parents=True)
    (folders / "output" / "DreaMoving" / "dance_00002_.mp4.part").write_bytes(b"half")

    assert Path(combine(clip(2))[1]).name == "dance_00003_.mp4"


# ---- a VIDEO as source


def video_file(folder, *, num_frames=12, frame_rate=24, **options):
    path = folder / "source.mp4"
    encode_video(path, clip(num_frames), format="mp4", frame_rate=frame_rate, quality=90, **options)
    return path


def core_video(path, **trim):
    from comfy_api.latest import InputImpl

    return InputImpl.VideoFromFile(str(path), **trim)


AUDIO = {"waveform": torch.sin(torch.arange(96000) / 20).view(1, 1, -1), "sample_rate": 48000}


@pytest.mark.parametrize("format", FORMATS)
def test_a_video_keeps_its_frames_its_rate_and_its_sound(folders, format):
    source = video_file(folders, audio=AUDIO)

    video, filename, _ = combine(core_video(source), format=format).result
    back = FileClip(filename)

    assert len(list(back.forward())) == 12
    if format == "webp" or format == "webp alpha" or format == "gif":
        assert float(back.frame_rate) == pytest.approx(24, rel=0.05), (
            "their clocks tick in whole milliseconds or hundredths"
        )
    else:
        assert back.frame_rate == 24
    if FORMATS[format].audio_codec:
        sound = read_audio(filename)
        assert sound["waveform"].shape[-1] / sound["sample_rate"] == pytest.approx(0.5, abs=1 / 24)
    components = video.get_components()
    assert components.images.shape == (12, 64, 80, 3)
    assert components.frame_rate == 24


def test_a_video_is_never_in_memory_as_a_whole(folders, monkeypatch):
    from comfy_api.latest import InputImpl

    def refuse(self):
        raise AssertionError("all frames at once")

    source = video_file(folders)
    monkeypatch.setattr(InputImpl.VideoFromFile, "get_components", refuse)

    frames = len(list(read_frames(source)))
    for format in ("mp4", "gif", "png sequence"):
        made = combine(core_video(source), format=format, ping_pong=True, side_by_side=core_video(source))[1]
        assert format == "png sequence" or len(list(read_frames(made))) == 2 * frames - 2


def test_a_trimmed_video_and_one_in_memory_are_taken_as_they_are(folders):
    from io import BytesIO

    source = video_file(folders, audio=AUDIO)

    trimmed = combine(core_video(source, start_time=0.25, duration=0.125))[1]
    in_memory = combine(core_video(source))[0]
    of_bytes = combine(type(in_memory)(BytesIO(source.read_bytes())))[1]

    assert len(list(read_frames(trimmed))) == 3
    assert len(list(read_frames(of_bytes))) == 12


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_a_video_made_of_frames_brings_its_own_rate_and_sound(folders, format):
    from comfy_api.latest import InputImpl, Types

    components = Types.VideoComponents(images=clip(6), audio=AUDIO, frame_rate=Fraction(24))

    video, filename, _ = combine(InputImpl.VideoFromComponents(components), format=format).result

    assert video.get_frame_rate() == 24
    assert len(list(read_frames(filename))) == 6
    assert (read_audio(filename) is not None) == (format == "mp4")


def test_connected_sound_takes_the_place_of_a_videos_own(folders):
    silence = {"waveform": torch.zeros(1, 1, 48000), "sample_rate": 48000}

    filename = combine(core_video(video_file(folders, audio=AUDIO)), audio=silence)[1]

    assert read_audio(filename)["waveform"].abs().max() < 0.01


def test_both_inputs_for_frames_accept_an_image_or_a_video_and_nothing_else():
    from comfy_execution.validation import validate_node_input

    types = VideoCombine.INPUT_TYPES()
    for kind in (types["required"]["images"][0], types["optional"]["side_by_side"][0]):
        assert all(validate_node_input(sent, kind) for sent in ("IMAGE", "VIDEO"))
        assert not validate_node_input("LATENT", kind)


# ---- order, repetition, sound


def test_ping_pong_and_loops_are_counted_in_frames_and_progress(folders, monkeypatch):
    import comfy.utils

    seen = []
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, *_, **__: seen.append((value, total))
    )

    filename = combine(clip(4), format="mkv ffv1", ping_pong=True, loop_count=1)[1]
    frames = list(read_frames(filename))

    assert len(frames) == 12
    assert all(torch.equal(frames[i], frames[j]) for i, j in ((4, 2), (5, 1), (6, 0), (11, 1)))
    assert seen[-1] == (12, 12)


@pytest.mark.parametrize("format", ["gif", "webp", "apng"])
def test_formats_that_repeat_by_themselves_hold_the_clip_once(folders, format):
    from PIL import Image

    filename = combine(clip(4), format=format, loop_count=2)[1]

    assert len(list(FileClip(filename).forward())) == 4
    with Image.open(filename) as image:
        assert image.info["loop"] == (2 if format == "gif" else 3)


@pytest.mark.parametrize("format", ["gif", "webp", "apng"])
def test_the_core_video_of_a_picture_format_shows_the_same_as_the_file(folders, format):
    result = combine(clip(4), format=format, ping_pong=True)

    assert result[0].get_components().images.shape == (6, 64, 80, 3)


def test_sound_starts_and_goes_on_as_asked(folders):
    audio = {
        "waveform": torch.cat([torch.zeros(24000), 0.5 * torch.ones(24000)]).view(1, 1, -1),
        "sample_rate": 48000,
    }

    filename = combine(clip(24), format="mkv ffv1", audio=audio, audio_start=0.25, audio_length="pad")[1]
    wave = read_audio(filename)["waveform"][0, 0]

    assert len(wave) == 96000
    assert wave.nonzero()[[0, -1], 0].tolist() == [12000, 35999]


def test_crf_and_preset_reach_the_encoder(folders):
    sizes = {
        (crf, preset): Path(combine(clip(6, height=64, width=64), crf=crf, preset=preset)[1]).stat().st_size
        for crf, preset in ((-1, "auto"), (15, "auto"), (40, "auto"), (15, "ultrafast"))
    }

    assert sizes[-1, "auto"] == pytest.approx(sizes[15, "auto"], rel=0.01), "quality 70 is crf 15"
    assert sizes[40, "auto"] < sizes[15, "auto"] != sizes[15, "ultrafast"]


def test_alpha_reaches_the_formats_that_carry_it(folders):
    images = clip(4, channels=4)

    for format, row in FORMATS.items():
        frame = next(FileClip(combine(images, format=format)[1]).forward())
        kept = frame.shape[-1] == 4 and not bool((frame[..., 3] == 1).all())
        assert kept == (row.alpha_format is not None), format


def test_the_contact_sheet_shows_first_and_last_frame(folders):
    images = torch.linspace(0, 1, 20).view(20, 1, 1, 1).expand(20, 16, 16, 3)

    for source in (
        images,
        core_video(encode_video(folders / "a.mp4", images, format="mp4", frame_rate=24).path),
    ):
        sheet = combine(source)[2]

        assert sheet.ndim == 4
        assert sheet.shape[0] == 1
        assert sheet[0, 4 + 20 + 64, 4 + 64, 0].item() == pytest.approx(0, abs=0.05)
        assert sheet[0, -68, 4 + 7 * 132 + 64, 0].item() == pytest.approx(1, abs=0.05)


def test_what_is_wrong_with_the_settings_is_said_before_a_file_exists(folders):
    for wrong, text in (
        ({"crf": 60}, r"crf of mp4 goes from 0 .best. to 51"),
        ({"preset": "turbo"}, r"preset 'turbo' is unknown"),
        ({"audio_length": "stretch"}, r"audio_length must be one of trim, pad, repeat"),
        ({"audio_start": 9.0, "audio": AUDIO}, r"sound ends before second 9"),
        ({"format": "gif", "frame_rate": 60}, r"gif holds at most 50 frames per second"),
    ):
        with pytest.raises(InputError, match=text):
            combine(clip(24), **wrong)

    assert files_of(folders) == []


# ---- provenance


def test_the_file_says_which_pack_models_and_seeds_made_it(folders, monkeypatch):
    import dreamoving.dreamoving_core.bridge.provenance as provenance
    import folder_paths
    from dreamoving.dreamoving_core.catalogue.files import ModelFile

    (folders / "loras").mkdir()
    (folders / "loras" / "style.safetensors").write_bytes(b"1234")
    (folders / "loras" / "other.safetensors").write_bytes(b"12345")
    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "loras", ([str(folders / "loras")], {".safetensors"})
    )
    row = {"folder": "loras", "repo": "a/b", "path": "", "licence": "MIT", "size": 4}
    known = [
        ModelFile(name="style.safetensors", sha256="ab" * 32, **row),
        ModelFile(name="other.safetensors", sha256="cd" * 32, **row),
    ]
    monkeypatch.setattr(provenance, "FILES", known)
    prompt = {
        "1": {"class_type": "LoraLoader", "inputs": {"lora_name": "style.safetensors", "model": ["9", 0]}},
        "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "other.safetensors"}},
        "3": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "gone.ckpt"}},
        "4": {"class_type": "DreaMovingSampler", "inputs": {"seed": 7, "noise": "shared"}},
        "5": {"class_type": "KSampler", "inputs": {"seed": ["4", 0]}},
    }
    monkeypatch.setitem(globals(), "PROMPT", prompt)

    told = json.loads(read_metadata(combine(clip(2))[1])["dreamoving"])

    assert told["pack"] == "dreamoving"
    assert told["models"] == [
        {
            "name": "style.safetensors",
            "node": "LoraLoader",
            "input": "lora_name",
            "bytes": 4,
            "sha256": "ab" * 32,
            "sha256_by": "name and size in the pack's catalogue",
        },
        {"name": "other.safetensors", "node": "LoraLoader", "input": "lora_name", "bytes": 5},
        {"name": "gone.ckpt", "node": "CheckpointLoaderSimple", "input": "ckpt_name"},
    ]
    assert told["seeds"] == [{"node": "DreaMovingSampler", "id": "4", "seed": 7, "noise": "shared"}]
    assert "one generator on the CPU" in told["seed_rule"]


def test_the_version_that_files_carry_is_that_of_the_pack():
    from dreamoving.dreamoving_core.version import VERSION
    from dreamoving.tools.workflows import pack_version

    assert pack_version(Path(__file__).resolve().parents[2]) == VERSION
