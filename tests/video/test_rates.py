from fractions import Fraction

import pytest
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.video.rates import parse_frame_rate


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (12, Fraction(12)),
        ("12", Fraction(12)),
        (12.5, Fraction(25, 2)),
        ("30000/1001", Fraction(30000, 1001)),
        (" 24 / 1 ".replace(" ", ""), Fraction(24)),
        (29.97, Fraction(30000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (23.97, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (33.333333, Fraction(100, 3)),
        (11.999999, Fraction(12)),
        (0.5, Fraction(1, 2)),
        (Fraction(15, 2), Fraction(15, 2)),
    ],
)
def test_every_way_to_write_a_rate_becomes_its_exact_fraction(value, rate):
    assert parse_frame_rate(value) == rate


def test_whole_and_tenth_rates_are_never_taken_for_broadcast_rates():
    for tenths in range(10, 2400):
        assert parse_frame_rate(tenths / 10) == Fraction(tenths, 10)


@pytest.mark.parametrize("value", ["", "fast", "30/0", "1/2/3", float("nan"), float("inf"), "nan", True])
def test_what_is_no_number_is_refused_in_words(value):
    with pytest.raises(InputError, match=r"not a number.*30000/1001"):
        parse_frame_rate(value)


@pytest.mark.parametrize("value", [0, -12, "0", "-1/2", 1001, "2000/1"])
def test_rates_outside_the_range_are_refused_with_the_number(value):
    with pytest.raises(InputError, match=f"above 0 and at most 1000, got {value}"):
        parse_frame_rate(value)
