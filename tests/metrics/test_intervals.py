import pytest
import torch
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.metrics.intervals import bootstrap, bootstrap_ratio


def test_equal_values_have_an_interval_of_no_width():
    found = bootstrap([[0.3, 0.3]] * 5)

    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))


def test_the_interval_of_normal_values_is_two_standard_errors_wide_on_each_side():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0))
    found = bootstrap([[v] for v in values.tolist()])

    assert found.mean == pytest.approx(float(values.mean()), abs=1e-6)
    assert found.high - found.low == pytest.approx(2 * 1.96 / 400**0.5, rel=0.1)


def test_runs_of_a_clip_are_one_draw_so_more_noises_do_not_make_a_clip_two():
    once = bootstrap([[0.0], [1.0], [0.5]])
    twice = bootstrap([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]])

    assert (once.low, once.high) == (twice.low, twice.high)


def test_a_constant_share_less_is_a_ratio_without_width_however_the_clips_differ():
    below = [[1.0], [5.0], [0.2]]
    found = bootstrap_ratio([[0.76 * v[0]] for v in below], below)

    assert (found.mean, found.low, found.high) == pytest.approx((0.76, 0.76, 0.76))
    assert found.excludes(1.0)
    assert not bootstrap([[0.0], [1.0]]).excludes(0.5)


def test_a_ratio_is_one_of_means_not_a_mean_of_ratios():
    assert bootstrap_ratio([[1.0], [1.0]], [[1.0], [3.0]]).mean == pytest.approx(0.5)


def test_no_clips_and_other_clips_are_refused():
    with pytest.raises(InputError, match="at least one clip"):
        bootstrap([])
    with pytest.raises(InputError, match="at least one value for every clip"):
        bootstrap([[0.1], []])
    with pytest.raises(InputError, match="same clips on both sides, got 2 and 1"):
        bootstrap_ratio([[1.0], [2.0]], [[1.0]])
