from itertools import pairwise

import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video.layout import SheetFrames, contact_sheet, side_by_side, spread


def test_clips_stand_from_left_to_right_at_one_height_with_their_proportions():
    pose = torch.full((3, 32, 64, 3), 0.25)
    result = torch.full((3, 16, 16, 3), 0.75)

    frames = list(side_by_side([pose, result], height=16))

    assert [tuple(frame.shape) for frame in frames] == [(16, 32 + 16, 3)] * 3
    for frame in frames:
        torch.testing.assert_close(frame[:, :32], torch.full((16, 32, 3), 0.25))
        assert torch.equal(frame[:, 32:], result[0])


def test_a_clip_of_the_right_height_passes_unchanged_and_in_order():
    clip = torch.rand(4, 8, 6, 3, generator=torch.Generator().manual_seed(0))

    frames = list(side_by_side([clip, clip.flip(0)]))

    for i, frame in enumerate(frames):
        assert torch.equal(frame, torch.cat([clip[i], clip[3 - i]], dim=1))


def test_one_picture_stands_still_beside_a_clip_and_channels_need_not_match():
    picture = torch.full((1, 8, 8, 1), 0.5)
    clip = torch.rand(3, 8, 8, 4)

    frames = list(side_by_side([picture, clip]))

    assert len(frames) == 3
    assert all(torch.equal(frame[:, :8], torch.full((8, 8, 3), 0.5)) for frame in frames)


def test_clips_of_two_lengths_are_refused_with_both():
    with pytest.raises(InputError, match=r"same number of frames.*got 16 and 24"):
        side_by_side([torch.zeros(16, 8, 8, 3), torch.zeros(24, 8, 8, 3)])


def test_a_contact_sheet_holds_each_row_under_its_caption():
    red = torch.tensor([1.0, 0.0, 0.0]).expand(2, 20, 10, 3)
    clip = torch.linspace(0, 1, 30).view(30, 1, 1, 1).expand(30, 10, 10, 3)

    sheet = contact_sheet([("references", red), ("result", clip)], cell_height=40, max_columns=3, gap=4)

    is_red = (sheet - torch.tensor([1.0, 0.0, 0.0])).abs().amax(dim=-1) < 1e-3
    assert is_red.sum() == 2 * 40 * 20
    greys = sheet[-20, :, 0]  # through the cells of the last row: the first, a middle and the last frame
    assert [greys[4 + i * 44 + 20].item() for i in range(3)] == pytest.approx([0, 14 / 29, 1], abs=0.03)
    caption = sheet[4:18]
    assert caption.min() < 0.3
    assert 0 <= sheet.min() <= sheet.max() <= 1


def test_an_empty_contact_sheet_or_row_is_refused():
    with pytest.raises(InputError, match="at least one row"):
        contact_sheet([])
    with pytest.raises(InputError, match="holds no pictures"):
        contact_sheet([("empty", torch.zeros(0, 8, 8, 3))])


@pytest.mark.parametrize("num_frames", [1, 2, 16, 100, 1000])
def test_a_sheet_of_a_clip_shows_it_from_its_first_to_its_last_frame(num_frames):
    frames, greys = SheetFrames(height=8, count=16), []
    for i in range(num_frames):
        frames.add(torch.full((16, 16, 3), i / max(1, num_frames - 1)))

    sheet = frames.sheet(12, columns=16)
    for cell in range(min(16, num_frames)):
        greys.append(sheet[-8, 4 + 12 * cell + 4, 0].item())

    assert greys[0] == 0
    if num_frames > 1:
        assert greys[-1] == pytest.approx(1)
        steps = [b - a for a, b in pairwise(greys)]
        assert max(steps) - min(steps) < 1.5 / 16, "spread evenly"
    assert len(frames._kept) <= 33


def test_a_sheet_names_the_second_at_which_each_row_starts(monkeypatch):
    from dreamoving.dreamoving_core.video import layout

    captions = []
    monkeypatch.setattr(layout, "contact_sheet", lambda rows, **_: captions.extend(text for text, _ in rows))
    frames = SheetFrames(count=16)
    for _ in range(97):
        frames.add(torch.zeros(8, 8, 4))

    frames.sheet(24)

    assert captions == ["0.0 s", "2.2 s"]


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(InputError, match="needs at least one frame, got 0"):
        SheetFrames().sheet(12)


def test_indices_are_spread_with_both_ends():
    assert spread(5, 3) == [0, 2, 4]
    assert spread(2, 16) == [0, 1]
