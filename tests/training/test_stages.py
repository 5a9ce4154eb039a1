"""The stages as data: what the paper says, and what may be changed."""

import pytest
from dreamoving.dreamoving_core.errors import InputError
from dreamoving.dreamoving_core.training import stages, stages_sd15
from dreamoving.dreamoving_core.training.stages import changed

# [DM §2.4.1-4]: learns, size, learning rate, steps, image guidance, control
PAPER = {
    "content_guider": (("guider.",), 512, 1e-4, 100_000, True, False),
    "long_frame": (("motion.",), 256, 1e-4, 10_000, False, False),
    "video_control": (("controls.",), 352, 1e-4, 25_000, False, True),
    "expression": (("motion.",), 512, 5e-5, 20_000, False, True),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_preset_has_the_papers_numbers(name):
    learns, size, rate, steps, guidance, control = PAPER[name]
    stage = stages_sd15.STAGES[name]

    assert (stage.learns, stage.size, stage.schedule.steps) == (learns, size, steps)
    assert (stage.guidance, stage.controls != ("none",)) == (guidance, control)
    rates = {stage.schedule.rate(step) for step in (0, 1, steps // 2, steps - 1)}
    assert rates == {rate}  # fixed
    assert stage.schedule.weight_decay == 1e-2
    assert stage.clips == (16 if name == "content_guider" else 1)


def test_the_papers_stages_stand_in_its_order_and_the_long_one_has_64_frames():
    assert list(stages_sd15.STAGES) == list(PAPER)
    assert stages_sd15.LONG_FRAME.frames == stages.LONG_FRAME.frames == 64
    assert stages_sd15.VIDEO_CONTROL.init == stages.VIDEO_CONTROL.init == "control from motion"


def test_settings_reach_the_stage_its_schedule_and_its_objective():
    stage = changed(stages.BASE, {"frames": 2, "steps": 3, "drop_text": 1, "controls": ["depth"]})

    assert (stage.frames, stage.schedule.steps, stage.objective.drop_text) == (2, 3, 1.0)
    assert stage.controls == ("depth",)
    assert stage.schedule.learning_rate == stages.BASE.schedule.learning_rate
    assert changed(stages.BASE, {}) == stages.BASE


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stepz": 1}, r"A stage has no setting stepz\. There are: .*steps"),
        ({"name": "x"}, "A stage has no setting name"),
        ({"steps": "many"}, r"The setting steps is like 8000, got 'many'"),
        ({"steps": True}, r"The setting steps is like 8000, got True"),
        (
            {"frames": 4, "lengths": [4, 8]},
            "clips of 4 frames, so lengths must lie between 1 and that, got 8",
        ),
        ({"accumulate": 0}, r"A step has at least 1 pass, got accumulate=0\."),
    ],
)
def test_other_settings_are_refused(settings, told):
    with pytest.raises(InputError, match=told):
        changed(stages.BASE, settings)


def test_tiny_trains_all_stages_within_the_budget():
    """The issue's: at most 8 hours on two cores."""
    seconds = sum(s.steps * stages.SECONDS_PER_STEP[name] for name, s in stages.SCHEDULES.items())

    assert list(stages.SECONDS_PER_STEP) == list(stages.SCHEDULES)
    assert seconds <= 8 * 3600
