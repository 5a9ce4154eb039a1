import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video.clip_file import FileClip
from dreamoving.dreamoving_core.video.encode import encode_video
from dreamoving.dreamoving_core.video.playback import ImageClip, SideBySide, played, shown_frames

from .clips import moving_bar


def numbered(count):
    """Frames whose every value is their number."""
    return torch.arange(count).view(-1, 1, 1, 1).expand(count, 4, 4, 3).to(torch.float32)


def numbers(frames):
    return [int(frame[0, 0, 0]) for frame in frames]


@pytest.mark.parametrize(
    ("count", "ping_pong", "repeats", "order"),
    [
        (4, False, 0, [0, 1, 2, 3]),
        (4, True, 0, [0, 1, 2, 3, 2, 1]),
        (3, False, 1, [0, 1, 2, 0, 1, 2]),
        (3, True, 1, [0, 1, 2, 1, 0, 1, 2, 1]),
        (2, True, 0, [0, 1]),
        (1, True, 1, [0, 0]),
        (0, True, 1, []),
    ],
)
def test_frames_come_in_the_order_shown(count, ping_pong, repeats, order):
    shown = list(played(ImageClip(numbered(count)), ping_pong=ping_pong, repeats=repeats))

    assert numbers(shown) == order
    assert shown_frames(count, ping_pong=ping_pong, repeats=repeats) == len(order)


def test_a_file_is_played_in_the_same_order_as_an_image(tmp_path):
    frames = moving_bar(9)
    clip = FileClip(encode_video(tmp_path / "a.mkv", frames, format="mkv ffv1", frame_rate=12).path)

    for one, other in zip(
        played(clip, ping_pong=True, repeats=1),
        played(ImageClip(frames), ping_pong=True, repeats=1),
        strict=True,
    ):
        assert (one - other).abs().max() < 0.5 / 255 + 1e-6


def test_both_sides_turn_at_the_same_frame():
    poses, result = numbered(4), numbered(4) + 10

    shown = list(played(SideBySide(ImageClip(poses), ImageClip(result)), ping_pong=True))

    assert [(int(frame[0, 0, 0]), int(frame[0, -1, 0])) for frame in shown] == [
        (i, i + 10) for i in (0, 1, 2, 3, 2, 1)
    ]


def test_a_still_stands_beside_a_file_in_both_directions(tmp_path):
    clip = FileClip(encode_video(tmp_path / "a.mp4", moving_bar(5), format="mp4", frame_rate=12).path)
    still = ImageClip(torch.full((1, 24, 24, 3), 0.5))

    shown = list(played(SideBySide(still, clip), ping_pong=True))

    assert [tuple(frame.shape) for frame in shown] == [(64, 64 + 80, 3)] * 8
    assert all((frame[:, :64] == 0.5).all() for frame in shown)
    assert all(torch.equal(frame[:, 64:], other) for frame, other in zip(shown, clip.forward(), strict=False))


def test_images_of_two_lengths_are_refused_before_the_first_frame():
    with pytest.raises(InputError, match=r"same number of frames.*got 5 and 6"):
        SideBySide(ImageClip(numbered(5)), ImageClip(numbered(6)))


@pytest.mark.parametrize("others", [3, 7])
def test_a_file_of_another_length_is_refused_with_both_counts(tmp_path, others):
    clip = FileClip(encode_video(tmp_path / "a.mp4", moving_bar(5), format="mp4", frame_rate=12).path)

    with pytest.raises(InputError, match=rf"same number of frames.*got {others} and 5"):
        list(played(SideBySide(ImageClip(numbered(others)), clip)))


def test_an_image_is_never_copied():
    images = numbered(3)

    assert all(
        frame.data_ptr() == image.data_ptr()
        for frame, image in zip(ImageClip(images).forward(), images, strict=True)
    )
