"""The Video Combine node, executed as ComfyUI executes it, in a folder of its own."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video.decode import probe_video, read_audio, read_frames
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


def clip(num_frames=6, *, height=16, width=24, channels=3, seed=0):
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
    assert second.ui.as_dict() == {
        "images": [{"filename": "dance_00002_.mp4", "subfolder": "DreaMoving", "type": "output"}],
        "animated": (True,),
    }
    components = first[0].get_components()
    assert components.images.shape == (6, 16, 24, 3)
    assert components.frame_rate == 12


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "webp"])
def test_every_format_yields_core_video_preview_and_workflow(folders, format):
    result = combine(clip(5), format=format)

    video, filename = result.result
    assert video.get_components().images.shape == (5, 16, 24, 3)
    assert video.get_frame_rate() == 12
    assert Path(filename).suffix == f".{format}"
    assert result.ui.as_dict()["animated"] == (True,)
    metadata = read_metadata(filename)
    assert json.loads(metadata["workflow"]) == WORKFLOW
    assert json.loads(metadata["prompt"]) == PROMPT


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "webp"])
def test_disable_metadata_is_respected(folders, monkeypatch, format):
    from comfy.cli_args import args

    monkeypatch.setattr(args, "disable_metadata", True)

    filename = combine(clip(3), format=format)[1]

    assert not {"workflow", "prompt"} & set(read_metadata(filename))
    assert b"class_type" not in Path(filename).read_bytes()


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
    video, filename = combine(clip(4), frame_rate=frame_rate).result

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

    video, filename = combine(clip(12), audio=audio).result

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
    assert result.ui.as_dict()["images"][0]["type"] == "temp"


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
