"""Encode and decode again: what goes in comes out, and nothing half-made stays behind."""

import weakref
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video import frame_bytes
from dreamoving.dreamoving_core.video.clip_file import FileClip
from dreamoving.dreamoving_core.video.decode import probe_video, read_audio, read_frames
from dreamoving.dreamoving_core.video.encode import VideoWriter, encode_video
from dreamoving.dreamoving_core.video.encoded import EncodeSettings
from dreamoving.dreamoving_core.video.formats import FORMATS, PRESETS, video_format
from dreamoving.dreamoving_core.video.metadata import read_metadata
from dreamoving.dreamoving_core.video.sound import SoundFit

from .clips import moving_bar, tone

ALL = sorted(FORMATS)
WITH_SOUND = [name for name in ALL if FORMATS[name].audio_codec]
WITH_ALPHA = [name for name in ALL if FORMATS[name].alpha_format]
EXACT = ["apng", "mkv ffv1", "png sequence"]


def file_name(format):
    return ".".join(filter(None, ("clip", FORMATS[format].extension)))


def write(tmp_path, frames, *, format="mp4", frame_rate=12, **options):
    name = file_name(format) if format in FORMATS else "clip"
    return encode_video(tmp_path / name, frames, format=format, frame_rate=frame_rate, **options)


def mean_error(a, b):
    return (a - b).abs().mean().item()


@pytest.mark.parametrize("format", ALL)
def test_every_format_gives_back_as_many_frames_of_the_same_size_in_the_same_order(tmp_path, format):
    frames = moving_bar(10)

    video = write(tmp_path, frames, format=format, quality=90)
    back = list(read_frames(video.path))

    assert (video.num_frames, video.width, video.height) == (10, 80, 64)
    assert len(back) == 10
    for i, frame in enumerate(back):
        errors = [mean_error(frame, other) for other in frames]
        assert errors[i] == min(errors), f"frame {i} looks like frame {errors.index(min(errors))}"
        assert errors[i] < 0.03


@pytest.mark.parametrize("rate", ["12", "25/2", "24000/1001", "30000/1001", "60", "15/2"])
@pytest.mark.parametrize("format", [*WITH_SOUND, "apng", "png sequence"])
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
@pytest.mark.parametrize("size", [(33, 47), (67, 65), (1, 1), (34, 1)])
def test_odd_sizes_are_padded_with_the_edge_where_the_format_needs_even_ones(tmp_path, format, size):
    height, width = (max(side, FORMATS[format].min_side) for side in size)
    frames = moving_bar(3, height=70, width=90)[:, :height, :width]
    frames += torch.tensor([0.0, 0.1, 0.2]).view(3, 1, 1, 1)  # WebP joins frames that are the same
    multiple = FORMATS[format].alignment

    video = write(tmp_path, frames, format=format, quality=100)
    back = torch.stack(list(read_frames(video.path)))

    assert back.shape[1:3] == (height + -height % multiple, width + -width % multiple)
    assert (video.height, video.width) == tuple(back.shape[1:3])
    assert mean_error(back[:, :height, :width], frames) < 0.06
    if multiple == 2 and height % 2:
        assert mean_error(back[:, height], back[:, height - 1]) < 0.02


@pytest.mark.parametrize("format", sorted({*ALL} - {"gif"}))
def test_colours_survive_for_players_that_believe_the_tags(tmp_path, format):
    colour = torch.tensor([200, 40, 90]) / 255

    video = write(tmp_path, colour.expand(4, 64, 64, 3), format=format, quality=90)

    for frame in read_frames(video.path):
        assert (frame.mean(dim=(0, 1)) - colour).abs().max() < 2.5 / 255


@pytest.mark.parametrize("format", [name for name in ALL if FORMATS[name].pixel_format.startswith("yuv")])
def test_video_files_are_tagged_bt709_limited_range(tmp_path, format):
    import av

    video = write(tmp_path, moving_bar(2), format=format)

    with av.open(str(video.path)) as container:
        frame = next(container.decode(video=0))
        codec = container.streams.video[0].codec_context
    assert (frame.colorspace, frame.color_range) == (1, 1)
    assert (codec.color_primaries, codec.color_trc) == (1, 1)


def test_quality_changes_the_size_of_the_file(tmp_path):
    frames = torch.rand(4, 64, 64, 3, generator=torch.Generator().manual_seed(0))

    for format in (name for name in ALL if FORMATS[name].quality_key):
        sizes = [
            write(tmp_path, frames, format=format, quality=quality).path.stat().st_size
            for quality in (10, 60, 100)
        ]
        assert sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("format", sorted({*ALL} - {*WITH_ALPHA}))
def test_grey_is_repeated_and_alpha_left_out_where_the_format_has_none(tmp_path, format, channels):
    frames = moving_bar(3, channels=channels)

    video = write(tmp_path, frames, format=format, quality=90)

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


@pytest.mark.parametrize("format", sorted({*ALL} - {*WITH_SOUND}))
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

    original = frame_bytes.to_bytes
    monkeypatch.setattr(frame_bytes, "to_bytes", lambda frame, **options: count(original(frame, **options)))

    write(tmp_path, (count(torch.rand(64, 64, 3)) for _ in range(40)), format=format)

    assert len(alive) == 80
    assert most <= 4, "this frame and the last, as floats and as bytes"


@pytest.mark.parametrize("format", ALL)
@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_run_cut_short_leaves_no_file_and_does_not_touch_an_older_one(tmp_path, format, failure):
    target = tmp_path / file_name(format)
    target.write_bytes(b"older")

    def frames():
        yield from moving_bar(100)  # enough for each encoder to have written something
        assert FORMATS[format].container == "webp" or (tmp_path / f"{target.name}.part").exists()
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
    with pytest.raises(InputError, match="Frame 3 is 32 x 16 pixels, the ones before are 80 x 64"):
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
    with pytest.raises(InputError, match=r"'avi' is unknown. Choose one of: mp4, webm, gif, webp, mp4 h265"):
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


@pytest.mark.parametrize("format", EXACT)
def test_lossless_formats_give_back_every_byte(tmp_path, format):
    frames = torch.randint(0, 256, (4, 48, 64, 3), generator=torch.Generator().manual_seed(0)) / 255

    back = torch.stack(list(read_frames(write(tmp_path, frames, format=format).path)))

    assert torch.equal(back * 255, (frames * 255).round())


@pytest.mark.parametrize("format", WITH_ALPHA)
def test_alpha_is_kept_straight_beside_its_colours(tmp_path, format):
    frames = moving_bar(8, channels=4)
    frames[:, :, :32, 3] = 0.25
    frames[4:, 24:, :, 3] = 0.75

    video = write(tmp_path, frames, format=format, quality=90)
    back = torch.stack(list(FileClip(video.path).forward()))

    assert back.shape == frames.shape
    assert (back[..., 3] - frames[..., 3]).abs().mean() < 0.01
    assert mean_error(back[..., :3], frames[..., :3]) < 0.03


@pytest.mark.parametrize("format", WITH_ALPHA)
def test_frames_without_alpha_are_opaque_in_a_format_that_carries_it(tmp_path, format):
    video = write(tmp_path, moving_bar(4), format=format, quality=90)

    for frame in FileClip(video.path).forward():
        assert frame.shape[-1] == 3 or (frame[..., 3] == 1).all()


@pytest.mark.parametrize(("format", "least"), [("mkv ffv1", 2), ("mp4 h265", 64), ("mp4 av1", 64)])
def test_a_picture_too_small_for_the_format_is_refused_with_its_size(tmp_path, format, least):
    with pytest.raises(
        InputError, match=rf"{format} needs pictures of at least {least} pixels a side, got 2 x"
    ):
        write(tmp_path, torch.zeros(1, 1, 2, 3), format=format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("num_frames", [1, 2, 3, 4])
def test_h265_takes_the_shortest_clips_time_and_again(tmp_path, num_frames):
    for _ in range(8):  # x265 leaves to chance what it does not set
        video = write(tmp_path, moving_bar(num_frames), format="mp4 h265", preset="veryslow")
        assert len(list(read_frames(video.path))) == num_frames


def test_h265_has_the_tag_that_apples_players_ask_for(tmp_path):
    assert b"hvc1" in write(tmp_path, moving_bar(3), format="mp4 h265").path.read_bytes()


@pytest.mark.parametrize("format", [name for name in ALL if FORMATS[name].max_crf])
def test_crf_goes_before_quality_and_a_higher_one_makes_a_smaller_file(tmp_path, format):
    frames = torch.rand(4, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    highest = FORMATS[format].max_crf

    def size(**options):
        return write(tmp_path, frames, format=format, **options).path.stat().st_size

    assert size(quality=10, crf=5) == pytest.approx(size(quality=90, crf=5), rel=0.02)
    assert size(crf=5) > size(crf=25) > size(crf=highest)
    with pytest.raises(
        InputError, match=rf"crf of {format} goes from 0 .best. to {highest} .smallest., got {highest + 1}"
    ):
        size(crf=highest + 1)


@pytest.mark.parametrize("format", [name for name in ALL if not FORMATS[name].max_crf])
def test_formats_without_crf_and_preset_ignore_them(tmp_path, format):
    one = FORMATS[format].options_at(70, crf=20, preset="slow")

    assert one == FORMATS[format].options_at(70)


@pytest.mark.parametrize("format", [name for name in ALL if FORMATS[name].presets])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_taken_by_the_encoder(tmp_path, format, preset):
    video = write(tmp_path, moving_bar(2), format=format, preset=preset)

    assert len(list(read_frames(video.path))) == 2


def test_an_unknown_preset_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"preset 'turbo' is unknown. Choose one of: auto, ultrafast"):
        write(tmp_path, moving_bar(2), preset="turbo")


@pytest.mark.parametrize(
    ("format", "codec", "instead"),
    [
        ("mp4", "codec", "webm"),
        ("mp4 av1", "codec", "mp4 or webm"),
        ("webm", "audio_codec", "mp4 or webm"),
        ("mov prores 4444", "codec", "mkv ffv1, apng or png sequence, which keep alpha too"),
    ],
)
def test_an_encoder_missing_from_this_pyav_is_named_with_what_to_choose_instead(format, codec, instead):
    built_without = replace(FORMATS[format], **{codec: "libnothing"})

    with pytest.raises(
        InputError, match=rf"^{format} needs the encoder libnothing.*Choose {instead}, or update PyAV"
    ):
        EncodeSettings(format=built_without, frame_rate=Fraction(12))


@pytest.mark.parametrize("format", ALL)
def test_every_format_exists_in_this_pyav(format):
    FORMATS[format].check_encoder()


@pytest.mark.parametrize(("loop_count", "written"), [(0, (0, 0, 0)), (2, (2, 3, 3))])
def test_formats_that_repeat_by_themselves_are_told_how_often(tmp_path, loop_count, written):
    from PIL import Image

    found = []
    for format, key in (("gif", "loop"), ("webp", "loop"), ("apng", "loop")):
        video = write(tmp_path, moving_bar(3), format=format, loop_count=loop_count)
        with Image.open(video.path) as image:
            found.append(image.info[key])

    assert tuple(found) == written, "gif counts repetitions, webp and apng count how often it is played"


@pytest.mark.parametrize("format", WITH_SOUND)
def test_padded_sound_is_silent_from_where_it_ends_to_the_end_of_the_picture(tmp_path, format):
    video = write(tmp_path, moving_bar(36), format=format, audio=tone(1.5), sound_fit=SoundFit(length="pad"))
    sound = read_audio(video.path)
    wave, rate = sound["waveform"][0, 0], sound["sample_rate"]

    assert len(wave) / rate == pytest.approx(3.0, abs=1 / 12)
    assert wave[: round(1.4 * rate)].abs().max() > 0.4
    assert wave[round(1.6 * rate) :].abs().max() < 0.01


@pytest.mark.parametrize("format", WITH_SOUND)
def test_repeated_sound_starts_again_until_the_picture_ends(tmp_path, format):
    audio = tone(1.0, sample_rate=48000)
    audio["waveform"] = audio["waveform"].clone()
    audio["waveform"][..., 24000:] = 0

    video = write(tmp_path, moving_bar(30), format=format, audio=audio, sound_fit=SoundFit(length="repeat"))
    sound = read_audio(video.path)
    wave, rate = sound["waveform"][0, 0], sound["sample_rate"]

    loud = [wave[round(at * rate) :][: rate // 10].abs().max() > 0.3 for at in (0.2, 0.7, 1.2, 1.7, 2.2)]
    assert loud == [True, False, True, False, True]
    assert len(wave) / rate == pytest.approx(2.5, abs=1 / 12)


def test_sound_is_taken_from_a_later_second_on(tmp_path):
    audio = tone(3.0, sample_rate=48000)
    audio["waveform"] = audio["waveform"].clone()
    audio["waveform"][..., : 2 * 48000] = 0

    video = write(tmp_path, moving_bar(24), audio=audio, sound_fit=SoundFit(start=1.5))
    wave = read_audio(video.path)["waveform"][0, 0]

    assert (wave.abs() > 0.1).nonzero()[0].item() / 48000 == pytest.approx(0.5, abs=1 / 24)
    assert len(wave) / 48000 == pytest.approx(1.5, abs=1 / 12)


def test_a_start_behind_the_end_of_the_sound_is_an_error(tmp_path):
    for length in ("trim", "pad", "repeat"):
        with pytest.raises(InputError, match=r"sound ends before second 2, where audio_start begins"):
            write(tmp_path, moving_bar(24), audio=tone(1.5), sound_fit=SoundFit(start=2.0, length=length))
    assert not list(tmp_path.iterdir())


def test_a_fit_of_sound_that_makes_no_sense_is_refused():
    with pytest.raises(InputError, match=r"audio_length must be one of trim, pad, repeat, got 'stretch'"):
        SoundFit(length="stretch")
    with pytest.raises(InputError, match=r"audio_start is a second from 0 on, got -1"):
        SoundFit(start=-1)


def test_a_loop_count_below_zero_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"loop_count is 0 or more, got -1"):
        write(tmp_path, moving_bar(2), loop_count=-1)


def test_the_first_picture_of_a_sequence_alone_carries_the_workflow(tmp_path):
    from PIL import Image

    folder = write(tmp_path, moving_bar(3), format="png sequence", metadata={"prompt": "{}"}).path
    pictures = sorted(folder.iterdir())

    texts = [Image.open(picture).text for picture in pictures]
    assert [picture.name for picture in pictures] == ["frame_00001.png", "frame_00002.png", "frame_00003.png"]
    assert texts == [{"prompt": "{}", "frame_rate": "12"}, {}, {}]
