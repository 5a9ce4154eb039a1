"""Where windows begin and end, and how much a change there stands out."""

import math

import pytest
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.window_seams import FLOOR, NEIGHBOURS, seam_ratios, window_borders


@pytest.mark.parametrize("overlap", [0, 1, 3, 5, 7])
@pytest.mark.parametrize("frames", [3, 8, 9, 16, 23, 40])
def test_borders_lie_where_comfyuis_still_windows_begin_and_end(frames, overlap):
    import comfy.context_windows as core

    handler = type("Handler", (), {"context_length": 8, "context_overlap": overlap})()
    windows = core.create_windows_static_standard(frames, handler, {})
    seen_by = [{n for n, window in enumerate(windows) if frame in window} for frame in range(frames)]
    expected = [frame for frame in range(1, frames) if seen_by[frame] != seen_by[frame - 1]]

    assert window_borders(frames, context_length=8, context_overlap=overlap) == expected


def test_a_jump_at_a_border_is_told_as_a_multiple_of_the_usual_change():
    changes = [math.nan] + [0.01] * 15
    changes[8] = 0.05

    ratios = seam_ratios(changes, [8])

    assert ratios[8] == pytest.approx((0.05 + FLOOR) / (0.01 + FLOOR))
    assert math.isnan(ratios[0])
    assert ratios[4] == pytest.approx(1.0), "the border itself is no neighbour"


def test_an_even_change_and_no_change_at_all_have_a_ratio_of_one():
    for change in (0.0, 0.02):
        assert seam_ratios([math.nan] + [change] * 9, [4])[1:] == pytest.approx([1.0] * 9)


def test_a_border_is_compared_with_what_is_near_it_and_not_with_a_quicker_part_of_the_dance():
    changes = [math.nan] + [0.01] * 10 + [0.2] * 10

    assert seam_ratios(changes, [5])[5] == pytest.approx(1.0)
    assert NEIGHBOURS == 3


def test_borders_everywhere_leave_nothing_to_compare_with():
    assert math.isnan(seam_ratios([math.nan, 0.1, 0.1], [1, 2])[1])


@pytest.mark.parametrize(("length", "overlap"), [(0, 0), (8, 8), (4, -1)])
def test_impossible_windows_are_refused(length, overlap):
    with pytest.raises(InputError, match=f"Windows of {length} frames cannot share {overlap}"):
        window_borders(16, context_length=length, context_overlap=overlap)
