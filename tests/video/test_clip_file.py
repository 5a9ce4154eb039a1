"""A file as a clip: both directions, a part of it, from memory, with its sound, and little of it in memory."""

import weakref
from io import BytesIO

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video import clip_file
from dreamoving.dreamoving_core.video.clip_file import FileClip
from dreamoving.dreamoving_core.video.decode import read_frames
from dreamoving.dreamoving_core.video.encode import encode_video
from dreamoving.dreamoving_core.video.formats import FORMATS

from .clips import moving_bar, tone


def video(tmp_path, *, format="mp4", frames=24, **options):
    path = tmp_path / ".".join(filter(None, ("clip", FORMATS[format].extension)))
    return encode_video(path, moving_bar(frames), format=format, frame_rate=12, quality=90, **options).path


@pytest.mark.parametrize("format", FORMATS)
def test_backward_is_forward_reversed_for_every_format(tmp_path, monkeypatch, format):
    monkeypatch.setattr(clip_file, "CHUNK_BYTES", 5 * 64 * 80 * 3)  # several chunks
    clip = FileClip(video(tmp_path, format=format))

    forward, backward = list(clip.forward()), list(clip.backward())

    assert len(forward) == clip.num_frames == 24
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))


def test_backward_needs_no_forward_before_it(tmp_path):
    path = video(tmp_path)

    assert torch.equal(next(FileClip(path).backward()), list(read_frames(path))[-1])


def test_a_file_that_cannot_be_searched_is_read_from_its_start(tmp_path, monkeypatch):
    path = video(tmp_path, frames=12)
    monkeypatch.setattr(clip_file, "CHUNK_BYTES", 3 * 64 * 80 * 3)
    clip, play = FileClip(path), FileClip._play

    def led_too_far(self, seek=None):
        return play(self, seek if seek is None else seek + 2 * 1024)

    monkeypatch.setattr(FileClip, "_play", led_too_far)

    assert all(torch.equal(a, b) for a, b in zip(clip.backward(), [*clip.forward()][::-1], strict=True))


def test_a_file_that_changes_while_it_is_read_is_refused_in_words(tmp_path):
    path = video(tmp_path)
    clip = FileClip(path)
    assert len(list(clip.forward())) == 24
    video(tmp_path, frames=6)

    with pytest.raises(
        InputError, match=r"clip.mp4 holds other frames when it is read again .0 instead of 1."
    ):
        next(clip.backward())


@pytest.mark.parametrize(
    ("start", "duration", "first", "count"),
    [(0, 0, 0, 24), (0.5, 0, 6, 18), (0.5, 0.75, 6, 9), (0, 1, 0, 12)],
)
def test_a_trimmed_clip_holds_the_frames_and_the_sound_of_its_part(tmp_path, start, duration, first, count):
    audio = tone(2.0, sample_rate=48000, channels=1)
    audio["waveform"] = audio["waveform"] * torch.linspace(0.1, 1, 96000)  # louder and louder
    path = video(tmp_path, audio=audio)

    clip = FileClip(path, start=start, duration=duration)
    frames, sound = list(clip.forward()), torch.cat(list(clip.sound.pieces()), dim=1)[0]

    assert all(
        torch.equal(a, b) for a, b in zip(frames, list(read_frames(path))[first:][:count], strict=True)
    )
    assert len(list(clip.backward())) == count == clip.num_frames
    assert len(sound) / 48000 == pytest.approx(count / 12, abs=1 / 24)
    loudness = 0.5 * (0.1 + 0.9 * (start + 0.2) / 2)
    assert sound[: round(0.2 * 48000)].abs().max().item() == pytest.approx(loudness, rel=0.15)


def test_core_reads_the_same_part_of_the_same_file(tmp_path):
    from comfy_api.latest import InputImpl

    path = video(tmp_path, audio=tone(2.0))
    core = InputImpl.VideoFromFile(str(path), start_time=0.5, duration=0.75)
    clip = FileClip(path, start=0.5, duration=0.75)

    theirs, ours = core.get_components(), torch.stack(list(clip.forward()))

    assert (theirs.images - ours).abs().mean() < 0.02, "a frame off makes 0.06"
    assert clip.frame_rate == theirs.frame_rate
    sound = torch.cat(list(clip.sound.pieces()), dim=1)
    assert sound.shape[1] == pytest.approx(theirs.audio["waveform"].shape[-1], abs=1024)


def test_a_video_in_memory_is_read_like_one_on_disk(tmp_path):
    path = video(tmp_path, audio=tone(2.0))
    clip = FileClip(BytesIO(path.read_bytes()))

    frames = []
    for i, frame in enumerate(clip.forward()):  # pictures and sound at the same time
        frames.append(frame)
        if i == 3:
            sound = torch.cat(list(clip.sound.pieces()), dim=1)

    assert all(torch.equal(a, b) for a, b in zip(frames, read_frames(path), strict=True))
    assert sound.shape[1] == pytest.approx(2 * 44100, abs=2048)


def test_sound_that_starts_after_the_picture_is_led_in_by_silence(tmp_path):
    import av

    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=12)
        picture.width, picture.height, picture.pix_fmt = 80, 64, "yuv420p"
        sound = container.add_stream("flac", rate=48000, layout="mono")
        for i, pixels in enumerate((moving_bar(12) * 255).to(torch.uint8).numpy()):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            if i == 0:
                frame = av.AudioFrame.from_ndarray(
                    torch.full((1, 24000), 9000, dtype=torch.int16).numpy(), format="s16", layout="mono"
                )
                frame.sample_rate, frame.pts = 48000, 24000
                container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        container.mux(picture.encode(None))

    heard = torch.cat(list(FileClip(path).sound.pieces()), dim=1)[0]

    assert heard.nonzero()[0].item() == pytest.approx(24000, abs=100)


def test_a_silent_file_brings_no_sound(tmp_path):
    assert FileClip(video(tmp_path)).sound is None
    assert FileClip(video(tmp_path, format="webp")).sound is None


def test_ten_bit_files_keep_more_than_eight_bits(tmp_path):
    ramp = torch.linspace(0.4, 0.5, 256).expand(2, 64, 3, -1).transpose(2, 3)
    path = encode_video(tmp_path / "a.mov", ramp, format="mov prores 4444", frame_rate=12).path

    levels = next(FileClip(path).forward())[32, :, 1].unique()

    assert len(levels) > 60, "eight bits have 26 steps between 0.4 and 0.5"


@pytest.mark.parametrize("backward", [False, True])
def test_little_of_a_file_is_in_memory(tmp_path, monkeypatch, backward):
    path = video(tmp_path, frames=60)
    monkeypatch.setattr(clip_file, "CHUNK_BYTES", 8 * 64 * 80 * 3)
    clip, floats, alive, most = FileClip(path), clip_file.to_floats, [], 0

    def counted(pixels):
        nonlocal most
        alive.append(weakref.ref(pixels))
        most = max(most, sum(found() is not None for found in alive))
        return floats(pixels)

    monkeypatch.setattr(clip_file, "to_floats", counted)
    for _ in clip.backward() if backward else clip.forward():
        pass

    assert len(alive) == (120 if backward else 60)
    assert most <= 2


def test_a_start_behind_the_end_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"clip.mp4 has no frame after second 9"):
        list(FileClip(video(tmp_path), start=9.0).forward())


def test_an_empty_folder_is_no_clip(tmp_path):
    with pytest.raises(InputError, match=r"holds no PNG pictures. Choose the folder of a png sequence"):
        FileClip(tmp_path)


@pytest.mark.parametrize("source", ["nowhere.mp4", BytesIO(b"only words " * 100)])
def test_what_is_no_video_is_refused_in_words(source):
    with pytest.raises(InputError, match=r"There is no file|The video cannot be read as a video"):
        FileClip(source)
