import struct

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video.decode import probe_video, read_audio, read_frames
from dreamoving.dreamoving_core.video.encode import encode_video

from .clips import moving_bar, tone


def video(tmp_path, *, format="mp4", frames=12, **options):
    path = tmp_path / f"clip.{format}"
    return encode_video(path, moving_bar(frames), format=format, frame_rate=12, quality=90, **options).path


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "webp"])
def test_a_part_of_a_clip_is_the_same_as_that_part_of_the_whole(tmp_path, format):
    path = video(tmp_path, format=format)
    whole = list(read_frames(path))

    part = list(read_frames(path, start=5, count=4))

    assert len(part) == 4
    assert all(torch.equal(a, b) for a, b in zip(part, whole[5:9], strict=True))


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "webp"])
def test_the_header_tells_size_length_and_sound(tmp_path, format):
    info = probe_video(video(tmp_path, format=format, audio=tone(1.0)))

    assert (info.width, info.height) == (80, 64)
    assert info.duration == pytest.approx(1.0, abs=0.03)
    assert info.has_audio == (format in ("mp4", "webm"))


def test_a_silent_file_has_no_sound(tmp_path):
    assert read_audio(video(tmp_path)) is None


def test_a_clip_turned_by_a_phone_is_read_upright(tmp_path):
    path = tmp_path / "phone.mp4"
    upright = torch.zeros(2, 48, 32, 3)
    upright[:, :16, :16, 0] = 1.0  # red in the upper left
    encode_video(path, torch.rot90(upright, 1, dims=(1, 2)), format="mp4", frame_rate=12, quality=90)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # after version, times, ids, duration, reserved, layer, volume
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    path.write_bytes(data)

    frame = next(read_frames(path))
    info = probe_video(path)

    assert frame.shape == (48, 32, 3)
    assert (info.height, info.width) == (48, 32)
    assert (frame - upright[0]).abs().mean() < 0.03


def test_a_file_that_is_not_there_is_named():
    for read in (probe_video, read_audio, lambda path: next(read_frames(path))):
        for name in ("nowhere.mp4", "nowhere.webp"):
            if read is read_audio and name.endswith("webp"):
                continue
            with pytest.raises(InputError, match=f"no file '{name}'"):
                read(name)


@pytest.mark.parametrize("format", ["mp4", "webm", "gif"])
def test_a_file_of_something_else_is_refused_in_words(tmp_path, format):
    path = tmp_path / f"notes.{format}"
    path.write_text("not a video, only words " * 50)

    for read in (probe_video, read_audio, lambda file: next(read_frames(file))):
        with pytest.raises(InputError, match=rf"notes.{format} cannot be read as a video"):
            read(path)


def test_a_picture_file_of_something_else_is_refused_in_words(tmp_path):
    path = tmp_path / "notes.webp"
    path.write_text("not a picture")

    with pytest.raises(InputError, match=r"notes.webp cannot be read as a picture"):
        next(read_frames(path))


def test_a_download_cut_short_before_its_first_frame_is_refused_in_words(tmp_path):
    path = video(tmp_path)
    whole = path.read_bytes()

    for kept in (0, 10, 100, whole.index(b"moov") + 200, whole.index(b"mdat") - 50):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError, match=r"clip\.mp4 .*cut short"):
            list(read_frames(path))


def test_a_file_with_sound_only_is_refused_as_a_video(tmp_path):
    import av

    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(torch.zeros(1, 4800).numpy(), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    with pytest.raises(InputError, match=r"song.mp4 holds no picture"):
        probe_video(path)
