"""Encode and decode again: what goes in comes out, and nothing half-made stays behind."""

import weakref
from fractions import Fraction

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video import encode
from dreamoving.dreamoving_core.video.decode import probe_video, read_audio, read_frames
from dreamoving.dreamoving_core.video.encode import EncodeSettings, VideoWriter, encode_video
from dreamoving.dreamoving_core.video.formats import FORMATS, video_format
from dreamoving.dreamoving_core.video.metadata import read_metadata

from .clips import moving_bar, tone

ALL = sorted(FORMATS)
WITH_SOUND = [name for name in ALL if FORMATS[name].audio_codec]


def write(tmp_path, frames, *, format="mp4", frame_rate=12, **options):
    return encode_video(tmp_path / f"clip.{format}", frames, format=format, frame_rate=frame_rate, **options)


def mean_error(a, b):
    return (a - b).abs().mean().item()


@pytest.mark.parametrize("format", ALL)
def test_every_format_gives_back_as_many_frames_of_the_same_size_in_the_same_order(tmp_path, format):
    frames = moving_bar(10)

    video = write(tmp_path, frames, format=format, quality=90)
    back = list(read_frames(video.path))

    assert (video.num_frames, video.width, video.height) == (10, 64, 48)
    assert len(back) == 10
    for i, frame in enumerate(back):
        errors = [mean_error(frame, other) for other in frames]
        assert errors[i] == min(errors), f"frame {i} looks like frame {errors.index(min(errors))}"
        assert errors[i] < 0.03


@pytest.mark.parametrize("rate", ["12", "25/2", "24000/1001", "30000/1001", "60", "15/2"])
@pytest.mark.parametrize("format", WITH_SOUND)
def test_the_frame_rate_is_read_back_as_the_same_fraction(tmp_path, format, rate):
    video = write(tmp_path, moving_bar(5), format=format, frame_rate=rate)

    assert probe_video(video.path).frame_rate == Fraction(rate) == video.frame_rate


@pytest.mark.parametrize(("format", "tick"), [("mp4", 0), ("webm", 0.001)])
def test_every_frame_is_shown_at_its_exact_time_and_the_first_at_zero(tmp_path, format, tick):
    import av

    rate = Fraction(30000, 1001)
    video = write(tmp_path, moving_bar(9), format=format, frame_rate=rate)

    with av.open(str(video.path)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert all(abs(time - i / rate) <= tick for i, time in enumerate(times))


@pytest.mark.parametrize(("format", "tick"), [("gif", 0.01), ("webp", 0.001)])
def test_image_formats_keep_the_length_to_their_own_tick_without_drift(tmp_path, format, tick):
    video = write(tmp_path, moving_bar(50), format=format, frame_rate="30000/1001")

    assert probe_video(video.path).duration == pytest.approx(50 * 1001 / 30000, abs=2 * tick)


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("size", [(33, 47), (1, 1), (34, 1)])
def test_odd_sizes_are_padded_with_the_edge_where_the_format_needs_even_ones(tmp_path, format, size):
    height, width = size
    frames = moving_bar(3, height=50, width=70)[:, :height, :width]
    frames += torch.tensor([0.0, 0.1, 0.2]).view(3, 1, 1, 1)  # WebP joins frames that are the same
    multiple = FORMATS[format].alignment

    video = write(tmp_path, frames, format=format, quality=100)
    back = torch.stack(list(read_frames(video.path)))

    assert back.shape[1:3] == (height + -height % multiple, width + -width % multiple)
    assert (video.height, video.width) == tuple(back.shape[1:3])
    assert mean_error(back[:, :height, :width], frames) < 0.06
    if multiple == 2 and height % 2:
        assert mean_error(back[:, height], back[:, height - 1]) < 0.02


@pytest.mark.parametrize("format", ["mp4", "webm", "webp"])
def test_colours_survive_for_players_that_believe_the_tags(tmp_path, format):
    colour = torch.tensor([200, 40, 90]) / 255

    video = write(tmp_path, colour.expand(4, 32, 32, 3), format=format, quality=90)

    for frame in read_frames(video.path):
        assert (frame.mean(dim=(0, 1)) - colour).abs().max() < 2.5 / 255


@pytest.mark.parametrize("format", WITH_SOUND)
def test_video_files_are_tagged_bt709_limited_range(tmp_path, format):
    import av

    video = write(tmp_path, moving_bar(2), format=format)

    with av.open(str(video.path)) as container:
        frame = next(container.decode(video=0))
        codec = container.streams.video[0].codec_context
    assert (frame.colorspace, frame.color_range) == (1, 1)
    assert (codec.color_primaries, codec.color_trc, codec.pix_fmt) == (1, 1, "yuv420p")


def test_quality_changes_the_size_of_the_file(tmp_path):
    frames = torch.rand(4, 64, 64, 3, generator=torch.Generator().manual_seed(0))

    for format in ("mp4", "webm", "webp"):
        sizes = [
            write(tmp_path, frames, format=format, quality=quality).path.stat().st_size
            for quality in (10, 60, 100)
        ]
        assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_is_repeated_and_alpha_left_out(tmp_path, channels):
    frames = moving_bar(3, channels=channels)

    video = write(tmp_path, frames, quality=90)

    assert mean_error(torch.stack(list(read_frames(video.path))), frames[..., :3]) < 0.03


def test_values_outside_the_range_are_clipped_and_half_precision_is_taken(tmp_path):
    frames = torch.full((2, 16, 16, 3), 1.7, dtype=torch.float16)

    video = write(tmp_path, frames, quality=90)

    assert min(frame.min() for frame in read_frames(video.path)) > 0.98


@pytest.mark.parametrize("format", WITH_SOUND)
@pytest.mark.parametrize("sample_rate", [44100, 48000, 22050, 7000, 100000])
def test_sound_lasts_as_long_as_the_picture_within_one_frame(tmp_path, format, sample_rate):
    video = write(tmp_path, moving_bar(24), format=format, audio=tone(5.0, sample_rate=sample_rate))
    sound = read_audio(video.path)

    seconds = sound["waveform"].shape[-1] / sound["sample_rate"]
    assert video.has_audio
    assert probe_video(video.path).has_audio
    assert seconds == pytest.approx(2.0, abs=1 / 12)


@pytest.mark.parametrize("format", WITH_SOUND)
def test_sound_shorter_than_the_picture_ends_where_it_ends(tmp_path, format):
    video = write(tmp_path, moving_bar(36), format=format, audio=tone(1.5))
    sound = read_audio(video.path)

    assert len(list(read_frames(video.path))) == 36
    assert sound["waveform"].shape[-1] / sound["sample_rate"] == pytest.approx(1.5, abs=1 / 12)


@pytest.mark.parametrize("format", WITH_SOUND)
@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (2, 2), (3, 2), (4, 2), (6, 6), (8, 2)])
def test_the_tone_is_still_the_tone_for_every_number_of_channels(tmp_path, format, channels, kept):
    video = write(tmp_path, moving_bar(24), format=format, audio=tone(2.0, channels=channels, hertz=500))
    sound = read_audio(video.path)
    wave = sound["waveform"][0, 0]
    spectrum = torch.fft.rfft(wave).abs()

    assert sound["waveform"].shape[:2] == (1, kept)
    loudest = spectrum.argmax().item() * sound["sample_rate"] / len(wave)
    assert loudest == pytest.approx(500, abs=2)


def test_sound_starts_with_the_first_frame(tmp_path):
    audio = tone(2.0, channels=1, sample_rate=48000)
    audio["waveform"] = audio["waveform"].clone()
    audio["waveform"][..., :24000] = 0

    for format in WITH_SOUND:
        sound = read_audio(write(tmp_path, moving_bar(24), format=format, audio=audio).path)
        loud = (sound["waveform"][0, 0].abs() > 0.1).nonzero()[0].item() / sound["sample_rate"]
        assert loud == pytest.approx(0.5, abs=1 / 24)


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_formats_without_sound_leave_it_out(tmp_path, format):
    video = write(tmp_path, moving_bar(3), format=format, audio=tone(1.0))

    assert not video.has_audio
    assert read_audio(video.path) is None


@pytest.mark.parametrize("num_frames", [1, 5])
@pytest.mark.parametrize("format", ALL)
def test_workflow_and_prompt_are_read_back_from_the_file(tmp_path, format, num_frames):
    metadata = {
        "workflow": '{"nodes": "' + "x" * 700 + '"}',
        "prompt": '{"1": {"class_type": "A: B"}}',
        "note": "1",
    }

    video = write(tmp_path, moving_bar(num_frames), format=format, metadata=metadata)

    assert read_metadata(video.path).items() >= metadata.items()
    assert len(list(read_frames(video.path))) == num_frames


@pytest.mark.parametrize("format", ALL)
def test_without_metadata_none_is_written(tmp_path, format):
    video = write(tmp_path, moving_bar(2), format=format)

    assert not {"workflow", "prompt"} & set(read_metadata(video.path))


def test_the_comment_of_a_gif_stands_after_the_loop_count_which_players_want_first(tmp_path):
    data = write(tmp_path, moving_bar(2), format="gif", metadata={"prompt": "{}"}).path.read_bytes()

    assert 0 < data.index(b"NETSCAPE2.0") < data.index(b"\x21\xfe") < data.index(b"\x21\xf9")


def test_webp_carries_the_workflow_as_core_writes_it(tmp_path):
    from PIL import Image

    video = write(tmp_path, moving_bar(3), format="webp", metadata={"workflow": "{}", "prompt": '{"a": 1}'})

    with Image.open(video.path) as image:
        exif = image.getexif()
    assert exif[0x0110] == 'prompt:{"a": 1}'
    assert exif[0x010F] == "workflow:{}"


def test_batches_and_single_frames_make_the_same_file(tmp_path):
    frames = moving_bar(6)

    # not mp4: x264 reads memory that it never wrote at sizes this small, and its bytes vary
    one = write(tmp_path, frames, format="gif").path.read_bytes()
    many = write(tmp_path, [frames[:4], frames[4], frames[5:]], format="gif").path.read_bytes()

    assert one == many


@pytest.mark.parametrize("format", ALL)
def test_frames_and_their_bytes_are_let_go_while_the_clip_is_written(tmp_path, monkeypatch, format):
    alive, most = [], 0

    def count(thing):
        nonlocal most
        alive.append(weakref.ref(thing))
        most = max(most, sum(found() is not None for found in alive))
        return thing

    original = encode.to_bytes
    monkeypatch.setattr(encode, "to_bytes", lambda frame, **options: count(original(frame, **options)))

    write(tmp_path, (count(torch.rand(16, 16, 3)) for _ in range(40)), format=format)

    assert len(alive) == 80
    assert most <= 4, "this frame and the last, as floats and as bytes"


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_run_cut_short_leaves_no_file_and_does_not_touch_an_older_one(tmp_path, format, failure):
    target = tmp_path / f"clip.{format}"
    target.write_bytes(b"older")

    def frames():
        yield from moving_bar(100)  # enough for each encoder to have written something
        assert format == "webp" or (tmp_path / f"clip.{format}.part").exists()
        raise failure

    with pytest.raises(failure):
        write(tmp_path, frames(), format=format, audio=tone(3.0))

    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(target.name, b"older")]


def test_the_name_appears_only_when_the_file_is_whole(tmp_path):
    settings = EncodeSettings(format=video_format("mp4"), frame_rate=Fraction(12))

    with VideoWriter(tmp_path / "clip.mp4", settings) as writer:
        writer.write(moving_bar(100))
        assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4.part"]

    assert [file.name for file in tmp_path.iterdir()] == ["clip.mp4"]


def test_mp4_has_its_index_in_front_so_that_it_plays_while_it_loads(tmp_path):
    data = write(tmp_path, moving_bar(5)).path.read_bytes()

    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
@pytest.mark.parametrize("format", ALL)
def test_frames_that_are_not_numbers_are_an_error_and_never_a_black_video(tmp_path, format, poison):
    frames = moving_bar(6)
    frames[3, 5, 5, 1] = poison

    with pytest.raises(InputError, match=r"Frame 4 holds values that are not numbers.*--fp32-vae"):
        write(tmp_path, frames, format=format)

    assert not list(tmp_path.iterdir())


def test_no_frames_at_all_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no frame to write: got 0"):
        write(tmp_path, torch.zeros(0, 8, 8, 3))
    assert not list(tmp_path.iterdir())


def test_frames_of_two_sizes_are_an_error_with_both_sizes(tmp_path):
    with pytest.raises(InputError, match="Frame 3 is 32 x 16 pixels, the ones before are 64 x 48"):
        write(tmp_path, [moving_bar(2), torch.zeros(16, 32, 3)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 2), (2, 8, 8, 5), (1, 0, 8, 3)])
def test_what_is_no_picture_is_an_error_with_its_shape(tmp_path, shape):
    with pytest.raises(InputError, match=r"Frame 1 has the shape .*expected height, width"):
        write(tmp_path, torch.zeros(shape))


def test_gif_refuses_a_rate_that_players_cannot_show(tmp_path):
    with pytest.raises(InputError, match=r"gif holds at most 50 frames per second, got 60.*mp4"):
        write(tmp_path, moving_bar(2), format="gif", frame_rate=60)


def test_a_picture_too_large_for_the_format_is_refused_with_its_size(tmp_path):
    with pytest.raises(InputError, match="webp holds pictures of at most 16383 pixels a side, got 16384 x 2"):
        write(tmp_path, torch.zeros(1, 2, 16384, 3), format="webp")


@pytest.mark.parametrize("quality", [-1, 101])
def test_quality_outside_its_range_is_refused(tmp_path, quality):
    with pytest.raises(InputError, match=rf"0 .small file. to 100 .best., got {quality}"):
        write(tmp_path, moving_bar(2), quality=quality)


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"'avi' is unknown. Choose one of: mp4, webm, gif, webp"):
        write(tmp_path, moving_bar(2), format="avi")


@pytest.mark.parametrize("shape", [(1, 2, 0), (2, 100), (1, 0, 100), (1, 9, 100)])
def test_sound_of_a_wrong_shape_is_an_error_before_anything_is_written(tmp_path, shape):
    with pytest.raises(InputError, match=r"The sound has the shape .*Leave audio unconnected"):
        write(tmp_path, moving_bar(2), audio={"waveform": torch.zeros(shape), "sample_rate": 48000})
    assert not list(tmp_path.iterdir())


def test_sound_that_is_not_numbers_is_an_error(tmp_path):
    audio = {"waveform": torch.full((1, 1, 100), float("nan")), "sample_rate": 48000}
    with pytest.raises(InputError, match="sound holds values that are not numbers"):
        write(tmp_path, moving_bar(2), audio=audio)
