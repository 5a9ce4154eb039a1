"""Keyframe text as prompt schedulers write it (FizzNodes, Deforum): values and prompts at frames, and what lies between.

Frame axis: 0 is the first frame of the whole clip. Before the first keyframe its value holds, behind the last one too.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import InputError

Between = Literal["linear", "hold", "smooth"]
BETWEENS: tuple[Between, ...] = ("linear", "hold", "smooth")

EXAMPLE = "0:(0.2), 24:(1.0)"
PROMPT_EXAMPLE = '0: a beach | 24: a forest, or "0": "a beach", "24": "a forest"'

# `0:(0.2)`, `0: 0.2`, `"0": "0.2"`; a value in parentheses ends at one that a separator or the next keyframe follows
_VALUE = re.compile(
    r"""\s*["']?(?P<frame>[^\s:,;"'()]+)["']?\s*:\s*
    (?:\((?P<wrapped>.*?)\)|"(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^,;:\n"'(][^,;:\n"']*?))
    (?:\s*(?:[,;\n]|$)|(?=\s+["']?\d+["']?\s*:))""",
    re.VERBOSE,
)
_QUOTED_PROMPT = re.compile(r'\s*["\']?(?P<frame>[^\s:,"\']+)["\']?\s*:\s*"(?P<text>(?:[^"\\]|\\.)*)"\s*(?:[,;|\n]|$)', re.DOTALL)  # fmt: skip
_IS_QUOTED = re.compile(r'\s*["\']?[^\s:,"\']+["\']?\s*:\s*"')
_PLAIN_PROMPT = re.compile(r"(?:^|[|\n])[ \t]*(?P<frame>\d+)[ \t]*:")


@dataclass(frozen=True, kw_only=True)
class Keyframes:
    """Values at frames, in the order of the frames; at least one, no frame twice."""

    frames: tuple[int, ...]
    values: tuple[float, ...]

    def at(self, num_frames: int, *, between: Between = "linear") -> list[float]:
        """The value of each of `num_frames` frames."""
        blends = blend(self.frames, num_frames, between=between)
        return [
            self.values[i] if weight == 0.0 else self.values[i] * (1.0 - weight) + self.values[j] * weight
            for i, j, weight in blends
        ]


def blend(
    frames: Sequence[int], num_frames: int, *, between: Between = "linear"
) -> list[tuple[int, int, float]]:
    """For every frame: the keyframe before it, the one behind it, and the weight (0 to below 1) of the latter.

    "linear" is what prompt schedulers do; "hold" jumps at each keyframe; "smooth" starts and ends gently (half a
    cosine). [ours] the last two: a cut and a soft turn without a node for curves.
    """
    result = []
    for frame in range(num_frames):
        left = max((i for i, at in enumerate(frames) if at <= frame), default=0)
        right = min(left + 1, len(frames) - 1)
        share = 0.0
        if frame > frames[left] and right != left and between != "hold":
            share = (frame - frames[left]) / (frames[right] - frames[left])
        if between == "smooth":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        result.append((left, right, share))
    return result


def parse_keyframes(text: str, *, name: str = "keyframes") -> Keyframes:
    """`0:(0.2), 24:(1.0)` in any of the schedulers' spellings. Raises InputError, naming the input by `name`."""
    found: dict[int, float] = {}
    if re.fullmatch(r"[-+.\d]+(e[-+]?\d+)?", text.strip(), re.IGNORECASE):
        found[0] = _number(text.strip(), 0, name)  # a number that came as text
        text = ""
    for frame, said in _values(_without_braces(text), name):
        if frame in found:
            raise InputError(f"{name} gives frame {frame} twice. Keep one value for each frame.")
        found[frame] = _number(said, frame, name)
    if not found:
        raise InputError(f"{name} is empty text. Write frame:(value), for example {EXAMPLE}.")
    order = sorted(found)
    return Keyframes(frames=tuple(order), values=tuple(found[frame] for frame in order))


def parse_prompts(text: str) -> dict[int, str]:
    """Prompts by frame, in the order of the frames, from FizzNodes' JSON or from `0: a beach | 24: a forest`."""
    text = _without_braces(text)
    pairs = list(_quoted_prompts(text) if _IS_QUOTED.match(text) else _plain_prompts(text))
    prompts: dict[int, str] = {}
    for frame, said in pairs:
        if frame in prompts:
            raise InputError(f"The prompts give frame {frame} twice. Keep one prompt for each frame.")
        if "`" in said:
            raise InputError(
                f"The prompt of frame {frame} has a formula between backticks, as FizzNodes computes them: {said!r}. "
                "Formulas are not read: write the number, or set more keyframes."
            )
        prompts[frame] = said
    return dict(sorted(prompts.items()))


def prompt_weights(
    prompts: Mapping[int, str], num_frames: int, *, between: Between = "linear"
) -> dict[str, list[float]]:
    """How much of each prompt every frame sees, by the keyframe's frame: for a plot."""
    frames = list(prompts)
    weights = {f"frame {frame}": [0.0] * num_frames for frame in frames}
    lines = list(weights.values())
    for frame, (left, right, weight) in enumerate(blend(frames, num_frames, between=between)):
        lines[left][frame] += 1.0 - weight
        lines[right][frame] += weight
    return weights


def _without_braces(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if text.startswith("{") and text.endswith("}") else text


def _values(text: str, name: str) -> Iterator[tuple[int, str]]:
    position = 0
    while text[position:].strip(" \t\r\n,;"):
        match = _VALUE.match(text, position)
        if match is None:
            raise InputError(
                f"{name} cannot be read from {_shown(text[position:])} on. Write frame:(value), for example {EXAMPLE}."
            )
        said = next(x for x in match.group("wrapped", "quoted", "single", "bare") if x is not None)
        yield _frame(match["frame"], name), said.strip()
        position = match.end()


def _quoted_prompts(text: str) -> Iterator[tuple[int, str]]:
    position = 0
    while text[position:].strip(" \t\r\n,;|"):
        match = _QUOTED_PROMPT.match(text, position)
        if match is None:
            raise InputError(
                f"The prompts cannot be read from {_shown(text[position:])} on. A quote or a comma may be missing. "
                f"Write {PROMPT_EXAMPLE}."
            )
        yield _frame(match["frame"], "The prompts' text"), _unescaped(match["text"]).strip()
        position = match.end()


def _plain_prompts(text: str) -> Iterator[tuple[int, str]]:
    starts = list(_PLAIN_PROMPT.finditer(text))
    before = text[: starts[0].start()] if starts else text
    if before.strip() or not starts:
        raise InputError(
            f"The prompts must begin with a frame and a colon, got {_shown(before)}. Write {PROMPT_EXAMPLE}."
        )
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends, strict=True):
        yield int(start["frame"]), text[start.end() : end].strip()


def _unescaped(text: str) -> str:
    """JSON's escapes, but for `\\(` and `\\)`, which the text encoder wants to see."""
    known = {'"': '"', "n": "\n", "t": "\t", "\\": "\\", "/": "/"}
    return re.sub(r"\\(.)", lambda match: known.get(match[1], match[0]), text, flags=re.DOTALL)


def _frame(text: str, name: str) -> int:
    if re.fullmatch(r"\d+", text):
        return int(text)
    raise InputError(
        f"{name}: a keyframe stands at a whole number from 0, got {text!r}. Formulas such as max_f are not read: "
        f"write the number, for example {EXAMPLE}."
    )


def _number(text: str, frame: int, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InputError(
            f"{name} has {text!r} at frame {frame}, which is no number. Formulas are not read: write the numbers at "
            f"more frames (values between are linear), for example {EXAMPLE}."
        ) from None
    if not math.isfinite(number):
        raise InputError(f"{name} must be a finite number, got {text} at frame {frame}. Write a number.")
    return number


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= 40 else text[:37] + "...")
