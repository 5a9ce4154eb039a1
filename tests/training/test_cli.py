"""What `run.py train` says before it starts."""

from dreamoving.dreamoving_core.training.cli import ORDER, budget
from dreamoving.dreamoving_core.training.stages import SCHEDULES, SECONDS_PER_STEP


def test_the_budget_names_every_stage_that_is_left_with_its_steps_and_minutes() -> None:
    said = budget(["decoder", "base"])

    for stage in ("decoder", "base"):
        minutes = SCHEDULES[stage].steps * SECONDS_PER_STEP[stage] / 60
        assert f"{stage} {SCHEDULES[stage].steps} steps ({minutes:.0f} min)" in said
    assert "expression" not in said


def test_a_whole_run_stays_within_three_hours_of_two_cores() -> None:
    alone = sum(SCHEDULES[stage].steps * SECONDS_PER_STEP[stage] for stage in ORDER if stage != "decoder")

    assert list(SECONDS_PER_STEP) == list(ORDER)
    assert alone <= 3 * 3600  # the decoder runs on the other core, beside the base
