"""Keyframe text as prompt schedulers write it."""

import re

import pytest
from dreamoving.dreamoving_core.bridge.curves import always_zero, per_frame
from dreamoving.dreamoving_core.bridge.keyframes import blend, parse_keyframes, parse_prompts
from dreamoving.dreamoving_core.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "0:(0.2), 24:(1.0)",
        "0: (0.2), 24: (1.0)",
        "0:(0.2),\n24:(1.0),\n",
        "0:(0.2) 24:(1.0)",
        "24:(1.0), 0:(0.2)",
        "0: 0.2, 24: 1",
        "0: 0.2 24: 1",
        "0: 0.2\n24: 1.0",
        "0:.2; 24:1e0",
        '"0": 0.2, "24": 1.0',
        '{"0": "0.2", "24": "1.0"}',
        "'0': (0.2), '24': (1.0)",
    ],
)
def test_every_schedulers_spelling_means_the_same(text):
    keyframes = parse_keyframes(text)

    assert keyframes.frames == (0, 24)
    assert keyframes.values == (0.2, 1.0)


def test_values_are_linear_between_keyframes_and_hold_outside_them():
    keyframes = parse_keyframes("2:(1.0), 6:(0.0), 8:(-3)")

    assert keyframes.at(12) == [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, -1.5, -3.0, -3.0, -3.0, -3.0]


def test_hold_jumps_at_a_keyframe_and_smooth_meets_it_gently():
    keyframes = parse_keyframes("0:(0), 4:(1)")

    assert keyframes.at(6, between="hold") == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    smooth = keyframes.at(5, between="smooth")
    assert smooth == pytest.approx([0.0, 0.14644661, 0.5, 0.85355339, 1.0], abs=1e-8)  # (1 - cos(pi x)) / 2


def test_a_blend_names_two_keyframes_and_no_weight_reaches_one():
    assert blend([0, 2], 4) == [(0, 1, 0.0), (0, 1, 0.5), (1, 1, 0.0), (1, 1, 0.0)]


def test_a_strength_takes_keyframe_text_and_reads_it_at_the_frames_of_the_clip():
    assert per_frame("0:(0.2), 4:(1.0)", 5) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert per_frame("0:(0.2), 4:(1.0)", 3) == pytest.approx(
        [0.2, 0.4, 0.6]
    )  # frames count, not shares of the clip
    assert per_frame("0:(0.5), 9:(0.5)", 4) == 0.5
    assert per_frame(" 0.7 ", 4) == 0.7


def test_keyframe_text_is_off_only_when_every_keyframe_is():
    assert always_zero("0:(0), 24:(0.0)")
    assert not always_zero("0:(0), 24:(0.1)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "alpha_f is empty text. Write frame:(value), for example 0:(0.2), 24:(1.0)"),
        ("0:(sin(3.14*t/5)), 9:(1)", "alpha_f has 'sin(3.14*t/5)' at frame 0, which is no number. Formulas are not read"),
        ("0: 2*t", "alpha_f has '2*t' at frame 0, which is no number"),
        ("0:(1), max_f-1:(0)", "a keyframe stands at a whole number from 0, got 'max_f-1'"),
        ("-1:(1)", "a keyframe stands at a whole number from 0, got '-1'"),
        ("0:(1), 0:(2)", "alpha_f gives frame 0 twice"),
        ("0:(nan)", "alpha_f must be a finite number, got nan at frame 0"),
        ("0:(1, 24:(2)", "alpha_f has '1, 24:(2' at frame 0"),
        ("0 (1)", "alpha_f cannot be read from '0 (1)' on. Write frame:(value)"),
    ],
)  # fmt: skip
def test_keyframes_that_cannot_be_read_are_refused_in_words(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_keyframes(text, name="alpha_f")


@pytest.mark.parametrize(
    "text",
    [
        '"0": "a beach, (sunny:1.2)", "24": "a forest | dark"',
        '{"0": "a beach, (sunny:1.2)",\n "24": "a forest | dark"}',
        '"24": "a forest | dark", "0": "a beach, (sunny:1.2)",',
        '0: "a beach, (sunny:1.2)", 24: "a forest | dark"',
        "0: a beach, (sunny:1.2) | 24: a forest | dark",
        "0: a beach, (sunny:1.2)\n24: a forest | dark\n",
    ],
)
def test_prompts_are_read_from_fizznodes_json_and_from_lines_and_bars(text):
    assert parse_prompts(text) == {0: "a beach, (sunny:1.2)", 24: "a forest | dark"}


def test_escapes_are_jsons_but_parentheses_stay_for_the_text_encoder():
    assert parse_prompts(r'"0": "a \"good\" day \(film\)"') == {0: r'a "good" day \(film\)'}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The prompts must begin with a frame and a colon, got ''"),
        ("a beach", "The prompts must begin with a frame and a colon, got 'a beach'"),
        ("a beach | 24: a forest", "must begin with a frame and a colon, got 'a beach'"),
        ('"0": "a beach" "24": "a forest"', "A quote or a comma may be missing"),
        ('"0": "a beach", "24": "a forest', 'cannot be read from \'"24": "a forest\' on'),
        ('"0": "a beach", "max_f": "x"', "a keyframe stands at a whole number from 0, got 'max_f'"),
        ("0: a | 0: b", "The prompts give frame 0 twice"),
        ("0: a (beach:`sin(t)`)", "The prompt of frame 0 has a formula between backticks"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused_in_words(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        parse_prompts(text)
