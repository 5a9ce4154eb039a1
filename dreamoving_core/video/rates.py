"""Frame rates as exact fractions, whatever way a person or a node writes them."""

import math
from fractions import Fraction

from ..errors import InputError

MAX_RATE = 1000
BROADCAST_RATES = (12, 15, 24, 30, 48, 60, 120, 240)  # NTSC runs each at 1000/1001 of its name
BROADCAST_TOLERANCE = (
    0.0065  # [ours] takes 23.97, 23.976, 23.98, 29.97 and 59.94, and no rate in whole tenths
)

_WAYS = "Write a number (12, 29.97) or a fraction (30000/1001)."


def parse_frame_rate(value: str | int | float | Fraction) -> Fraction:
    """Frames per second as a fraction: 12, 12.5, "29.97" (the broadcast rate 30000/1001), "30000/1001".

    Raises InputError for anything that is not a number in (0, 1000].
    """
    if isinstance(value, bool):
        raise InputError(f"The frame rate is {value}, which is not a number. {_WAYS}")
    text = str(value).strip()
    try:
        rate = Fraction(text) if "/" in text else _from_decimal(float(text))
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"The frame rate {text!r} is not a number. {_WAYS}") from error
    if not 0 < rate <= MAX_RATE:
        raise InputError(f"The frame rate must lie above 0 and at most {MAX_RATE}, got {text}. {_WAYS}")
    return rate


def _from_decimal(value: float) -> Fraction:
    if not math.isfinite(value):
        raise ValueError(value)
    for nominal in BROADCAST_RATES:
        broadcast = Fraction(nominal * 1000, 1001)
        if abs(value - broadcast) <= BROADCAST_TOLERANCE:
            return broadcast
    return Fraction(value).limit_denominator(1001)
