"""Pose Extract on Tiny's detectors and real files: what artists bring, and what cannot be read."""

import struct
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime")
pytest.importorskip("cv2")

import folder_paths
from comfy.model_management import InterruptProcessingException
from comfy_api.latest import InputImpl
from dreamoving.dreamoving_core.bridge import pose_extract
from dreamoving.dreamoving_core.bridge.pose_extract import TINY, detector_files, point_files
from dreamoving.dreamoving_core.errors import InputError, WeightsError
from dreamoving.dreamoving_core.procdance.clip import ClipSpec, moments, render_clip
from dreamoving.dreamoving_core.procdance.render import render_frames
from dreamoving.dreamoving_core.video.encode import encode_video
from dreamoving.nodes.pose_extract import PoseExtract
from dreamoving.nodes.preprocess import DreaMovingSampleClip

SHOWN = (0, 1, 4, 5, 6, 9, 11)  # frames in which somebody dances; the others are empty
FRAMES = 12


@pytest.fixture(scope="module")
def dance():
    """`f 128 128 3`: a dancer in some frames, nobody in the rest."""
    drawn = render_clip(ClipSpec(seed=1000, split="held_out", num_frames=FRAMES)).images
    frames = torch.full((FRAMES, 128, 128, 3), 0.5)
    frames[list(SHOWN)] = drawn[list(SHOWN)]
    return frames


def extract(video, *, detector=TINY, pose_model=TINY, detect_every=1, device="CPU", **inputs):
    chosen = {"detector": detector, "pose_model": pose_model, "detect_every": detect_every, "device": device}
    return PoseExtract.execute(video, **chosen, **inputs).result


def people_in(video, **inputs):
    """How many people each frame has."""
    return [len(frame["people"]) for frame in extract(video, **inputs)[0]]


def shown_pattern(counts):
    return tuple(i for i, count in enumerate(counts) if count)


def file(path):
    return InputImpl.VideoFromFile(str(path))


def write(
    path, frames, *, codec="libx264", pixel_format="yuv420p", rate=Fraction(12), stamps=None, options=None
):
    """A file of our own making: any rate, any time stamps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pixel_format
        stream.codec_context.time_base = Fraction(1, 1000) if stamps else 1 / rate
        for i, pixels in enumerate((frames * 255).round().to(torch.uint8).numpy()):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = (stamps[i], Fraction(1, 1000)) if stamps else (i, 1 / rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_default_graph_works_without_any_model_file(dance):
    schema = PoseExtract.define_schema()
    defaults = {i.id: i.options[-1] for i in schema.inputs if i.id in ("detector", "pose_model")}

    keypoints, rate, report = extract(dance)

    assert defaults == {"detector": TINY, "pose_model": TINY}
    assert shown_pattern([len(frame["people"]) for frame in keypoints]) == SHOWN
    assert rate == 0
    assert report.startswith("12 frames of 128 x 128 pixels")
    assert "dreamoving_tiny_points.onnx on CPU (as chosen)" in report


def test_poses_of_a_file_are_near_the_truth():
    sample = DreaMovingSampleClip.execute(1003, 8, 128, "whole", "soft").result
    truth, video = sample[1], sample[8]

    keypoints, rate, _ = extract(video)

    assert rate == 12
    found, true = (
        np.array([f["people"][0]["pose_keypoints_2d"] for f in k]).reshape(8, 18, 3)
        for k in (keypoints, truth)
    )
    error = np.linalg.norm(found[..., :2] - true[..., :2], axis=-1)
    assert np.median(error) < 0.03 * 128


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(60000, 1001)])
def test_broadcast_rates_keep_every_frame_in_its_place(tmp_path, dance, rate):
    video = file(write(tmp_path / "broadcast.mp4", dance, rate=rate))

    keypoints, found_rate, _ = extract(video)

    assert shown_pattern([len(frame["people"]) for frame in keypoints]) == SHOWN
    assert len(keypoints) == FRAMES
    assert found_rate == pytest.approx(float(rate), abs=1e-3)


def test_a_variable_rate_gives_the_frames_that_core_sees(tmp_path, dance):
    stamps = [0, 40, 45, 120, 300, 310, 320, 500, 900, 940, 1500, 1540]
    video = file(write(tmp_path / "phone.mkv", dance, stamps=stamps))

    counts = people_in(video)

    assert len(counts) == FRAMES == len(video.get_components().images)
    assert shown_pattern(counts) == SHOWN


def test_a_phone_video_on_its_side_is_read_upright(tmp_path, dance):
    path = tmp_path / "phone.mp4"
    wide = torch.nn.functional.pad(dance, (0, 0, 0, 0, 0, 64), value=0.5)  # 192 high, 128 wide
    encode_video(path, torch.rot90(wide, 1, dims=(1, 2)), format="mp4", frame_rate=12)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # after version, times, ids, duration, reserved, layer, volume
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 192 * one, 0, 1 << 30)
    path.write_bytes(data)

    keypoints, _, _ = extract(file(path))

    assert (keypoints[0]["canvas_width"], keypoints[0]["canvas_height"]) == (128, 192)
    assert shown_pattern([len(frame["people"]) for frame in keypoints]) == SHOWN
    body = np.array(keypoints[0]["people"][0]["pose_keypoints_2d"]).reshape(18, 3)
    assert body[10, 1] > body[0, 1] + 30  # ankle below nose


def test_ten_bits_are_read(tmp_path, dance):
    options = {"x264-params": "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"}
    video = file(write(tmp_path / "hdr.mkv", dance, pixel_format="yuv420p10le", options=options))

    assert shown_pattern(people_in(video)) == SHOWN


def test_alpha_is_left_out(tmp_path, dance):
    path = encode_video(tmp_path / "alpha.mov", torch.cat([dance, torch.ones_like(dance[..., :1])], dim=-1),
                        format="mov prores 4444", frame_rate=12).path  # fmt: skip

    assert shown_pattern(people_in(file(path))) == SHOWN
    assert shown_pattern(people_in(torch.cat([dance, torch.zeros_like(dance[..., :1])], dim=-1))) == SHOWN


def test_a_file_that_is_damaged_in_the_middle_is_a_sentence_or_every_frame(tmp_path, dance):
    path = write(tmp_path / "damaged.mp4", torch.rand_like(dance))
    whole = path.read_bytes()
    for size in (4, 200, 4000):
        middle = whole.index(b"mdat") + (len(whole) - whole.index(b"mdat")) // 3
        path.write_bytes(whole[:middle] + bytes(size) + whole[middle + size :])

        told = outcome(path)

        assert told == FRAMES or "damaged" in told


def outcome(path):
    """How many frames came, or what was said instead."""
    try:
        keypoints, _, report = extract(file(path))
    except InputError as error:
        return str(error)
    return report if "ends early" in report else len(keypoints)


def test_a_file_that_was_cut_short_says_how_much_is_missing(tmp_path, dance):
    path = write(tmp_path / "short.mkv", torch.rand(40, 64, 64, 3))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])

    keypoints, _, report = extract(file(path))

    assert 15 < len(keypoints) < 32
    assert f"short.mkv ends early: {len(keypoints)} of about 40 frames could be read" in report


def test_sound_alone_is_refused_in_words(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    with pytest.raises(InputError, match=r"song.mp4 holds no picture"):
        extract(file(path))


def test_one_frame_and_pictures_of_sixteen_pixels_are_read(dance):
    assert people_in(dance[:1]) == [1]
    assert len(people_in(torch.rand(3, 16, 16, 3))) == 3


@pytest.mark.slow
def test_a_still_of_8k_is_read():
    [entry] = extract(torch.full((1, 4320, 7680, 3), 0.5))[0]

    assert (entry["canvas_width"], entry["canvas_height"], entry["people"]) == (7680, 4320, [])


def test_nobody_is_told_in_words():
    keypoints, _, report = extract(torch.full((3, 128, 128, 3), 0.5))

    assert [frame["people"] for frame in keypoints] == [[], [], []]
    assert "No person was found in 3 frames of 128 x 128 pixels. Lower the threshold" in report


def test_three_people_are_three_and_the_number_can_be_limited(dance):
    others = [
        render_clip(ClipSpec(seed=1000 + i, split="held_out", num_frames=1)).images[0] for i in range(3)
    ]
    row = torch.cat(others, dim=1)[None]

    assert people_in(row) == [3]
    assert people_in(row, people=2) == [2]


def test_a_profile_gives_its_frames():
    turned = [
        replace(m, dance=replace(m.dance, yaw=88.0, twist=0.0))
        for m in moments(ClipSpec(seed=5, num_frames=6))
    ]

    assert len(people_in(render_frames(turned, flow=False).images)) == 6


def test_frames_with_numbers_that_are_none_are_refused(dance):
    broken = dance[:3].clone()
    broken[1, 0, 0, 0] = float("nan")

    with pytest.raises(InputError, match="Frame 2 holds values that are not numbers"):
        extract(broken)


def test_cancelling_stops_at_the_next_frame(dance, monkeypatch):
    asked = []

    def interrupt():
        asked.append(1)
        if len(asked) == 3:
            raise InterruptProcessingException

    monkeypatch.setattr(
        pose_extract.comfy.model_management, "throw_exception_if_processing_interrupted", interrupt
    )

    with pytest.raises(InterruptProcessingException):
        extract(dance, detect_every=2)
    assert len(asked) == 3


def test_files_of_other_folders_are_listed_and_a_wrong_one_is_refused(tmp_path, monkeypatch, dance):
    known = dict(folder_paths.folder_names_and_paths)
    places = {
        "dwpose": tmp_path / "dwpose",
        "detection": tmp_path / "detection",
        "custom_nodes": tmp_path / "nodes",
    }
    for name, place in places.items():
        known[name] = ([str(place)], set())
        place.mkdir()
    aux = places["custom_nodes"] / "comfyui_controlnet_aux" / "ckpts" / "yzd-v" / "DWPose"
    aux.mkdir(parents=True)
    (aux / "yolox_l.onnx").write_bytes(b"not a network")
    (places["dwpose"] / "dw-ll_ucoco_384.onnx").write_bytes(b"not a network")
    (places["detection"] / "other.onnx").write_bytes(b"not a network")
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)

    assert detector_files() == ["controlnet_aux/yzd-v/DWPose/yolox_l.onnx", "detection/other.onnx", TINY]
    assert point_files() == ["dw-ll_ucoco_384.onnx", "detection/other.onnx", TINY]
    with pytest.raises(WeightsError, match=r"'other.onnx' cannot be read as an .onnx file"):
        extract(dance, detector="detection/other.onnx")
    assert "There is no detector 'gone.onnx'" in PoseExtract.validate_inputs("gone.onnx", TINY)
    assert PoseExtract.validate_inputs(TINY, TINY) is True


def test_tinys_files_are_told_from_each_other(dance, monkeypatch):
    monkeypatch.setattr(pose_extract.files, "PERSON_DETECTOR", pose_extract.files.POINT_DETECTOR)

    with pytest.raises(WeightsError, match=r"'dreamoving_tiny_points.onnx' is no person detector"):
        extract(dance)
